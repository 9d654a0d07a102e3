/*
 * References and the window.
 *
 * A reference is a run of accesses to one page; data and code of one page count as
 * two. With a window of K pages the references that are left are those that an
 * LRU memory of K pages cannot do without, by the rule OLR of Kaplan, Smaragdakis
 * and Wilson (SIGMETRICS 1999, "optimal LRU reduction"): a trace with the same
 * sequence of misses and victims in an LRU memory of K pages has the same misses
 * in every larger one, and in every LRU set of at least K ways, for what stands
 * below the first K is in order of their eviction.
 *
 * So the window holds the K pages used last (stamp says in which order), and each
 * knows where its last reference is in the ring (record). A page that is not in it
 * is a miss and a reference. The victim is the one used longest ago; the ones whose
 * last reference is older than that of the victim although they were used since
 * get another one first, and the reduced trace has the same victim. For that to be
 * possible without a reference that stands for no access: of two pages, where the
 * one used later has not been used since its last reference, the last reference of
 * the other is before that (place).
 *
 * Counts. A reference counts 1 of its first kind and 1 of the other, if there was
 * one; what is above that waits (pending) for the last reference to the page of
 * the stretch, which is what is handed over together: counts that differ are what a
 * compressor cannot predict. The sums between two events are exact.
 *
 * System calls end a stretch and forget the window. The first write to a page after
 * one forgets the window too, for it may take another page (copy-on-write).
 *
 * The first reference to a page after a system call has its address: it is the
 * one that faults. All others name the page only. With a window of one page every
 * run stands for itself with its own counts, and runs of data have their own
 * address unless nobody wants it.
 */
#include "queue.h"

enum { READ = 1, WRITE = 2, EXEC = 3 };
#define PAGE_SHIFT 12
#define PAGE_MASK 0xfff
#define PROBES (2 * MAX_WINDOW) /* of the table of pages; more than what is in the window */
#define STRETCH (RING_WORDS / 4)

static uint32_t window, ips; /* as in the memory of the recorder */
static struct known none = {.page = NO_PAGE};

/* record_counts adds to the counts of a reference that is not handed over yet. */
static void record_counts(struct slot *t, struct known *k, uint64_t reads, uint64_t writes)
{
	uint64_t *word = &ring_of(t)[k->record % RING_WORDS];
	uint64_t most = k->page & CODE ? REF_MOST_FETCHES : REF_MOST;
	uint64_t r = (*word >> REF_FIRST & most) + reads;
	uint64_t w = k->page & CODE ? 0 : (*word >> REF_SECOND & REF_MOST) + writes;
	*word &= ~(REF_MOST_FETCHES << REF_FIRST);
	if (r <= most && w <= REF_MOST) {
		*word |= r << REF_FIRST | w << REF_SECOND;
		return;
	}
	t->wide[t->wides][0] = r;
	t->wide[t->wides][1] = w;
	*word |= REF_WIDE | (uint64_t)t->wides << REF_FIRST;
	__atomic_store_n(&t->wides, t->wides + 1, __ATOMIC_RELEASE);
}

/*
 * emit writes a reference to a page that stands at word `at` of the ring, which
 * is pos unless room has been made; counts are 0 or 1.
 */
static inline uint64_t emit(struct slot *t, struct known *k, uint64_t at, uint64_t kind, uint64_t reads, uint64_t writes)
{
	uint64_t *ring = ring_of(t);
	k->record = at;
	k->stood = k->stamp;
	ring[at++ % RING_WORDS] = kind << REF_KIND | reads << REF_FIRST | writes << REF_SECOND | (k->page & REF_PAGE);
	if (ips)
		ring[at++ % RING_WORDS] = k->ip;
	if (!k->listed) {
		k->listed = 1;
		t->listed[t->nr_listed++] = k - t->known;
	}
	return at;
}

/*
 * place makes room for a reference to a page, and says where: before those of pages
 * that were used later and have no use left that could stand for another
 * reference, else at the end. What lies behind belongs to pages of the window.
 */
