/*
 * Usage: page_fault1 THREADS MILLISECONDS
 *
 * Each thread maps 128 MiB of anonymous memory, writes one byte to each page, and
 * unmaps it, over and over. Only the writes are timed. Prints the faults of all
 * threads, as getrusage counts them, and the longest time that a thread spent in its
 * writes.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum { SIZE = 128 << 20, PAGE = 4096 };

static long limit; /* ns */

struct work {
	pthread_t thread;
	long faults, ns;
};

static long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long minor(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_minflt;
}

static void *run(void *arg)
{
	struct work *w = arg;

	for (long end = now() + limit; now() < end;) {
		volatile char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			exit(1);
		madvise((void *)p, SIZE, MADV_NOHUGEPAGE);
		long faults = minor(), began = now();
		for (long i = 0; i < SIZE; i += PAGE)
			p[i] = 1;
		w->ns += now() - began;
		w->faults += minor() - faults;
		munmap((void *)p, SIZE);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	limit = (argc > 2 ? atol(argv[2]) : 1000) * 1000000L;
	if (n < 1 || n > 64)
		return 2;
	struct work w[64] = {0};
	long faults = 0, ns = 0;
	for (int i = 0; i < n; i++)
		if (pthread_create(&w[i].thread, NULL, run, &w[i]))
			return 1;
	for (int i = 0; i < n; i++) {
		pthread_join(w[i].thread, NULL);
		faults += w[i].faults;
		if (w[i].ns > ns)
			ns = w[i].ns;
	}
	printf("%ld faults %ld ns\n", faults, ns);
	return 0;
}
