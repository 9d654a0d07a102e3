// A server that forks its workers in advance. Each worker changes part of what
// it has inherited, and so gets copies; the parent writes while they live and
// after they are gone.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 5, PAGE = 4096, PAGES = 768, GENERATIONS = 2 };

static void worker(char *cache, int id) {
	for (int i = id; i < PAGES; i += 2 + id) // a share of the pages, another for each
		cache[i * PAGE] += id;
	char *own = malloc(64 * PAGE);
	memset(own, id, 64 * PAGE);
	long sum = 0;
	for (int i = 0; i < PAGES; i++)
		sum += cache[i * PAGE];
	_exit(sum + own[PAGE] == 0);
}

int main(void) {
	char *cache = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (cache == MAP_FAILED || shared == MAP_FAILED)
		return 1;
	for (int i = 0; i < PAGES; i++)
		memset(cache + i * PAGE, 1, 256);
	for (int generation = 0; generation < GENERATIONS; generation++) {
		for (int id = 0; id < WORKERS; id++) {
			pid_t pid = fork();
			if (pid < 0)
				return 2;
			if (pid == 0) {
				__atomic_add_fetch(shared, id, __ATOMIC_RELAXED);
				worker(cache, id);
			}
		}
		int status;
		while (wait(&status) > 0)
			if (status)
				return 3;
		for (int i = 0; i < PAGES; i++) // alone again: no copies
			cache[i * PAGE]++;
	}
	printf("%ld\n", *shared);
	return 0;
}