static inline uint64_t place(struct slot *t, const struct known *k)
{
	uint64_t *ring = ring_of(t), end = t->pos, at = end, size = 1 + ips;
	for (unsigned int i = 0; i < t->used; i++) {
		const struct known *o = t->window[i];
		int later = (o->stamp > k->stamp) & (o->stood == o->stamp) & (o->record < at);
		at = later ? o->record : at;
	}
	if (at == end)
		return at;
	for (uint64_t i = end; i > at; i--)
		ring[(i - 1 + size) % RING_WORDS] = ring[(i - 1) % RING_WORDS];
	for (unsigned int i = 0; i < t->used; i++)
		t->window[i]->record += t->window[i]->record >= at ? size : 0;
	return at;
}

/* touch gives a page another reference, for what it was used since its last. */
static void touch(struct slot *t, struct known *k)
{
	uint64_t reads = k->pending[0] > 0, writes = k->pending[1] > 0;
	k->pending[0] -= reads;
	k->pending[1] -= writes;
	emit(t, k, place(t, k), k->page & CODE ? EXEC : reads ? READ : WRITE, reads, writes);
	__atomic_store_n(&t->pos, t->pos + 1 + ips, __ATOMIC_RELEASE);
}

/* leave takes a page out of the window, all but its place in it. */
static inline void leave(struct slot *t, struct known *k)
{
	k->page |= OUT;
	if (window == 1) {
		if (k->pending[0] | k->pending[1])
			record_counts(t, k, k->pending[0], k->pending[1]);
		k->pending[0] = k->pending[1] = 0;
		return;
	}
	uint64_t word = ring_of(t)[k->record % RING_WORDS];
	uint64_t reads = k->pending[0] > 0 && !(word >> REF_FIRST & REF_MOST), writes = k->pending[1] > 0 && !(word >> REF_SECOND & REF_MOST);
	if ((reads | writes) && !(k->page & CODE)) {
		record_counts(t, k, reads, writes);
		k->pending[0] -= reads;
		k->pending[1] -= writes;
	}
}

/* by_use sorts pages by when they were used, the last one last. */
static inline void by_use(struct known **w, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		struct known *k = w[i];
		unsigned int j = i;
		for (; j > 0 && w[j - 1]->stamp > k->stamp; j--)
			w[j] = w[j - 1];
		w[j] = k;
	}
}

/* make_room drops the page that was used longest ago. */
static inline void make_room(struct slot *t)
{
	struct known **w = t->window, *older[MAX_WINDOW + 1];
	unsigned int victim = 0, n = 0;
	uint64_t oldest = w[0]->stamp;
	for (unsigned int i = 1; i < t->used; i++) {
		uint64_t stamp = w[i]->stamp;
		victim = stamp < oldest ? i : victim;
		oldest = stamp < oldest ? stamp : oldest;
	}
	uint64_t limit = w[victim]->record;
	for (unsigned int i = 0; i < t->used; i++) {
		older[n] = w[i];
		n += w[i]->record < limit;
	}
	by_use(older, n);
	for (unsigned int i = 0; i < n; i++)
		touch(t, older[i]);
	leave(t, w[victim]);
	w[victim] = w[--t->used];
}

/* forget empties the window; the references so far leave the order of its pages. */
static void forget(struct slot *t)
{
	struct known *order[MAX_WINDOW];
	unsigned int n = t->used;
	memcpy(order, t->window, sizeof(order));
	by_use(order, n);
	for (unsigned int i = 1; i < n; i++)
		if (order[i]->record < order[i - 1]->record)
			touch(t, order[i]);
	for (unsigned int i = 0; i < n; i++)
		leave(t, order[i]);
	t->used = 0;
}

/* end_stretch puts all counts into references. */
static void end_stretch(struct slot *t)
{
	reserve(t, 2 * MAX_WINDOW);
	forget(t);
	for (unsigned int i = 0; i < t->nr_listed; i++) {
		struct known *k = &t->known[t->listed[i]];
		k->listed = 0;
		if (k->pending[0] | k->pending[1])
			record_counts(t, k, k->pending[0], k->pending[1]);
		k->pending[0] = k->pending[1] = 0;
	}
	t->nr_listed = 0;
}

