/* Mappings of a file of N pages, its first argument, which is in the page cache. */
#include "micro.h"

static int fd;

static char *mapping(int flags, char *at) { return map(at, N, PROT_READ | PROT_WRITE, flags, fd); }

static void private_read(void)
{
	char *a = mapping(MAP_PRIVATE, BASE);

	begin();
	rd(a, N, 1);
	end("private_read");
	begin();
	wr(a, N, 1);
	end("private_write_after_read");
}

static void private_write(void)
{
	char *a = mapping(MAP_PRIVATE, BASE);

	begin();
	wr(a, N, 1);
	end("private_write");
}

/* a write between reads: fault-around maps what is not mapped yet */
static void private_mixed(void)
{
	char *a = mapping(MAP_PRIVATE, BASE);

	begin();
	wr(a, N, 8);
	end("private_write_stride");
	begin();
	rd(a, N, 1);
	end("private_read_after_write_stride");
}

/* the mapping begins in the middle of a window, and goes backwards */
static void private_unaligned(void)
{
	char *a = mapping(MAP_PRIVATE, BASE + 5 * PAGE);

	begin();
	rd(a, 64, 1);
	end("private_read_unaligned");
	begin();
	for (long i = N - 1; i >= 64; i--)
		sink = a[i * PAGE];
	end("private_read_backwards");
}

static void shared_read(void)
{
	char *a = mapping(MAP_SHARED, BASE);

	begin();
	rd(a, N, 1);
	end("shared_read");
	begin();
	wr(a, N, 1);
	end("shared_write_after_read");
	if (msync(a, N * PAGE, MS_SYNC))
		die("msync");
	begin();
	wr(a, N, 1);
	end("shared_write_after_msync");
}

static void shared_write(void)
{
	char *a = mapping(MAP_SHARED, BASE);

	begin();
	wr(a, N, 1);
	end("shared_write");
	begin();
	rd(a, N, 1);
	end("shared_read_after_write");
}

static void shared_mprotect(void)
{
	char *a = mapping(MAP_SHARED, BASE);

	wr(a, N, 1);
	mprotect(a, N * PAGE, PROT_READ);
	mprotect(a, N * PAGE, PROT_READ | PROT_WRITE);
	begin();
	wr(a, N, 1);
	end("shared_write_after_mprotect");
}

static void truncated(void)
{
	char *a = mapping(MAP_PRIVATE, BASE);

	wr(a, N, 1);
	if (ftruncate(fd, N / 2 * PAGE) || ftruncate(fd, N * PAGE))
		die("ftruncate");
	begin();
	wr(a, N, 1);
	end("private_write_after_truncate");
}

int main(int argc, char **argv)
{
	static const struct step cases[] = {
		{ private_read }, { private_write }, { private_mixed }, { private_unaligned },
		{ shared_read }, { shared_write }, { shared_mprotect }, { truncated },
	};
	char page[PAGE];

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		die(argv[1]);
	memset(page, 1, sizeof(page));
	for (int i = 0; i < N; i++)
		if (write(fd, page, PAGE) != PAGE)
			die("write");
	if (fsync(fd))
		die("fsync");
	return run_all(cases, sizeof(cases) / sizeof(cases[0]));
}
