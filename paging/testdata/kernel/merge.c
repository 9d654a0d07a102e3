/*
 * The calls of page_fault1 (will-it-scale) in an order that a linear generator draws: of
 * so many threads each maps private anonymous memory wherever the kernel likes, writes it
 * and unmaps it again. Which thread calls does not matter to the kernel, so there is one.
 * After each call it prints what lies below the first mapping, a character for each that
 * there is room for and a bar between two vm_area_structs that touch.
 *
 * Sizes are no multiple of 2 MiB: those are aligned since Linux 6.7, and leave holes.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SLOT (63 * 1024 * 1024L + 4096)
enum { THREADS = 6, SLOTS = 12, ROUNDS = 40, STEPS = 60 };

static uint64_t state;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned draw(unsigned n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (state >> 33) % n;
}

static char *here(void)
{
	char *a = mmap(NULL, SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (a == MAP_FAILED)
		die("mmap");
	return a;
}

/* strip draws the slots below top */
static void strip(char *top)
{
	static struct { unsigned long start, end; } v[1000];
	char line[512], out[2 * SLOTS + 2], *o = out;
	int n = 0, last = -1;
	FILE *f = fopen("/proc/self/maps", "r");

	if (!f)
		die("maps");
	while (n < 1000 && fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx", &v[n].start, &v[n].end) == 2)
			n++;
	fclose(f);
	for (int s = SLOTS; s > 0; s--) {
		unsigned long a = (unsigned long)top - s * SLOT;
		int in = -1;

		for (int i = 0; i < n; i++)
			if (v[i].start <= a && a < v[i].end)
				in = i;
		if (in >= 0 && last >= 0 && in != last)
			*o++ = '|';
		*o++ = in < 0 ? '.' : 'w';
		last = in;
	}
	*o = 0;
	puts(out);
}

int main(void)
{
	/* what is above must not take the mappings in */
	char *guard = mmap(NULL, SLOT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (guard == MAP_FAILED)
		die("mmap");
	for (int r = 0; r < ROUNDS; r++) {
		char *at[THREADS] = {};
		int written[THREADS] = {};

		state = r;
		printf("round %d\n", r);
		for (int s = 0; s < STEPS; s++) {
			int i = draw(THREADS);

			if (!at[i]) {
				at[i] = here();
			} else if (!written[i]) {
				at[i][0] = written[i] = 1;
			} else {
				munmap(at[i], SLOT);
				at[i] = NULL;
				written[i] = 0;
			}
			strip(guard);
		}
		for (int i = 0; i < THREADS; i++)
			if (at[i])
				munmap(at[i], SLOT);
	}
	return 0;
}