/* publish hands over all that the thread has done. */
static void publish(struct slot *t)
{
	end_stretch(t);
	hand_over(t);
}

/* barrier ends the stretch and what is known of pages: nothing is folded across it. */
static void barrier(struct slot *t)
{
	end_stretch(t);
	if (++t->epoch == 0) { /* after 2^32 of them, old pages would look new */
		memset(t->known, 0, sizeof(t->known));
		t->epoch = 1;
	}
}

/* knowledge is what is known of a page since the last barrier. */
static inline struct known *knowledge(struct slot *t, uint64_t page)
{
	struct known *found = NULL;
	uint64_t at = page * 0x9e3779b97f4a7c15 >> 55; /* Fibonacci hashing, 9 bits */
	for (unsigned int i = 0; i < PROBES; i++) {
		struct known *k = &t->known[(at + i) % KNOWN];
		if ((k->page & ~OUT) == page && k->epoch == t->epoch)
			return k;
		if (k->epoch != t->epoch) { /* nothing is behind an empty place */
			if (!found)
				found = k;
			break;
		}
		if (!found && k->page & OUT)
			found = k;
	}
	if (found->pending[0] | found->pending[1])
		record_counts(t, found, found->pending[0], found->pending[1]);
	*found = (struct known){.page = page | OUT, .epoch = t->epoch, .listed = found->listed};
	return found;
}

/* admit takes a page that is not in the window into it: n accesses of a kind. */
static inline void admit(struct slot *t, struct known *k, uint64_t addr, int kind, uint64_t n, uint64_t ip)
{
	if (t->used >= window)
		make_room(t);
	int with_address = !k->seen || (window == 1 && kind != EXEC && shared->offsets);
	k->seen = 1;
	k->page &= ~OUT;
	k->ip = ip;
	k->stamp = ++t->clock;
	t->window[t->used++] = k;
	uint64_t at = t->pos, end = emit(t, k, at, kind, kind != WRITE, kind == WRITE);
	if (with_address) {
		ring_of(t)[at % RING_WORDS] |= REF_ADDRESS;
		ring_of(t)[end++ % RING_WORDS] = addr;
	}
	__atomic_store_n(&t->pos, end, __ATOMIC_RELEASE);
	k->pending[0] += n - 1;
}

/*
 * prepare makes room in the ring for all that one access can add to it: an address,
 * and two references to every page of the window.
 */
static inline void prepare(struct slot *t)
{
	if (unlikely(t->pos - t->published >= STRETCH || t->wides > MAX_WIDE - KNOWN - PROBES))
		publish(t);
	reserve(t, 2 + 4 * (MAX_WINDOW + 1));
}

/* data takes an access to a page that the index does not find, or its first write. */
static void data(struct slot *t, uint64_t addr, int kind, uint64_t ip)
{
	prepare(t);
	struct known *k = knowledge(t, addr >> PAGE_SHIFT);
	if (kind == WRITE && !k->wrote) {
		if (window > 1)
			forget(t);
		k->wrote = 1;
	}
	if (!(k->page & OUT)) {
		k->pending[kind == WRITE]++;
		k->stamp = ++t->clock;
	} else {
		admit(t, k, addr, kind, 1, ip);
	}
	t->data[(addr >> PAGE_SHIFT) % INDEX] = k;
}

/* code takes n fetches from a page that the index does not find. */
static void code(struct slot *t, uint64_t addr, uint64_t n)
{
	prepare(t);
	struct known *k = knowledge(t, addr >> PAGE_SHIFT | CODE);
	if (!(k->page & OUT)) {
		k->pending[0] += n;
		k->stamp = ++t->clock;
	} else {
		admit(t, k, addr, EXEC, n, addr);
	}
	t->code[(addr >> PAGE_SHIFT) % CODE_INDEX] = k;
}
