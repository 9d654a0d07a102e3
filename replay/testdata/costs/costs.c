/*
 * Measures the costs of the built-in table (replay/costs.json) on the machine at
 * hand, one "name nanoseconds" a line: the least of several rounds, in time of the
 * processor that the thread had.
 *
 *	cc -O2 -pthread costs.c -o costs && ./costs [ROUNDS]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, N = 4096 };

static volatile char sink;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static char *map(int prot, int flags, int fd)
{
	char *a = mmap(NULL, (size_t)N * PAGE, prot, flags, fd, 0);

	if (a == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	madvise(a, (size_t)N * PAGE, MADV_NOHUGEPAGE);
	return a;
}

/* one access to every step-th page, in ns each */
static double touch(char *a, int step, int write)
{
	double t = now();

	for (int i = 0; i < N; i += step) {
		if (write)
			a[(size_t)i * PAGE] = 1;
		else
			sink = a[(size_t)i * PAGE];
	}
	return (now() - t) / (N / step);
}

static double anon_write(int fd)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	double t = touch(a, 1, 1);

	munmap(a, (size_t)N * PAGE);
	return t;
}

static double anon_read(int fd)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	double t = touch(a, 1, 0);

	munmap(a, (size_t)N * PAGE);
	return t;
}

/* the pages go, and so do their frames; the call itself is nothing against so many */
static double drop_page(int fd)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	double t;

	touch(a, 1, 1);
	t = now();
	munmap(a, (size_t)N * PAGE);
	return (now() - t) / N;
}

static double file_read(int fd)
{
	char *a = map(PROT_READ, MAP_PRIVATE, fd);
	double t = touch(a, 16, 0);

	munmap(a, (size_t)N * PAGE);
	return t;
}

static double file_cow(int fd)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	double t = touch(a, 1, 1);

	munmap(a, (size_t)N * PAGE);
	return t;
}

static double file_shared(int fd)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	double t = touch(a, 1, 1);

	munmap(a, (size_t)N * PAGE);
	return t;
}

static double mkwrite(int fd)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	double t;

	touch(a, 16, 0);
	t = touch(a, 1, 1);
	munmap(a, (size_t)N * PAGE);
	return t;
}

