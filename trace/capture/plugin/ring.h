/*
 * Memory shared by the recorder and every process that it records. The Go side
 * of it is qemu_ring.go; a test compares both.
 *
 *	head of the file   struct shared, HEAD_BYTES
 *	slots              SLOTS times: struct slot, ring of RING_WORDS words
 *
 * A thread owns one slot and writes its records into the ring of the slot, so
 * the order within a thread is exact. "Publishing" appends a note to the queue of
 * struct shared: the ring of slot s is good up to word p. The recorder consumes
 * notes in the order of the queue, and that is the order between threads. There
 * is no descriptor involved, so a program may close all of its own.
 *
 * A full ring or queue makes the thread wait; nothing is dropped.
 */
#include <stdint.h>

#define MAGIC 0x676e6972746d76ull /* "vmtring" */
#define HEAD_BYTES (256 * 1024)
#define SLOTS 4096
#define SLOT_BYTES (64 * 1024)
#define RING_WORDS 65536
#define RING_BYTES (RING_WORDS * 8)
#define QUEUE 4096
#define MAX_WINDOW 8
#define INDEX 256
#define CODE_INDEX 64
#define KNOWN 512
#define MAX_WIDE 1024
#define MAX_CALLS 1024
#define MAX_ABIS 4

/*
 * Where address 0 of a program of 32 bits lies in the emulator, as it is told with
 * -B. Programs of 64 bits have their own addresses.
 */
#define BASE32 (1ull << 32)

/* What the recorder has to know of a system call, by number. */
enum {
	CALL_CUT = 1 << 0,	 /* takes away memory: other threads publish first */
	CALL_EXIT = 1 << 1,	 /* ends the thread, does not return */
	CALL_FORK = 1 << 2,	 /* may return in a child */
	CALL_EXEC = 1 << 10,	 /* argument 0 is a path, then arguments and environment */
	CALL_CLONE = 1 << 9,	 /* likewise, unless argument 0 has CLONE_THREAD */
	CALL_MMAP = 1 << 3,	 /* argument 4 is a file unless flags say anonymous */
	CALL_OLD_MMAP = 1 << 4,	 /* argument 0 points to the six arguments */
	CALL_SIZE = 1 << 5,	 /* changes the size of the file of argument 0 */
	CALL_VECTOR = 1 << 6,	 /* iovec at argument 1, argument 2 parts */
	CALL_MESSAGE = 1 << 7,	 /* struct msghdr at argument 1 */
	CALL_VFORK = 1 << 8,	 /* likewise; the parent waits for the child's exec or end */
	CALL_PATH = 1 << 11,	 /* argument 0 is a path that may be a mark */
	CALL_PATH_AT = 1 << 12,	 /* argument 1 is */
};

/* A path that begins so is a mark (trace/mark.go). */
#define MARK_PREFIX "vmtrace:"
#define MARK_BYTES (sizeof(MARK_PREFIX) - 1)
#define MARK_MOST 512 /* bytes of a path that are looked at */

/*
 * Records in a ring are words. The first says what follows:
 *
 *	bits 62-63  1, 2, 3: a reference whose first access was a read, write or fetch;
 *	            bits 0-39 page, 40-49 reads and 50-59 writes, or 40-59 fetches.
 *	            REF_WIDE: instead of these the number of a wide count.
 *	            Where asked for, its instruction pointer follows. REF_ADDRESS:
 *	            then its address, which else is the first byte of the page
 *	bits 62-63  0: an event, bits 32-39 its kind, bits 0-31 the words that follow
 *
 * Behind what a note hands over stand its wide counts, two words each: reads or
 * fetches, and writes. Until then they are in the slot.
 */
