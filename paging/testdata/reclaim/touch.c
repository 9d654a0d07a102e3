/* touch PATTERN PAGES COUNT: writes to pages of anonymous memory in an order that
 * live_reclaim_test.go repeats, and prints the major faults that it took. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static uint64_t state = 88172645463325252ULL;

static uint64_t next(void) /* xorshift64 */
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t page(const char *pattern, uint64_t i, uint64_t count, uint64_t pages)
{
	double u;

	switch (pattern[0]) {
	case 'l': /* loop */
		return i % pages;
	case 'r': /* random */
		return (next() >> 11) % pages;
	case 'p': /* phases: random within a quarter, eight times another */
		return ((i * 8 / count) * 3 % 8 * pages / 8 + (next() >> 11) % (pages / 4)) % pages;
	default: /* zipf-like: the cube of a uniform number, scattered */
		u = (double)(next() >> 11) / 9007199254740992.0;
		return (uint64_t)(u * u * u * (double)pages) * 2654435761ULL % pages;
	}
}

int main(int argc, char **argv)
{
	struct rusage before, after;
	uint64_t pages = strtoull(argv[2], 0, 10), count = strtoull(argv[3], 0, 10);
	volatile char *p = mmap(0, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (argc != 4 || p == MAP_FAILED)
		return 1;
	getrusage(RUSAGE_SELF, &before);
	for (uint64_t i = 0; i < count; i++)
		p[page(argv[1], i, count, pages) * 4096]++;
	getrusage(RUSAGE_SELF, &after);
	printf("%ld\n", after.ru_majflt - before.ru_majflt);
	return 0;
}
