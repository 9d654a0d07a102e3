/* Copy-on-write between a parent and a child. */
#include "micro.h"

static int up[2], down[2]; /* pipes: child to parent, parent to child */

static void tell(int fd)
{
	if (write(fd, "x", 1) != 1)
		die("write");
}

static void hear(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		die("read");
}

/* child begins a child that is warm; 0 in the child. */
static pid_t child(void)
{
	pid_t pid;

	if (pipe(up) || pipe(down))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	warm();
	return pid;
}

static void child_first(void)
{
	char *a = anon();
	pid_t pid;

	wr(a, N, 1);
	pid = child();
	if (pid == 0) {
		begin();
		wr(a, N, 1);
		end("fork_child_writes_first");
		tell(up[1]);
		hear(down[0]);
		_exit(0);
	}
	hear(up[0]);
	begin();
	wr(a, N, 1);
	end("fork_parent_writes_second");
	tell(down[1]);
	waitpid(pid, NULL, 0);
}

static void parent_first(void)
{
	char *a = anon();
	pid_t pid;

	wr(a, N, 1);
	pid = child();
	if (pid == 0) {
		hear(down[0]);
		begin();
		wr(a, N, 1);
		end("fork_child_writes_second");
		_exit(0);
	}
	begin();
	wr(a, N, 1);
	end("fork_parent_writes_first");
	tell(down[1]);
	waitpid(pid, NULL, 0);
}

static void read_only(void)
{
	char *a = anon();
	pid_t pid;

	wr(a, N, 1);
	pid = child();
	if (pid == 0) {
		begin();
		rd(a, N, 1);
		end("fork_child_reads");
		tell(up[1]);
		_exit(0);
	}
	hear(up[0]);
	begin();
	rd(a, N, 1);
	end("fork_parent_reads");
	waitpid(pid, NULL, 0);
}

static void after_exit(void)
{
	char *a = anon();
	pid_t pid;

	wr(a, N, 1);
	pid = child();
	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	begin();
	wr(a, N / 2, 1);
	end("fork_parent_writes_after_exit");
	/* pages that fork has shared are not made writable by mprotect */
	mprotect(a, N * PAGE, PROT_READ);
	mprotect(a, N * PAGE, PROT_READ | PROT_WRITE);
	begin();
	wr(a, N, 1);
	end("fork_parent_writes_after_exit_and_mprotect");
}

/* Tables are copied only for mappings that have got anonymous pages. */
static void zero_pages(void)
{
	char *a = anon();
	char *b = map(BASE + 4 * N * PAGE, N, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	pid_t pid;

	rd(a, N, 1);
	rd(b, N, 1);
	wr(b, 1, 1);
	pid = child();
	if (pid == 0) {
		begin();
		rd(a, N, 1);
		end("fork_child_reads_zero_pages");
		begin();
		rd(b, N, 1);
		end("fork_child_reads_zero_pages_beside_a_written_one");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void wipe(void)
{
	char *a = anon();
	pid_t pid;

	wr(a, N, 1);
	if (madvise(a, N * PAGE, MADV_WIPEONFORK))
		die("madvise");
	pid = child();
	if (pid == 0) {
		begin();
		rd(a, N, 1);
		end("wipeonfork_child_reads");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	begin();
	wr(a, N, 1);
	end("wipeonfork_parent_writes");
}

int main(void)
{
	static const struct step cases[] = {
		{ child_first }, { parent_first }, { read_only }, { after_exit }, { zero_pages }, { wipe },
	};

	return run_all(cases, sizeof(cases) / sizeof(cases[0]));
}
