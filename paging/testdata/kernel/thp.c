/* Transparent huge pages, in memory with MADV_HUGEPAGE. */
#define HUGE 1
#include "micro.h"
#include <errno.h>

static char *huge(char *at, long pages)
{
	char *a = map(at, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (madvise(a, pages * PAGE, MADV_HUGEPAGE))
		die("MADV_HUGEPAGE");
	return a;
}

/* mapped is how many huge pages are mapped as such (AnonHugePages). */
static void mapped(const char *name)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "AnonHugePages: %ld kB", &kb);
	if (kb < 0)
		die("smaps_rollup");
	fclose(f);
	value(name, kb / 2048);
}

static void wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		die("child");
}

static void written(void)
{
	char *a = huge(BASE, 4 * H);

	begin();
	fill(a, 4);
	end("thp_write");
	mapped("thp_write_huge");
	begin();
	fill(a, 4);
	end("thp_write_again");
}

static void read_first(void)
{
	char *a = huge(BASE, 2 * H);

	begin();
	rd(a, 2 * H, 1);
	end("thp_read");
	begin();
	fill(a, 2);
	end("thp_zero_page_written");
}

static void unaligned(void)
{
	char *a = huge(BASE + 100 * PAGE, 2 * H);

	begin();
	fill(a, 2);
	end("thp_unaligned_write");
	mapped("thp_unaligned_huge");
}

static void not_asked_for(void)
{
	char *a = map(BASE, 2 * H, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(a, 2 * H * PAGE, MADV_NOHUGEPAGE);
	begin();
	wr(a, 2, 1);
	end("thp_nohugepage_write");
	madvise(a, 2 * H * PAGE, MADV_HUGEPAGE);
	begin();
	fill(a, 2);
	end("thp_after_small_write");
	mapped("thp_after_small_huge");
}

static void disabled(void)
{
	char *a;

	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	a = huge(BASE, H);
	begin();
	fill(a, 1);
	end("thp_disabled_write");
}

static void forked(void)
{
	char *a = huge(BASE, 2 * H);
	pid_t pid;

	fill(a, 2);
	if ((pid = fork()) == 0) {
		warm();
		begin();
		rd(a, 2 * H, 1);
		end("thp_child_read");
		begin();
		fill(a, 1);
		end("thp_child_write");
		mapped("thp_child_huge");
		_exit(0);
	}
	wait_for(pid);
	warm();
	begin();
	fill(a, 2);
	end("thp_parent_write_after");
	mapped("thp_parent_huge");
}

static void forked_parent_first(void)
{
	char *a = huge(BASE, 2 * H);
	int go[2];
	pid_t pid;

	fill(a, 2);
	if (pipe(go))
		die("pipe");
	if ((pid = fork()) == 0) {
		char c;

		close(go[1]);
		if (read(go[0], &c, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(go[0]);
	warm();
	begin();
	fill(a, 1);
	end("thp_parent_write");
	mapped("thp_parent_write_huge");
	close(go[1]);
	wait_for(pid);
	begin();
	fill(a, 2);
	end("thp_parent_write_rest");
}

static void forked_part(void)
{
	char *a = huge(BASE, H);
	pid_t pid;

	fill(a, 1);
	madvise(a, PAGE, MADV_DONTNEED); /* the parent has small entries */
	if ((pid = fork()) == 0)
		_exit(0);
	wait_for(pid);
	warm();
	begin();
	fill(a, 1);
	end("thp_part_write_after_fork");
}

static void discarded(void)
{
	char *a = huge(BASE, 2 * H);

	fill(a, 2);
	madvise(a + 100 * PAGE, 50 * PAGE, MADV_DONTNEED);
	mapped("thp_dontneed_part_huge");
	begin();
	fill(a, 2);
	end("thp_dontneed_part_write");
	madvise(a, 2 * H * PAGE, MADV_DONTNEED);
	begin();
	fill(a, 2);
	end("thp_dontneed_write");
	mapped("thp_dontneed_huge");
}

static void freed(void)
{
	char *a = huge(BASE, 2 * H);

	fill(a, 2);
	madvise(a, (H + 7) * PAGE, MADV_FREE);
	mapped("thp_free_huge");
	begin();
	fill(a, 2);
	end("thp_free_write");
}

static void protected(void)
{
	char *a = huge(BASE, 2 * H);

	fill(a, 2);
	mprotect(a, H * PAGE, PROT_READ);
	mprotect(a, H * PAGE, PROT_READ | PROT_WRITE);
	mapped("thp_mprotect_huge");
	begin();
	fill(a, 1);
	end("thp_mprotect_write");
	mprotect(a + H * PAGE, 60 * PAGE, PROT_READ);
	mapped("thp_mprotect_part_huge");
	mprotect(a + H * PAGE, 60 * PAGE, PROT_READ | PROT_WRITE);
	begin();
	fill(a + H * PAGE, 1);
	end("thp_mprotect_part_write");
}

static void moved(void)
{
	char *a = huge(BASE, 2 * H), *b = BASE + 64 * H * PAGE;

	fill(a, 2);
	if (mremap(a, 2 * H * PAGE, 2 * H * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b) != b)
		die("mremap");
	mapped("thp_mremap_huge");
	begin();
	fill(b, 2);
	end("thp_mremap_write");
	a += PAGE;
	if (mremap(b, 2 * H * PAGE, 2 * H * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, a) != a)
		die("mremap");
	mapped("thp_mremap_unaligned_huge");
	begin();
	fill(a, 2);
	end("thp_mremap_unaligned_write");
}

static void holes(void)
{
	char *a = huge(BASE, 4 * H);

	fill(a, 4);
	munmap(a + H / 2 * PAGE, 2 * H * PAGE);
	mapped("thp_munmap_huge");
	begin();
	wr(a, H / 2, 1);
	wr(a + (2 * H + H / 2) * PAGE, H + H / 2, 1);
	end("thp_munmap_write");
	mlock(a + 3 * H * PAGE, 10 * PAGE);
	mapped("thp_mlock_part_huge");
}

static void populated(void)
{
	char *a = huge(BASE, 3 * H);

	begin();
	madvise(a, 2 * H * PAGE, 23); /* MADV_POPULATE_WRITE */
	end("thp_populate_write");
	begin();
	fill(a, 3);
	end("thp_populated_write");
}

/* collapse asks again while a page is busy for a moment (EAGAIN). */
static long collapse(char *a)
{
	for (int i = 0; madvise(a, H * PAGE, 25); i++)
		if (errno != EAGAIN || i == 1000)
			return errno;
	return 0;
}

static void collapsed(void)
{
	char *a = map(BASE, 3 * H, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(a, 3 * H * PAGE, MADV_NOHUGEPAGE);
	wr(a, H, 2);
	rd(a + H * PAGE, H, 2);
	madvise(a, 3 * H * PAGE, MADV_HUGEPAGE);
	value("thp_collapse_errno", collapse(a));
	mapped("thp_collapse_huge");
	begin();
	fill(a, 1);
	end("thp_collapse_write");
	value("thp_collapse_nothing_errno", collapse(a + 2 * H * PAGE));
	value("thp_collapse_again_errno", collapse(a));
}

int main(void)
{
	static const struct step cases[] = {
		{ written }, { read_first }, { unaligned }, { not_asked_for }, { disabled }, { forked }, { forked_parent_first },
		{ forked_part }, { discarded }, { freed }, { protected }, { moved }, { holes }, { populated }, { collapsed },
	};

	return run_all(cases, sizeof(cases) / sizeof(*cases));
}
