package paging

// Flags of msync(2).
const (
	msAsync      = 1
	msInvalidate = 2
	msSync       = 4
)

// Msync writes shared file pages back, after Linux 6.1 mm/msync.c. The pages
// become clean and read-only in every address space, so that the next write is
// noticed again. MS_ASYNC does nothing. Errors: EINVAL, ENOMEM (a hole; the
// mapped parts are done), EBUSY (MS_INVALIDATE on locked memory).
func (t *Task) Msync(addr, length uint64, flags int) Errno {
	if flags&^(msAsync|msInvalidate|msSync) != 0 || addr&pageMask != 0 || flags&msAsync != 0 && flags&msSync != 0 {
		return EINVAL
	}
	end := t.machine.layout.add(addr, pageUp(length))
	if end < addr {
		return ENOMEM
	}
	t.RunOn(t.onCPU)
	hole := Errno(0)
	for addr < end {
		l := t.space.list()
		i := l.find(addr)
		if i == len(l) {
			return ENOMEM
		}
		v := l[i]
		if v.start > addr {
			if flags == msAsync || v.start >= end {
				return ENOMEM
			}
			hole, addr = ENOMEM, v.start
		}
		if flags&msInvalidate != 0 && v.flags&vmLocked != 0 {
			return EBUSY
		}
		stop := min(end, v.end)
		if flags&msSync != 0 && v.file != nil && !v.private() && !v.file.shmem {
			v.file.writeBack(t, v.index(addr>>pageShift), v.index(stop>>pageShift))
		}
		addr = stop
	}
	return hole
}
