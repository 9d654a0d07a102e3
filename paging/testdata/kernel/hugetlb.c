/* Pages of hugetlb, from a pool of 12 (the test sees to that). */
#define HUGE 1
#include "micro.h"
#include <errno.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#define HB (H * PAGE)      /* bytes of one */
#define RW (PROT_READ | PROT_WRITE)
#define TLB (MAP_ANONYMOUS | MAP_HUGETLB)

static char *tlb(char *at, long n, int flags) { return map(at, n * H, RW, flags | TLB, -1); }

static long errno_of(void *p) { return p == MAP_FAILED ? errno : 0; }

/* field reads a line of /proc/meminfo. */
static void field(const char *name, const char *key)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[200];
	long n = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			n = atol(line + strlen(key));
	fclose(f);
	value(name, n);
}

static void pool(const char *free, const char *reserved)
{
	field(free, "HugePages_Free:");
	field(reserved, "HugePages_Rsvd:");
}

static int status_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void private(void)
{
	char *a = tlb(BASE, 4, MAP_PRIVATE);

	pool("hugetlb_mapped_free", "hugetlb_mapped_reserved");
	begin();
	rd(a, 2 * H, 1);
	end("hugetlb_read");
	begin();
	fill(a, 4);
	end("hugetlb_write");
	pool("hugetlb_written_free", "hugetlb_written_reserved");
	munmap(a, 2 * HB);
	pool("hugetlb_unmapped_free", "hugetlb_unmapped_reserved");
	begin();
	fill(a + 2 * HB, 2);
	end("hugetlb_write_again");
}

static void shared(void)
{
	char *a = tlb(BASE, 3, MAP_SHARED);
	pid_t pid;

	begin();
	rd(a, 2 * H, 1);
	end("hugetlb_shared_read");
	begin();
	fill(a, 3);
	end("hugetlb_shared_write");
	if ((pid = fork()) == 0) {
		warm();
		begin();
		fill(a, 3);
		end("hugetlb_shared_child_write");
		_exit(0);
	}
	status_of(pid);
	pool("hugetlb_shared_free", "hugetlb_shared_reserved");
}

static void forked(void)
{
	char *a = tlb(BASE, 3, MAP_PRIVATE);
	pid_t pid;

	fill(a, 2);
	if ((pid = fork()) == 0) {
		warm();
		begin();
		rd(a, 3 * H, 1);
		end("hugetlb_child_read");
		begin();
		fill(a, 1);
		end("hugetlb_child_write");
		pool("hugetlb_child_free", "hugetlb_child_reserved");
		_exit(0);
	}
	status_of(pid);
	warm();
	begin();
	fill(a, 3);
	end("hugetlb_parent_write_after");
	pool("hugetlb_parent_free", "hugetlb_parent_reserved");
}

/* The parent's copy takes the page away from the child when the pool is empty. */
static void stolen(void)
{
	char *a = tlb(BASE, 12, MAP_PRIVATE);
	int go[2];
	pid_t pid;

	fill(a, 12);
	if (pipe(go))
		die("pipe");
	if ((pid = fork()) == 0) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) < 0)
			_exit(1);
		rd(a, H, 1);
		_exit(0);
	}
	close(go[0]);
	warm();
	begin();
	fill(a, 1);
	end("hugetlb_stolen_write");
	close(go[1]);
	value("hugetlb_stolen_signal", status_of(pid));
}

static void exhausted(void)
{
	pid_t pid;
	char *a = tlb(BASE, 10, MAP_PRIVATE);

	value("hugetlb_too_big_errno", errno_of(mmap(BASE + 64 * HB, 3 * HB, RW, MAP_PRIVATE | TLB, -1, 0)));
	if ((pid = fork()) == 0) {
		char *b = tlb(BASE + 64 * HB, 3, MAP_PRIVATE | MAP_NORESERVE);

		warm();
		begin();
		fill(b, 2);
		end("hugetlb_noreserve_write");
		fill(b, 3);
		_exit(0);
	}
	value("hugetlb_noreserve_signal", status_of(pid));
	warm();
	begin();
	fill(a, 10);
	end("hugetlb_reserved_write");
}

