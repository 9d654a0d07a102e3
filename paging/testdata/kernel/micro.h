/*
 * Micro-programs: each case does a few steps and prints how many minor faults a
 * part of them took (getrusage). kernel_test.go compiles and runs them and does
 * the same steps on the model.
 *
 * A case runs three times in a process of its own; the test takes the least.
 * Whatever begin, end and the loops touch has been touched before (warm), after
 * every fork again, so that only the pages of the case fault.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define N 256L                          /* pages of a case */
#define BASE ((char *)0x100000000000)   /* of mappings: aligned to everything */

static volatile char sink;
static long from;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void rd(char *a, long n, long step)
{
	for (long i = 0; i < n; i += step)
		sink = a[i * PAGE];
}

static void wr(char *a, long n, long step)
{
	for (long i = 0; i < n; i += step)
		a[i * PAGE] = 1;
}

static long minflt(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u))
		die("getrusage");
	return u.ru_minflt;
}

static void begin(void) { from = minflt(); }

static void end(const char *name)
{
	long n = minflt() - from;
	char line[100]; /* no stdio: it would allocate */
	int len = snprintf(line, sizeof(line), "%s %ld\n", name, n);

	if (*name && write(1, line, len) != len)
		die("write");
}

/* value prints a number that is no count of faults: an errno, or a size. */
static inline void value(const char *name, long n)
{
	char line[100];
	int len = snprintf(line, sizeof(line), "%s %ld\n", name, n);

	if (write(1, line, len) != len)
		die("write");
}

/* warm touches what begin and end use. */
static void warm(void)
{
	static char page[2 * PAGE];
	char stack[4 * PAGE];

	for (int i = 0; i < 2; i++) {
		rd(page, 2, 1);
		wr(page, 2, 1);
		wr(stack, 4, 1);
		sink = stack[PAGE];
		begin();
		end("");
	}
}

static char *map(char *at, long pages, int prot, int flags, int fd)
{
	char *p = mmap(at, pages * PAGE, prot, flags | MAP_FIXED, fd, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static inline char *anon(void) { return map(BASE, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1); }

#ifdef HUGE
#define H 512L /* small pages of a huge page */
#define ASIDE 64L /* more pages than the kernel flushes one by one */

static char *aside; /* so many, all touched */

/*
 * fill writes to every small page of n huge ones. The kernel makes a huge page writable
 * without a flush, and where the host of a virtual machine maps it by small pages, so
 * does the TLB: each read-only entry that it has kept is a fault, which changes nothing
 * and is counted. So first one write to each, then a flush, then all.
 */
static void fill(char *a, long n)
{
	wr(a, n * H, H);
	if (mprotect(aside, ASIDE * PAGE, PROT_NONE) || mprotect(aside, ASIDE * PAGE, PROT_READ | PROT_WRITE))
		die("mprotect");
	wr(a, n * H, 1);
}
#endif

struct step {
	void (*run)(void);
};

/* run_all runs every case three times, each time in a new process. */
static int run_all(const struct step *cases, int n)
{
#ifdef HUGE
	aside = map(BASE + (1L << 40), ASIDE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
#else
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
#endif
	for (int i = 0; i < n; i++)
		for (int r = 0; r < 3; r++) {
			int status;
			pid_t pid = fork();

			if (pid < 0)
				die("fork");
			if (pid == 0) {
				warm();
				cases[i].run();
				_exit(0);
			}
			if (waitpid(pid, &status, 0) != pid || status != 0) {
				fprintf(stderr, "case %d: status %#x\n", i, status);
				return 1;
			}
		}
	return 0;
}
