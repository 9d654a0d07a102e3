/*
 * The half of the qemu recorder that runs inside QEMU's user-mode emulator: a
 * TCG plugin that turns callbacks into records (ring.h), folded by window.h.
 *
 * Instruction fetches are noted where a translation block begins, all of the
 * block at once; its data accesses follow.
 *
 * Built with -DAPI_VERSION=n: QEMU before 9.0 takes 1 and later ones 2, with the
 * same declarations for what is used here. Debian ships no qemu-plugin.h.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "window.h"
#include "exec.h"
#include "once.h"

#define EXPORT __attribute__((visibility("default")))

/* From qemu-plugin.h. */
typedef uint64_t plugin_id;
typedef uint32_t meminfo;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;
enum { CB_NO_REGS = 0, MEM_RW = 3 };
typedef void (*mem_callback)(unsigned int cpu, meminfo info, uint64_t addr, void *data);
typedef void (*exec_callback)(unsigned int cpu, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, exec_callback, int flags, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, mem_callback, int flags, int rw, void *data);
void qemu_plugin_register_vcpu_syscall_cb(plugin_id, void (*)(plugin_id, unsigned int, int64_t, uint64_t, uint64_t,
	uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
void qemu_plugin_register_vcpu_syscall_ret_cb(plugin_id, void (*)(plugin_id, unsigned int, int64_t, int64_t));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
unsigned int qemu_plugin_mem_size_shift(meminfo);
_Bool qemu_plugin_mem_is_store(meminfo);

EXPORT int qemu_plugin_version = API_VERSION;

#define MAX_CPUS 65536
#define LONGEST_ACCESS 64 /* bytes */

static uint16_t *calls; /* of the ABI of this process */
static int abi;		/* of this process, as the trace numbers them */

static struct slot absent;		    /* of a thread that has not attached */
static struct slot *threads[MAX_CPUS];	    /* by vCPU index; &absent for none */
static unsigned int top_cpu;		    /* one above the highest index used */
static int nr_threads;			    /* attached and alive */
static meminfo store_bits;		    /* of a store, in what a callback is given */
static pid_t pid;			    /* of the process the state above belongs to */
static uint32_t cut;			    /* number of the last cut that was asked for */

static struct slot *attach(unsigned int cpu, uint64_t pc);

/* An access that begins below this offset cannot cross into the next page. */
#define INSIDE(addr) (((addr) & PAGE_MASK) <= PAGE_MASK + 1 - LONGEST_ACCESS)

static __attribute__((noinline)) void slow_data(unsigned int cpu, meminfo info, uint64_t addr, int kind, void *ip)
{
	struct slot *t = threads[cpu];
	if (unlikely(t == &absent))
		t = attach(cpu, 0);
	data(t, addr, kind, (uint64_t)ip);
	if (likely(INSIDE(addr)))
		return;
	uint64_t end = addr + (1ull << qemu_plugin_mem_size_shift(info)) - 1;
	if (unlikely(end >> PAGE_SHIFT != addr >> PAGE_SHIFT))
		data(t, end & ~(uint64_t)PAGE_MASK, kind, (uint64_t)ip);
}

static void on_access(unsigned int cpu, meminfo info, uint64_t addr, void *ip)
{
	struct slot *t = threads[cpu];
	struct known *k = t->data[(addr >> PAGE_SHIFT) % INDEX];
	int store = (info & store_bits) != 0;
	if (likely(k->page == addr >> PAGE_SHIFT && INSIDE(addr) && k->wrote >= store)) {
		k->pending[store]++;
		k->stamp = ++t->clock;
	} else {
		slow_data(cpu, info, addr, store ? WRITE : READ, ip);
	}
}

/*
 * on_block takes the fetches of a translation block on one page. data holds the
 * address of the first in its low 48 bits and their number above.
 */
static __attribute__((noinline)) void slow_block(unsigned int cpu, void *block)
{
	struct slot *t = threads[cpu];
	if (unlikely(t == &absent))
		t = attach(cpu, (uint64_t)block & 0xffffffffffffull);
	uint32_t seen = __atomic_load_n(&cut, __ATOMIC_ACQUIRE);
	if (t->cut != seen) {
		barrier(t);
		publish(t);
		__atomic_store_n(&t->cut, seen, __ATOMIC_RELEASE);
	}
	code(t, (uint64_t)block & 0xffffffffffffull, (uint64_t)block >> 48);
}

static void on_block(unsigned int cpu, void *block)
{
	struct slot *t = threads[cpu];
	uint64_t page = (uint64_t)block >> PAGE_SHIFT & 0xfffffffffull;
	struct known *k = t->code[page % CODE_INDEX];
	if (likely(k->page == (page | CODE) && t->cut == cut)) {
		k->pending[0] += (uint64_t)block >> 48;
		k->stamp = ++t->clock;
		return;
	}
	slow_block(cpu, block);
}

/* on_first takes the fetches of a block together with its first access. */
static void on_first(unsigned int cpu, meminfo info, uint64_t addr, void *block)
{
	on_block(cpu, block);
	on_access(cpu, info, addr, NULL);
}

static void *block_word(uint64_t addr, uint64_t n)
{
	return (void *)((addr & 0xffffffffffffull) | n << 48);
}

/* on_translation asks for the callbacks of a translation block. */
static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
	size_t n = qemu_plugin_tb_n_insns(tb), with = n; /* the instruction whose access tells of the block */
	int may = (abi == 1 || abi == 2) && !ips;
	uint64_t first = 0, other = 0, here = 0, there = 0; /* a block lies on at most two pages */
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint64_t addr = qemu_plugin_insn_vaddr(insn), end = addr + qemu_plugin_insn_size(insn) - 1;
		if (i == 0)
			first = addr;
		if (addr >> PAGE_SHIFT == first >> PAGE_SHIFT)
			here++;
		else if (there++ == 0)
			other = addr;
		if (end >> PAGE_SHIFT != addr >> PAGE_SHIFT && there++ == 0)
			other = end & ~(uint64_t)PAGE_MASK;
		if (may) {
			enum accesses a = accesses_of(host(addr), !words32);
			with = a == ONCE ? i : with;
			may = a == NEVER;
		}
	}
	if (there)
		with = n;
	for (size_t i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		if (i == with)
			qemu_plugin_register_vcpu_mem_cb(insn, on_first, CB_NO_REGS, MEM_RW, block_word(first, here));
		else
			qemu_plugin_register_vcpu_mem_cb(insn, on_access, CB_NO_REGS, MEM_RW, (void *)qemu_plugin_insn_vaddr(insn));
	}
	if (with == n)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, CB_NO_REGS, block_word(first, here));
	if (there)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, CB_NO_REGS, block_word(other, there));
}

