// Four threads that allocate and free, map and unmap, and change protections:
// every munmap and mprotect has to be told to the processors of the others.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { THREADS = 4, ROUNDS = 12, SMALL = 60, PAGE = 4096, PAGES = 48 };

static char *table; // shared by all, read by all
static long sums[THREADS];
static pthread_barrier_t together; // all live at once: none inherits the arena of another

static void *work(void *arg) {
	long id = (long)arg, sum = 0;
	pthread_barrier_wait(&together);
	for (int round = 0; round < ROUNDS; round++) {
		char *blocks[SMALL]; // in the arena of the thread
		for (int i = 0; i < SMALL; i++) {
			blocks[i] = malloc(600 + 40 * i);
			memset(blocks[i], (int)id, 64);
		}
		char *map = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED)
			exit(2);
		for (int i = 0; i < PAGES; i++) {
			map[i * PAGE] = table[i * PAGE + id];
			sum += map[i * PAGE];
		}
		mprotect(map, PAGES * PAGE / 2, PROT_READ);
		for (int i = 0; i < PAGES; i++)
			sum += map[i * PAGE];
		munmap(map, PAGES * PAGE);
		for (int i = 0; i < SMALL; i++)
			free(blocks[i]);
		if (round == ROUNDS / 2) { // a large block, for a short while
			char *large = malloc(1 << 20);
			memset(large, (int)round, 1 << 20);
			sum += large[round];
			free(large);
		}
	}
	sums[id] = sum;
	pthread_barrier_wait(&together);
	return NULL;
}

int main(void) {
	pthread_t threads[THREADS];
	table = malloc(PAGES * PAGE + THREADS);
	memset(table, 3, PAGES * PAGE + THREADS);
	pthread_barrier_init(&together, NULL, THREADS);
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			return 1;
	long sum = 0;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += sums[i];
	}
	printf("%ld\n", sum);
	return 0;
}
