/*
 * The window of the plugin (plugin/window.h) without QEMU. Standard input: lines
 * "r PAGE", "w PAGE" and "x PAGE COUNT" (fetches), "b" (a barrier). Standard output:
 * what would be handed over, "KIND PAGE READS WRITES" with KIND 1, 2 or 3 (fetches
 * stand as reads), and "b". The argument is K.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "../plugin/window.h"

/* drain prints what is in the ring, as the recorder reads it. */
static void drain(struct slot *t)
{
	uint64_t *ring = ring_of(t);
	end_stretch(t);
	for (uint64_t p = t->published; p < t->pos; p++) {
		uint64_t w = ring[p % RING_WORDS], r = w >> REF_FIRST & REF_MOST, s = w >> REF_SECOND & REF_MOST;
		if (w >> REF_KIND == EXEC) {
			r = w >> REF_FIRST & REF_MOST_FETCHES;
			s = 0;
		}
		if (w & REF_WIDE) {
			uint64_t *wide = t->wide[w >> REF_FIRST & REF_MOST_FETCHES];
			r = wide[0];
			s = wide[1];
		}
		printf("%d %llu %llu %llu\n", (int)(w >> REF_KIND), (unsigned long long)(w & 0xffffffffffull), (unsigned long long)r, (unsigned long long)s);
		p += (w & REF_ADDRESS) != 0;
	}
	t->published = t->tail = t->pos;
	t->wides = 0;
}

int main(int argc, char **argv)
{
	size_t size = HEAD_BYTES + SLOT_BYTES + RING_BYTES;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = (struct shared *)memory;
	window = argc > 1 ? atoi(argv[1]) : 1;
	struct slot *t = (struct slot *)(memory + HEAD_BYTES);
	t->epoch = 1;
	char op;
	while (scanf(" %c", &op) == 1) {
		unsigned long long page = 0, n = 0;
		if (op == 'b') {
			drain(t);
			barrier(t);
			printf("b\n");
			continue;
		}
		if (scanf("%llu", &page) != 1 || (op == 'x' && scanf("%llu", &n) != 1))
			return 1;
		if (op == 'x')
			code(t, page << PAGE_SHIFT, n);
		else
			data(t, page << PAGE_SHIFT, op == 'w' ? WRITE : READ, 0);
		if (t->pos - t->published > 200) /* before the window would */
			drain(t);
	}
	drain(t);
}