static void refused(void)
{
	char *a = tlb(BASE, 4, MAP_PRIVATE);

	value("hugetlb_munmap_part_errno", munmap(a + PAGE, HB) ? errno : 0);
	value("hugetlb_munmap_end_errno", munmap(a, PAGE) ? errno : 0);
	value("hugetlb_mprotect_part_errno", mprotect(a, PAGE, PROT_READ) ? errno : 0);
	value("hugetlb_dontneed_part_errno", madvise(a + PAGE, HB, MADV_DONTNEED) ? errno : 0);
	value("hugetlb_free_errno", madvise(a, HB, MADV_FREE) ? errno : 0);
	value("hugetlb_cold_errno", madvise(a, HB, 20) ? errno : 0);
	value("hugetlb_collapse_errno", madvise(a, HB, 25) ? errno : 0);
	value("hugetlb_dontfork_part_errno", madvise(a, PAGE, MADV_DONTFORK) ? errno : 0);
	value("hugetlb_mremap_grow_errno", errno_of(mremap(a, 2 * HB, 3 * HB, MREMAP_MAYMOVE)));
	value("hugetlb_mremap_part_errno", errno_of(mremap(a + PAGE, HB, HB, MREMAP_MAYMOVE)));
	value("hugetlb_mlock_part_errno", mlock(a, PAGE) ? errno : 0);
	value("hugetlb_fixed_part_errno", errno_of(mmap(a + PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
	value("hugetlb_unaligned_errno", errno_of(mmap(BASE + 64 * HB + PAGE, HB, RW, MAP_PRIVATE | MAP_FIXED | TLB, -1, 0)));
	value("hugetlb_size_errno", errno_of(mmap(NULL, HB, RW, MAP_PRIVATE | TLB | 22 << 26, -1, 0)));
	value("hugetlb_giant_errno", errno_of(mmap(NULL, HB, RW, MAP_PRIVATE | TLB | 30 << 26, -1, 0)));
	value("hugetlb_no_length_errno", errno_of(mmap(NULL, 0, RW, MAP_PRIVATE | TLB, -1, 0)));
	value("hugetlb_hint_misses", (long)mmap(BASE + 64 * HB + PAGE, PAGE, RW, MAP_PRIVATE | TLB, -1, 0) != (long)BASE + 65 * HB);
}

static void changed(void)
{
	char *a = tlb(BASE, 4, MAP_PRIVATE), *b = BASE + 64 * HB;

	fill(a, 4);
	mprotect(a, 2 * HB, PROT_READ);
	mprotect(a, 2 * HB, RW);
	begin();
	fill(a, 4);
	end("hugetlb_mprotect_write");
	madvise(a, HB + HB / 2, MADV_DONTNEED);
	pool("hugetlb_dontneed_free", "hugetlb_dontneed_reserved");
	begin();
	fill(a, 4);
	end("hugetlb_dontneed_write");
	if (mremap(a, 2 * HB, 2 * HB, MREMAP_MAYMOVE | MREMAP_FIXED, b) != b)
		die("mremap");
	begin();
	fill(b, 2);
	end("hugetlb_mremap_write");
	pool("hugetlb_mremap_free", "hugetlb_mremap_reserved");
}

static void objects(void)
{
	int fd = memfd_create("pages", 4 /* MFD_HUGETLB */), id;
	char *a, *b;

	if (fd < 0 || ftruncate(fd, 4 * HB))
		die("memfd_create");
	pool("hugetlb_memfd_free", "hugetlb_memfd_reserved");
	a = map(BASE, 2 * H, RW, MAP_SHARED, fd);
	b = map(BASE + 64 * HB, 3 * H, RW, MAP_PRIVATE, fd);
	pool("hugetlb_memfd_mapped_free", "hugetlb_memfd_mapped_reserved");
	begin();
	fill(a, 2);
	end("hugetlb_memfd_write");
	begin();
	rd(b, 3 * H, 1);
	end("hugetlb_memfd_private_read");
	begin();
	fill(b, 3);
	end("hugetlb_memfd_private_write");
	pool("hugetlb_memfd_written_free", "hugetlb_memfd_written_reserved");
	value("hugetlb_memfd_offset_errno", errno_of(mmap(NULL, HB, RW, MAP_SHARED, fd, PAGE)));
	if (ftruncate(fd, HB))
		die("ftruncate");
	pool("hugetlb_memfd_cut_free", "hugetlb_memfd_cut_reserved");
	munmap(b, 3 * HB);
	munmap(a, 2 * HB);
	close(fd);
	if ((id = shmget(IPC_PRIVATE, HB + PAGE, 0600 | SHM_HUGETLB)) < 0)
		die("shmget");
	pool("hugetlb_shm_free", "hugetlb_shm_reserved");
	if (shmat(id, BASE, 0) != BASE)
		die("shmat");
	shmctl(id, IPC_RMID, NULL);
	begin();
	fill(BASE, 2);
	end("hugetlb_shm_write");
	shmdt(BASE);
	pool("hugetlb_shm_gone_free", "hugetlb_shm_gone_reserved");
}

int main(void)
{
	static const struct step cases[] = {
		{ private }, { shared }, { forked }, { stolen }, { exhausted }, { refused }, { changed }, { objects },
	};

	return run_all(cases, sizeof(cases) / sizeof(*cases));
}
