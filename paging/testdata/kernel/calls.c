/* System calls that take, move or bring pages. */
#include "micro.h"

static void dontneed(void)
{
	char *a = anon();

	wr(a, N, 1);
	madvise(a, N / 2 * PAGE, MADV_DONTNEED);
	begin();
	wr(a, N, 1);
	end("dontneed_write");
	madvise(a, N * PAGE, MADV_DONTNEED);
	begin();
	rd(a, N, 1);
	end("dontneed_read");
}

static void lazyfree(void)
{
	char *a = anon();

	wr(a, N, 1);
	madvise(a, N * PAGE, MADV_FREE);
	begin();
	rd(a, N, 1);
	wr(a, N, 1);
	end("free_read_write");
	madvise(a, N * PAGE, MADV_FREE);
	mprotect(a, N * PAGE, PROT_READ);
	mprotect(a, N * PAGE, PROT_READ | PROT_WRITE);
	begin();
	wr(a, N, 1);
	end("free_mprotect_write");
}

static void populate(void)
{
	char *a;

	begin();
	a = map(BASE, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	end("populate");
	begin();
	wr(a, N, 1);
	end("populate_write");
	munmap(a, N * PAGE);
	begin();
	a = map(BASE, N, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	end("populate_read_only");
}

static void advise_populate(void)
{
	char *a = anon();

	begin();
	madvise(a, N * PAGE, MADV_POPULATE_READ);
	end("madvise_populate_read");
	begin();
	madvise(a, N * PAGE, MADV_POPULATE_WRITE);
	end("madvise_populate_write");
}

static void lock(void)
{
	char *a = anon();

	wr(a, N, 4);
	begin();
	if (mlock(a, N * PAGE))
		die("mlock");
	end("mlock");
	begin();
	wr(a, N, 1);
	end("mlock_write");
	munlock(a, N * PAGE);
	madvise(a, N * PAGE, MADV_DONTNEED);
	begin();
	if (mlock2(a, N * PAGE, MLOCK_ONFAULT))
		die("mlock2");
	end("mlock_onfault");
}

static void move(void)
{
	char *a = anon();
	char *b = BASE + (4 * N + 7) * PAGE; /* not in step: entry by entry */

	wr(a, N, 2);
	if (mremap(a, N * PAGE, 2 * N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b) != b)
		die("mremap");
	begin();
	wr(b, 2 * N, 1);
	end("mremap_move_grow_write");
	begin();
	if (mremap(b, 2 * N * PAGE, 2 * N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, a) != a)
		die("mremap");
	wr(a, 2 * N, 1);
	end("mremap_dontunmap_write");
	begin();
	wr(b, 2 * N, 1);
	end("mremap_dontunmap_old_write");
}

/* 1024 pages from table to table */
static void move_tables(void)
{
	char *a = map(BASE, 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *b = BASE + 4096 * PAGE;

	wr(a, 1024, 2);
	if (mremap(a, 1024 * PAGE, 1024 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b) != b)
		die("mremap");
	begin();
	wr(b, 1024, 1);
	end("mremap_tables_write");
}

static void protect(void)
{
	char *a = anon();

	wr(a, N, 2);
	mprotect(a, N * PAGE, PROT_READ);
	begin();
	rd(a, N, 1);
	end("mprotect_read");
	mprotect(a, N * PAGE, PROT_READ | PROT_WRITE);
	begin();
	wr(a, N, 1);
	end("mprotect_write");
	mprotect(a, N * PAGE, PROT_NONE);
	mprotect(a, N * PAGE, PROT_READ | PROT_WRITE);
	begin();
	wr(a, N, 1);
	end("mprotect_none_write");
}

/* a mapping in place of the middle of another */
static void overlay(void)
{
	char *a = anon();

	wr(a, N, 1);
	map(a + N / 4 * PAGE, N / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	begin();
	wr(a, N, 1);
	end("overlay_write");
}

/* the kernel reads and writes user memory: copy_to_user faults as the program would */
static void copies(void)
{
	char *a = anon();
	int fd = open("/dev/zero", O_RDONLY);

	if (fd < 0)
		die("/dev/zero");
	begin();
	if (read(fd, a + 100, (N - 1) * PAGE) != (N - 1) * PAGE)
		die("read");
	end("read_into_fresh_memory");
}

int main(void)
{
	static const struct step cases[] = {
		{ dontneed }, { lazyfree }, { populate }, { advise_populate }, { lock }, { move },
		{ move_tables }, { protect }, { overlay }, { copies },
	};

	return run_all(cases, sizeof(cases) / sizeof(cases[0]));
}
