/*
 * References and the window.
 *
 * A reference is a run of accesses to one page. Behind that, a window of the
 * last few pages folds further: a stretch of the stream that touches at most
 * `window` pages (data and code of one page count as two) leaves the first and
 * the last reference to each page, in their order. Every reference between those
 * lies between two to its own page with fewer than `window` others, so this is
 * the reduction rule of package reduce and exact for every LRU memory of that
 * many pages. System calls end a stretch, and so does the first write to a page
 * after one.
 *
 * The first reference to a page after a system call has its address: it is the
 * one that faults. All others name the page only, by its first byte. With a window
 * of one page every run stands for itself, and runs of data have their own address.
 */
#include "queue.h"

enum { READ = 1, WRITE = 2, EXEC = 3 };
#define PAGE_SHIFT 12
#define PAGE_MASK 0xfff
#define MOST (1u << 30) /* of a count; longer runs are cut */

static struct entry none = {.page = ~0ull}; /* no page */

/* put writes a reference where there is room for it, and returns what comes after. */
static uint64_t put(uint64_t *ring, uint64_t pos, int kind, uint64_t addr, const struct entry *e, uint64_t reads, uint64_t writes)
{
	ring[pos++ % RING_WORDS] = (uint64_t)kind << 62 | writes << 32 | reads;
	ring[pos++ % RING_WORDS] = addr;
	if (shared->ips)
		ring[pos++ % RING_WORDS] = e->first_ip;
	return pos;
}

/* long_run writes counts that do not fit into one reference, but for the rest. */
static __attribute__((noinline)) void long_run(struct slot *t, struct entry *e)
{
	for (int w = 0; w < 2; w++)
		for (; e->counts[w] >= MOST; e->counts[w] -= MOST - 1) {
			int kind = e->first_kind == EXEC ? EXEC : w ? WRITE : READ;
			reserve(t, 3);
			t->pos = put(ring_of(t), t->pos, kind, e->first_addr, e, w ? 0 : MOST - 1, w ? MOST - 1 : 0);
		}
}

static uint64_t put_first(uint64_t *ring, uint64_t pos, const struct entry *e, uint64_t reads, uint64_t writes)
{
	if (e->first_kind == WRITE)
		writes += e->first_count;
	else
		reads += e->first_count;
	return put(ring, pos, e->first_kind, e->first_addr, e, reads, writes);
}

static uint64_t put_last(uint64_t *ring, uint64_t pos, const struct entry *e)
{
	int kind = e->first_kind == EXEC ? EXEC : e->counts[0] ? READ : WRITE;
	return put(ring, pos, kind, e->first_addr & ~(uint64_t)PAGE_MASK, e, e->counts[0], e->counts[1]);
}

/*
 * moment makes clocks comparable: fetches of a block come before its data, which
 * have the same clock.
 */
static uint64_t moment(uint64_t clock, const struct entry *e)
{
	return clock << 1 | (e->first_kind != EXEC);
}

/* close_window writes the first and the last reference to each page in it. */
static void close_window(struct slot *t)
{
	struct entry *w = t->window, *last[MAX_WINDOW];
	unsigned int n = t->used, lasts = 0, l = 0;
	if (n == 0)
		return;
	for (unsigned int i = 0; i < n; i++) {
		if (unlikely((w[i].counts[0] | w[i].counts[1]) >= MOST))
			long_run(t, &w[i]);
		if (n == 1 || w[i].stamp == w[i].first_stamp)
			continue;
		unsigned int j = lasts++;
		for (; j > 0 && moment(w[i].stamp, &w[i]) < moment(last[j - 1]->stamp, last[j - 1]); j--)
			last[j] = last[j - 1];
		last[j] = &w[i];
	}
	reserve(t, 2 * 3 * MAX_WINDOW);
	uint64_t *ring = ring_of(t), pos = t->pos;
	for (unsigned int i = 0; i < n; i++) {
		for (; l < lasts && moment(last[l]->stamp, last[l]) < moment(w[i].first_stamp, &w[i]); l++)
			pos = put_last(ring, pos, last[l]);
		if (n == 1 || w[i].stamp == w[i].first_stamp)
			pos = put_first(ring, pos, &w[i], w[i].counts[0], w[i].counts[1]);
		else
			pos = put_first(ring, pos, &w[i], 0, 0);
	}
	for (; l < lasts; l++)
		pos = put_last(ring, pos, last[l]);
	for (unsigned int i = 0; i < n; i++)
		w[i].page = ~0ull;
	t->used = 0;
	t->data = t->code = &none;
	__atomic_store_n(&t->pos, pos, __ATOMIC_RELEASE);
	if (pos - t->published >= RING_WORDS / 4)
		publish(t);
}

/* barrier ends the stretch: nothing is folded across it. */
static void barrier(struct slot *t)
{
	close_window(t);
	if ((++t->epoch & PAGE_MASK) == 0)
		memset(t->known, 0xff, sizeof(t->known));
}

/* knowledge is what is known of a page since the last barrier. */
static struct known *knowledge(struct slot *t, uint64_t page)
{
	uint64_t tag = page << PAGE_SHIFT | (page & CODE) | (t->epoch & PAGE_MASK);
	struct known *k = &t->known[page * 0x9e3779b97f4a7c15 >> 55]; /* Fibonacci hashing, 9 bits */
	if (k->tag != tag)
		*k = (struct known){.tag = tag};
	return k;
}

/* shown is the address that a reference has. */
static uint64_t shown(struct known *k, uint64_t addr, int kind)
{
	if (k->seen && (shared->window > 1 || kind == EXEC))
		addr &= ~(uint64_t)PAGE_MASK;
	k->seen = 1;
	return addr;
}

/* begin makes an entry for a page that is not in the window. */
static struct entry *begin(struct slot *t, uint64_t page, uint64_t addr, int kind, uint32_t count, uint64_t ip)
{
	if (t->used >= shared->window)
		close_window(t);
	struct entry *e = &t->window[t->used++];
	*e = (struct entry){.page = page, .first_addr = addr, .first_ip = ip, .first_stamp = t->clock, .stamp = t->clock,
		.first_count = count, .first_kind = kind};
	return e;
}

static struct entry *find(struct slot *t, uint64_t page)
{
	for (unsigned int i = 0; i < t->used; i++)
		if (t->window[i].page == page)
			return &t->window[i];
	return NULL;
}

static void again(struct slot *t, struct entry *e, int store)
{
	t->clock += e != t->data;
	t->data = e;
	e->stamp = t->clock;
	e->counts[store]++;
}

/* data takes an access to a page that the index does not find, or its first write. */
static void data(struct slot *t, uint64_t addr, int kind, uint64_t ip)
{
	uint64_t page = addr >> PAGE_SHIFT;
	struct entry *e = find(t, page);
	struct known *k = knowledge(t, page);
	if (e && kind == WRITE && !e->wrote) {
		if (k->wrote || shared->window == 1)
			e->wrote = 1;
		else {
			close_window(t);
			e = NULL;
		}
	}
	if (e == NULL) {
		t->clock++;
		e = t->data = begin(t, page, shown(k, addr, kind), kind, 1, ip);
		e->wrote = k->wrote |= kind == WRITE;
		if (shared->window == 1)
			t->code = &none;
	} else {
		again(t, e, kind == WRITE);
	}
	t->index[page % INDEX] = e;
}