/* the parent writes while a child shares the pages, or after it has gone */
static double after_fork(int alive)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int hold[2];
	double t;
	pid_t pid;

	touch(a, 1, 1);
	if (pipe(hold))
		exit(1);
	pid = fork();
	if (pid == 0) {
		char c;

		close(hold[1]);
		if (read(hold[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(hold[0]);
	if (!alive) {
		close(hold[1]);
		waitpid(pid, NULL, 0);
	}
	t = touch(a, 1, 1);
	if (alive) {
		close(hold[1]);
		waitpid(pid, NULL, 0);
	}
	munmap(a, (size_t)N * PAGE);
	return t;
}

static double cow_copy(int fd) { return after_fork(1); }
static double cow_reuse(int fd) { return after_fork(0); }

/* mprotect of so many pages, there and back, in ns a call */
static double protect(char *a, int pages, int present)
{
	enum { CALLS = 2000 };
	double t;

	if (!present)
		madvise(a, (size_t)pages * PAGE, MADV_DONTNEED);
	t = now();
	for (int i = 0; i < CALLS; i++) {
		mprotect(a, (size_t)pages * PAGE, PROT_READ);
		if (present)
			sink = a[0];
		mprotect(a, (size_t)pages * PAGE, PROT_READ | PROT_WRITE);
		if (present)
			sink = a[0];
	}
	return (now() - t) / (2 * CALLS);
}

/* what the flush of a call costs: the pages are there, or they are not */
static double flush(int pages)
{
	char *a = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	double with, without;

	memset(a, 1, (size_t)pages * PAGE);
	with = protect(a, pages, 1);
	without = protect(a, pages, 0);
	munmap(a, (size_t)N * PAGE);
	return with - without;
}

static double flush_page(int fd) { return flush(1); }
static double flush_full(int fd) { return flush(64); }

static volatile int stop;

static void *spin(void *p)
{
	while (!stop)
		;
	return p;
}

/* the same with another thread of the process running: an interrupt each */
static double ipi(int fd)
{
	pthread_t th;
	double alone = flush(1), t;

	stop = 0;
	if (pthread_create(&th, NULL, spin, NULL))
		exit(1);
	usleep(1000);
	t = flush(1);
	stop = 1;
	pthread_join(th, NULL);
	return t - alone;
}

/* a line of every page in random order against as many lines in few pages */
static double walk(int fd)
{
	enum { PAGES = 8192, LAPS = 20 };
	static int order[PAGES];
	char *a = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double t[2];

	if (a == MAP_FAILED)
		exit(1);
	madvise(a, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
	for (int i = 0; i < PAGES; i++)
		order[i] = i;
	for (int i = PAGES - 1; i > 0; i--) {
		int j = rand() % (i + 1), x = order[i];

		order[i] = order[j];
		order[j] = x;
	}
	for (int dense = 0; dense < 2; dense++) {
		char **at = NULL;

		for (int i = 0; i < PAGES; i++) {
			int k = order[i], n = order[(i + 1) % PAGES];
			size_t from = dense ? (size_t)k * 64 : (size_t)k * PAGE + (k % 64) * 64;
			size_t to = dense ? (size_t)n * 64 : (size_t)n * PAGE + (n % 64) * 64;

			*(char **)(a + from) = a + to;
			at = (char **)(a + from);
		}
		t[dense] = now();
		for (int i = 0; i < PAGES * LAPS; i++)
			at = (char **)*at;
		sink = (char)(long)at;
		t[dense] = (now() - t[dense]) / (PAGES * LAPS);
	}
	munmap(a, (size_t)PAGES * PAGE);
	return (t[0] - t[1]) / 4;
}

enum { HUGE = 2 << 20, HUGES = 8 };

/* one fault of a huge page, zeroed; 0 where the kernel gives none */
static double huge_demand_zero(int fd)
{
	char *all = mmap(NULL, (size_t)(HUGES + 1) * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *a = (char *)(((size_t)all + HUGE - 1) & -(size_t)HUGE);
	double t;

	madvise(a, (size_t)HUGES * HUGE, MADV_HUGEPAGE);
	t = now();
	for (int i = 0; i < HUGES; i++)
		a[(size_t)i * HUGE] = 1;
	t = (now() - t) / HUGES;
	munmap(all, (size_t)(HUGES + 1) * HUGE);
	return t;
}

/* a clean page of a file taken from its mapping and from the page cache */
static double reclaim(int fd)
{
	char *a = map(PROT_READ, MAP_PRIVATE, fd);
	double t;

	fsync(fd);
	touch(a, 1, 0);
	t = now();
	madvise(a, (size_t)N * PAGE, 21); /* MADV_PAGEOUT */
	t = (now() - t) / N;
	munmap(a, (size_t)N * PAGE);
	return t;
}

static void *nothing(void *p) { return p; }

/* a thread made and ended; its stack is one of those that a CPU keeps */
static double thread(int fd)
{
	enum { THREADS = 200 };
	double t = now();

	for (int i = 0; i < THREADS; i++) {
		pthread_t th;

		if (pthread_create(&th, NULL, nothing, NULL))
			exit(1);
		pthread_join(th, NULL);
	}
	return (now() - t) / THREADS;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 7;
	static const struct {
		const char *name;
		double (*f)(int fd);
	} costs[] = {
		{ "walk_step", walk }, { "demand_zero", anon_write }, { "zero_page", anon_read }, { "file_read", file_read },
		{ "file_cow", file_cow }, { "file_shared", file_shared }, { "mkwrite", mkwrite },
		{ "cow_copy", cow_copy }, { "cow_reuse", cow_reuse },
		{ "flush_page", flush_page }, { "flush_full", flush_full }, { "ipi", ipi }, { "thread", thread },
		{ "huge_demand_zero", huge_demand_zero }, { "drop_page", drop_page }, { "reclaim_page", reclaim },
	};
	char name[] = "/tmp/costs.XXXXXX", page[PAGE] = "x";
	int fd = mkstemp(name);

	if (fd < 0)
		return 1;
	unlink(name);
	for (int i = 0; i < N; i++)
		if (write(fd, page, PAGE) != PAGE)
			return 1;
	for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
		double least = 1e18;

		for (int r = 0; r < rounds; r++) {
			double t = costs[i].f(fd);

			if (t < least)
				least = t;
			fsync(fd);
		}
		printf("%s %.0f\n", costs[i].name, least > 0 ? least : 0);
	}
	return 0;
}
