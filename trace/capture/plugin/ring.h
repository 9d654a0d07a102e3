/*
 * Memory shared by the recorder and every process that it records. The Go side
 * of it is qemu_ring.go; a test compares both.
 *
 *	head of the file   struct shared, HEAD_BYTES
 *	slots              SLOTS times: struct slot, WINDOW entries, ring of RING_WORDS words
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
#define SLOT_BYTES (16 * 1024)
#define RING_WORDS 65536
#define RING_BYTES (RING_WORDS * 8)
#define QUEUE 4096
#define MAX_WINDOW 8
#define INDEX 256
#define KNOWN 512
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
};

/*
 * Records in a ring are words. The first says what follows:
 *
 *	bits 62-63  1, 2, 3: a reference whose first access was a read, write or fetch;
 *	            bits 0-31 reads or fetches, bits 32-61 writes. Then its byte address
 *	            and, where asked for, its instruction pointer
 *	bits 62-63  0: an event, bits 32-39 its kind, bits 0-31 the words that follow
 */
enum {
	EVENT_START = 1, /* pid, tid, ABI: first record of an image; the thread waits */
	EVENT_BIRTH,	 /* pid, tid, tid of the parent: after fork */
	EVENT_THREAD,	 /* pid, tid: a new thread */
	EVENT_CALL,	 /* number, six arguments */
	EVENT_RETURN,	 /* number, result */
	EVENT_FILE,	 /* descriptor, device, inode, bytes, length of path, path */
	EVENT_MEMORY,	 /* address, bytes, what stands there */
	EVENT_LATE,	 /* number of threads that did not publish in time */
};

struct note {
	uint64_t ready; /* 1 + number of the note when it is filled in */
	uint64_t end;	/* word of the ring */
	uint32_t slot;
	uint32_t unused;
};

struct shared {
	uint64_t magic;
	uint32_t window; /* pages in the window, 1: every run is kept */
	uint32_t ips;	 /* record instruction pointers */
	uint64_t pad0[6];
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

/*
 * One page of one side (data or code) in the window. What came first is kept
 * apart from the rest: these become two references.
 */
struct entry {
	uint64_t page; /* number of the page, with CODE for fetches */
	uint64_t first_addr, first_ip;
	uint64_t first_stamp, stamp; /* clock of the first and the last access */
	uint64_t counts[2];	     /* reads (or fetches) and writes, without the first */
	uint32_t first_count;
	uint8_t first_kind;
	uint8_t wrote; /* its first write since the last barrier is in the stream */
	uint16_t unused;
};

#define CODE (1ull << 63)

/* What is known of a page since the last barrier. */
struct known {
	uint64_t tag; /* page, epoch */
	uint32_t seen, wrote;
};

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
	uint32_t used; /* entries of the window */
	uint32_t cut;  /* last cut that was obeyed */
	uint64_t epoch;
	struct entry *data, *code; /* used last; addresses in the process */
	struct entry window[MAX_WINDOW];
	struct entry *index[INDEX];    /* where a page of data is in the window, by its low bits */
	struct known known[KNOWN];     /* direct-mapped */
};
