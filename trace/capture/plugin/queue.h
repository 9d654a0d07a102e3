/*
 * Handing records to the recorder: the ring of a thread and the queue of notes.
 */
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ring.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static uint8_t *memory; /* the shared memory */
static struct shared *shared;

static void futex_wait(uint32_t *word, uint32_t value, long ns)
{
	struct timespec t = {.tv_nsec = ns};
	syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
}

static void futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static uint64_t *ring_of(struct slot *t)
{
	return (uint64_t *)((uint8_t *)t + SLOT_BYTES);
}

static void wake_recorder(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&shared->sleeping, __ATOMIC_RELAXED)) {
		__atomic_store_n(&shared->sleeping, 0, __ATOMIC_RELAXED);
		futex_wake(&shared->sleeping);
	}
}

/*
 * await_room waits until the ring has room for n words. The recorder writes tail
 * all the time: it is read again only where what was seen of it last is too little.
 */
static __attribute__((noinline)) void await_room(struct slot *t, uint64_t n)
{
	while (t->pos + n - (t->seen_tail = __atomic_load_n(&t->tail, __ATOMIC_ACQUIRE)) > RING_WORDS) {
		wake_recorder();
		__atomic_store_n(&t->waiting, 1, __ATOMIC_SEQ_CST);
		if (t->pos + n - __atomic_load_n(&t->tail, __ATOMIC_SEQ_CST) > RING_WORDS)
			futex_wait(&t->waiting, 1, 50 * 1000 * 1000);
	}
}

static inline void reserve(struct slot *t, uint64_t n)
{
	if (unlikely(t->pos + n - t->seen_tail > RING_WORDS))
		await_room(t, n);
}

/*
 * hand_over tells the recorder what the ring holds. It is not woken for that
 * unless it has fallen behind: waking costs more than what there is to read.
 *
 * pos moves behind the wide counts when the note is filled in: what is read of a
 * process that was killed before ends where they begin.
 */
static void hand_over(struct slot *t)
{
	if (t->published == t->pos)
		return;
	uint32_t wides = t->wides;
	reserve(t, 2 * wides);
	for (uint32_t i = 0; i < 2 * wides; i++)
		ring_of(t)[(t->pos + i) % RING_WORDS] = t->wide[i / 2][i % 2];
	t->claiming = 1;
	uint64_t n = __atomic_fetch_add(&shared->head, 1, __ATOMIC_SEQ_CST);
	while (n - __atomic_load_n(&shared->tail, __ATOMIC_ACQUIRE) >= QUEUE) {
		wake_recorder();
		usleep(100);
	}
	struct note *q = &shared->queue[n % QUEUE];
	q->slot = ((uint8_t *)t - memory - HEAD_BYTES) / (SLOT_BYTES + RING_BYTES);
	q->end = t->pos;
	q->wides = wides;
	__atomic_store_n(&q->ready, n + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&t->pos, t->pos + 2 * wides, __ATOMIC_RELEASE);
	t->published = t->pos;
	t->wides = 0;
	int behind = t->pos - __atomic_load_n(&t->tail, __ATOMIC_RELAXED) > RING_WORDS / 2 || n - __atomic_load_n(&shared->tail, __ATOMIC_RELAXED) > QUEUE / 2;
	__atomic_store_n(&t->claiming, 0, __ATOMIC_RELEASE); /* from here on a thread that ends does not touch its slot */
	if (behind)
		wake_recorder();
}

/*
 * event writes an event. pos moves when all of it is there: the recorder reads up
 * to pos when the process has been killed.
 */
static void event(struct slot *t, int kind, uint32_t n, const uint64_t *payload)
{
	reserve(t, n + 1);
	uint64_t *ring = ring_of(t), pos = t->pos;
	ring[pos++ % RING_WORDS] = (uint64_t)kind << 32 | n;
	for (uint32_t i = 0; i < n; i++)
		ring[pos++ % RING_WORDS] = payload[i];
	__atomic_store_n(&t->pos, pos, __ATOMIC_RELEASE);
}