/* ---- threads and processes ---- */

static struct slot *slot_at(uint32_t i)
{
	return (struct slot *)(memory + HEAD_BYTES + (size_t)i * (SLOT_BYTES + RING_BYTES));
}

/* no_pages makes every access look further. */
static void no_pages(struct slot *t)
{
	for (int i = 0; i < INDEX; i++)
		t->data[i] = &none;
	for (int i = 0; i < CODE_INDEX; i++)
		t->code[i] = &none;
}

/* take_slot finds a free slot for the calling thread. */
static struct slot *take_slot(void)
{
	for (;;) {
		for (uint32_t i = 0; i < shared->slots; i++) {
			struct slot *t = slot_at(i);
			uint32_t is_free = 0;
			if (t->state == 0 && __atomic_compare_exchange_n(&t->state, &is_free, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)) {
				uint32_t top = __atomic_load_n(&shared->top, __ATOMIC_SEQ_CST);
				while (top <= i && !__atomic_compare_exchange_n(&shared->top, &top, i + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
					;
				t->pid = pid;
				t->tid = syscall(SYS_gettid);
				t->claiming = t->waiting = 0;
				t->used = t->wides = t->nr_listed = 0;
				t->clock = t->seen_tail = 0;
				t->cut = cut;
				t->epoch = 1;
				memset(t->known, 0, sizeof(t->known));
				no_pages(t);
				return t;
			}
		}
		shared->full = 1; /* the recorder frees some, or gives up */
		wake_recorder();
		usleep(10 * 1000);
	}
}

/* attach gives a new thread its slot and announces it; it begins at pc. */
static struct slot *attach(unsigned int cpu, uint64_t pc)
{
	int fresh = pid == 0;
	if (fresh)
		pid = getpid();
	struct slot *t = take_slot();
	uint64_t ids[] = {t->pid, t->tid, abi, pc};
	event(t, fresh ? EVENT_START : EVENT_THREAD, fresh ? 4 : 2, ids);
	publish(t);
	if (fresh) { /* until the recorder has looked at the image */
		wake_recorder();
		while (__atomic_load_n(&t->tail, __ATOMIC_ACQUIRE) != t->pos)
			usleep(200);
	}
	t->in_guest = 1;
	__atomic_fetch_add(&nr_threads, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&threads[cpu], t, __ATOMIC_SEQ_CST);
	unsigned int top = __atomic_load_n(&top_cpu, __ATOMIC_SEQ_CST);
	while (top <= cpu && !__atomic_compare_exchange_n(&top_cpu, &top, cpu + 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	return t;
}

static void detach(unsigned int cpu)
{
	threads[cpu]->in_guest = 0;
	__atomic_store_n(&threads[cpu], &absent, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&nr_threads, 1, __ATOMIC_SEQ_CST);
}

/* born makes the state that fork has copied that of the child. */
static void born(unsigned int cpu)
{
	uint64_t parent = threads[cpu]->tid;
	for (unsigned int i = 0; i < top_cpu; i++)
		threads[i] = &absent;
	pid = getpid();
	nr_threads = 1;
	struct slot *t = threads[cpu] = take_slot();
	uint64_t ids[] = {t->pid, t->tid, parent};
	event(t, EVENT_BIRTH, 3, ids);
	publish(t);
}

/*
 * cut_others makes every other thread that runs code of the program publish what
 * it has done so far: their accesses come before a call that takes memory away.
 * A thread obeys at its next block. One that is not given a CPU in a tenth of a
 * second is passed over, and the trace says so.
 */
static void cut_others(struct slot *self)
{
	if (__atomic_load_n(&nr_threads, __ATOMIC_SEQ_CST) <= 1)
		return;
	uint64_t late = 0;
	uint32_t mine = __atomic_add_fetch(&cut, 1, __ATOMIC_SEQ_CST);
	unsigned int top = __atomic_load_n(&top_cpu, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; i < top; i++) {
		struct slot *t = __atomic_load_n(&threads[i], __ATOMIC_ACQUIRE);
		if (t == &absent || t == self)
			continue;
		for (int tries = 0; __atomic_load_n(&t->in_guest, __ATOMIC_ACQUIRE) &&
		     (int32_t)(__atomic_load_n(&t->cut, __ATOMIC_ACQUIRE) - mine) < 0; tries++) {
			if (tries < 100)
				sched_yield();
			else if (tries < 100 + 500)
				usleep(200);
			else {
				late++;
				break;
			}
		}
	}
	if (late)
		event(self, EVENT_LATE, 1, &late);
}

/* ---- system calls ---- */

/* guest copies memory of the program; false when it is not there. */
static int guest(void *to, uint64_t addr, size_t n)
{
	struct iovec l = {to, n}, r = {host(addr), n};
	return process_vm_readv(pid, &l, 1, &r, 1, 0) == (ssize_t)n;
}

#define MAX_MEMORY 16384 /* UIO_MAXIOV parts of 16 bytes */

static void record_memory(struct slot *t, uint64_t addr, size_t n)
{
	uint64_t words[2 + MAX_MEMORY / 8] = {addr, n};
	if (n > MAX_MEMORY || !guest(&words[2], addr, n))
		return;
	event(t, EVENT_MEMORY, 2 + (n + 7) / 8, words);
}

static void record_file(struct slot *t, int fd)
{
	struct stat st;
	uint64_t words[5 + 4096 / 8] = {0};
	char link[64];
	if (fstat(fd, &st) != 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, (char *)&words[5], 4096);
	if (n < 0)
		n = 0;
	words[0] = fd;
	words[1] = st.st_dev;
	words[2] = st.st_ino;
	words[3] = st.st_size;
	words[4] = n;
	event(t, EVENT_FILE, 5 + (n + 7) / 8, words);
}

static void record_vector(struct slot *t, uint64_t addr, uint64_t parts)
{
	size_t part = words32 ? 8 : 16;
	if (parts > MAX_MEMORY / part)
		parts = MAX_MEMORY / part;
	if (parts > 0)
		record_memory(t, addr, parts * part);
}

/* record_message records a struct msghdr and its vector. */
static void record_message(struct slot *t, uint64_t addr)
{
	uint64_t wide[7];
	uint32_t narrow[7];
	if (words32 && guest(narrow, addr, sizeof(narrow))) {
		record_memory(t, addr, sizeof(narrow));
		record_vector(t, narrow[2], narrow[3]);
	} else if (!words32 && guest(wide, addr, sizeof(wide))) {
		record_memory(t, addr, sizeof(wide));
		record_vector(t, wide[2], wide[3]);
	}
}

/* record_mark records the path of a call if it is a mark. */
static void record_mark(struct slot *t, uint64_t path)
{
	uint64_t words[1 + MARK_MOST / 8] = {0};
	char *text = (char *)&words[1];
	size_t n = MARK_BYTES;
	if (!guest(text, path, n) || memcmp(text, MARK_PREFIX, n))
		return;
	while (n < MARK_MOST && guest(text + n, path + n, 1) && text[n])
		n++;
	words[0] = n;
	event(t, EVENT_MARK, 1 + (n + 7) / 8, words);
}

/* The call that the thread is in; a thread is in one at a time. */
static __thread struct {
	int64_t number;
	uint64_t args[6];
} current;

static unsigned int facts(int64_t number)
{
	return number >= 0 && number < MAX_CALLS ? calls[number] : 0;
}

static void on_call(plugin_id id, unsigned int cpu, int64_t number, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3,
	uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7)
{
	struct slot *t = threads[cpu];
	if (unlikely(t == &absent))
		t = attach(cpu, 0);
	uint64_t words[] = {number, a0, a1, a2, a3, a4, a5};
	current.number = number;
	memcpy(current.args, &words[1], sizeof(current.args));
	barrier(t);
	unsigned int f = facts(number);
	if (f & (CALL_PATH | CALL_PATH_AT))
		record_mark(t, f & CALL_PATH ? a0 : a1);
	t->held = f & CALL_VFORK || (f & CALL_CLONE && (a0 & (CLONE_VM | CLONE_VFORK)) == (CLONE_VM | CLONE_VFORK));
	if (f & CALL_EXIT)
		detach(cpu); /* the recorder may give the slot away when it sees the call */
	event(t, EVENT_CALL, 7, words);
	publish(t);
	if (f & CALL_EXIT)
		return;
	__atomic_store_n(&t->in_guest, 0, __ATOMIC_RELEASE);
	if (f & CALL_MMAP && !(a3 & MAP_FIXED))
		f &= ~CALL_CUT;
	if (f & (CALL_CUT | CALL_FORK | CALL_VFORK) || (f & CALL_CLONE && !(a0 & CLONE_THREAD)))
		cut_others(t);
	if (f & CALL_EXEC)
		follow(abi, a0, a1, a2);
}

/* record_after records what is known only when the call has returned. */
static void record_after(struct slot *t, unsigned int f)
{
	uint64_t *a = current.args;
	uint32_t block[6];
	if (f & CALL_MMAP && !(a[3] & MAP_ANONYMOUS))
		record_file(t, (int)a[4]);
	if (f & CALL_OLD_MMAP && guest(block, a[0], sizeof(block))) {
		record_memory(t, a[0], sizeof(block));
		if (!(block[3] & MAP_ANONYMOUS))
			record_file(t, block[4]);
	}
	if (f & CALL_SIZE)
		record_file(t, (int)a[0]);
	if (f & CALL_VECTOR)
		record_vector(t, a[1], a[2]);
	if (f & CALL_MESSAGE)
		record_message(t, a[1]);
}

static void on_return(plugin_id id, unsigned int cpu, int64_t number, int64_t result)
{
	struct slot *t = threads[cpu];
	unsigned int f = facts(number);
	if (t == &absent)
		return;
	if (f & (CALL_FORK | CALL_VFORK | CALL_CLONE) && result == 0 && getpid() != pid) {
		born(cpu);
	} else {
		if (result >= 0 || result < -4095)
			record_after(t, f);
		uint64_t words[] = {number, result};
		event(t, EVENT_RETURN, 2, words);
		publish(t);
		/* QEMU runs vfork as fork and does not wait. */
		while (result > 0 && __atomic_load_n(&t->held, __ATOMIC_ACQUIRE))
			futex_wait(&t->held, 1, 50 * 1000 * 1000);
	}
	t = threads[cpu];
	t->cut = __atomic_load_n(&cut, __ATOMIC_ACQUIRE);
	__atomic_store_n(&t->in_guest, 1, __ATOMIC_SEQ_CST);
}

/* qemu_plugin_install takes memory=FILE, abi=N and words=32|64. */
EXPORT int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
	const char *path = "";
	for (int i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "memory=", 7))
			path = argv[i] + 7;
		else if (!strncmp(argv[i], "abi=", 4))
			abi = atoi(argv[i] + 4);
		else if (!strcmp(argv[i], "words=32"))
			words32 = 1;
	}
	int fd = open(path, O_RDWR | O_CLOEXEC);
	size_t size = HEAD_BYTES + (size_t)SLOTS * (SLOT_BYTES + RING_BYTES);
	memory = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (memory == MAP_FAILED || abi <= 0 || abi >= MAX_ABIS) {
		fprintf(stderr, "vmtrace: the memory shared with the recorder (%s): %s\n", path, strerror(errno));
		return 1;
	}
	close(fd);
	shared = (struct shared *)memory;
	if (shared->magic != MAGIC) {
		fprintf(stderr, "vmtrace: %s is not the memory of a recorder\n", path);
		return 1;
	}
	calls = shared->calls[abi];
	window = shared->window;
	ips = shared->ips;
	/*
	 * Asking for reads and writes apart does not work in QEMU 7.2, which calls back
	 * for both (accel/tcg/plugin-gen.c:op_rw), and a call into QEMU for each access
	 * costs: learn which bits it looks at.
	 */
	for (int bit = 0; bit < 32; bit++)
		if (qemu_plugin_mem_is_store(1u << bit))
			store_bits |= 1u << bit;
	no_pages(&absent);
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		threads[i] = &absent;
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
	qemu_plugin_register_vcpu_syscall_cb(id, on_call);
	qemu_plugin_register_vcpu_syscall_ret_cb(id, on_return);
	return 0;
}