#define REF_KIND 62
#define REF_WIDE (1ull << 61)
#define REF_ADDRESS (1ull << 60)
#define REF_PAGE 0xffffffffffull
#define REF_SECOND 50
#define REF_FIRST 40
#define REF_MOST 0x3ffull
#define REF_MOST_FETCHES 0xfffffull
enum {
	EVENT_START = 1, /* pid, tid, ABI, address of the first instruction: first record of an image; the thread waits */
	EVENT_BIRTH,	 /* pid, tid, tid of the parent: after fork */
	EVENT_THREAD,	 /* pid, tid: a new thread */
	EVENT_CALL,	 /* number, six arguments */
	EVENT_RETURN,	 /* number, result */
	EVENT_FILE,	 /* descriptor, device, inode, bytes, length of path, path */
	EVENT_MEMORY,	 /* address, bytes, what stands there */
	EVENT_LATE,	 /* number of threads that did not publish in time */
	EVENT_MARK,	 /* length of path, path: the call that follows sets a mark */
};

struct note {
	uint64_t ready; /* 1 + number of the note when it is filled in */
	uint64_t end;	/* word of the ring */
	uint32_t slot;
	uint32_t wides; /* wide counts behind it */
};

struct shared {
	uint64_t magic;
	uint32_t window; /* pages in the window, 1: every run is kept */
	uint32_t ips;	 /* record instruction pointers */
	uint32_t offsets; /* record the address of every run, if there is no window */
	uint32_t unused;
	uint64_t pad0[5];
	uint64_t head; /* notes claimed */
	uint64_t pad1[7];
	uint64_t tail; /* notes consumed */
	uint64_t pad2[7];
	uint32_t sleeping; /* futex: the recorder sleeps, for a few ms at most */
	uint32_t full;	   /* 1: a thread found no free slot and tries again */
	uint32_t top;	   /* one above the highest slot ever used */
	uint32_t slots;	   /* that may be used, at most SLOTS */
	uint64_t pad3[6];
	char path[256], plugin[512], stack[32]; /* for an emulator of our own: see exec.h */
	char emulator[MAX_ABIS][256];
	uint16_t calls[MAX_ABIS][MAX_CALLS];
	struct note queue[QUEUE];
};

#define CODE (1ull << 63) /* of the number of a page: its fetches */
#define OUT (1ull << 62)  /* likewise: not in the window */
#define NO_PAGE (~0ull)

/*
 * What is known of a page of one side (data or code) since the last barrier, and its
 * place in the window. One line of the cache.
 */
struct known {
	uint64_t page;	     /* with CODE and OUT */
	uint64_t stamp;	     /* clock when it was used last */
	uint64_t pending[2]; /* reads (or fetches) and writes that no reference counts */
	uint64_t record;     /* word of its last reference in the ring */
	uint64_t stood;	     /* stamp when that was written */
	uint64_t ip;
	uint32_t epoch; /* number of the last barrier */
	uint8_t wrote;	/* its first write is in the stream */
	uint8_t seen, listed, unused;
} __attribute__((aligned(64)));

struct slot {
	uint32_t state; /* 0 free, 1 in use */
	uint32_t pid, tid;
	uint32_t claiming; /* a note is claimed and not filled in */
	uint64_t pos;	   /* words written */
	uint64_t published;
	uint64_t pad0[4];
	uint64_t tail;	   /* words consumed */
	uint32_t waiting;  /* futex: the thread waits for room */
	uint32_t in_guest; /* the thread runs code of the program */
	uint32_t held;	   /* futex: the thread waits for the child of its vfork */
	uint32_t unused;
	uint64_t pad1[5];
	uint64_t clock;
	uint64_t seen_tail;
	uint32_t used; /* pages in the window */
	uint32_t cut;  /* last cut that was obeyed */
	uint32_t epoch; /* number of the last barrier */
	uint32_t nr_listed;
	uint32_t wides;
	uint32_t pad2[23];
	struct known known[KNOWN]; /* by page, with probing */
	uint64_t wide[MAX_WIDE][2];
	struct known *window[MAX_WINDOW];    /* addresses in the process, as below */
	struct known *data[INDEX], *code[CODE_INDEX]; /* where a page may be, by its low bits */
	uint16_t listed[KNOWN];		      /* pages with references in the stretch */
};
