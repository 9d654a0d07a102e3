/*
 * Set marks by every call that can, between writing 100 pages and writing 200 others.
 * The mark "ready" is a path that ends where its mapping does.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096

static char *fresh(long pages)
{
	return mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void touch(volatile char *p, long pages)
{
	for (long i = 0; i < pages; i++)
		p[i * PAGE] = 1;
}

int main(void)
{
	static char longest[300];
	char st[512], *first = fresh(100), *edge = fresh(2);
	const char *ready = "vmtrace:ready";

	touch(first, 100);
	memset(longest, 'x', 8 + 255);
	memcpy(longest, "vmtrace:", 8);
	syscall(SYS_access, longest, F_OK);
	longest[8 + 255] = 'x'; /* too long: none */
	syscall(SYS_access, longest, F_OK);
	syscall(SYS_access, "vmtrace:", F_OK); /* no label: none */
	syscall(SYS_access, "vmtrac", F_OK);
	syscall(SYS_access, NULL, F_OK);
	syscall(SYS_access, "vmtrace:access", F_OK);
	syscall(SYS_faccessat, AT_FDCWD, "vmtrace:faccessat", F_OK);
	syscall(SYS_stat, "vmtrace:stat", st);
	syscall(SYS_lstat, "vmtrace:lstat", st);
	syscall(SYS_newfstatat, AT_FDCWD, "vmtrace:newfstatat", st, 0);
	syscall(SYS_statx, AT_FDCWD, "vmtrace:statx", 0, STATX_BASIC_STATS, st);
	edge += PAGE - strlen(ready) - 1;
	munmap(edge + strlen(ready) + 1, PAGE);
	strcpy(edge, ready);
	touch(first, 50);
	syscall(SYS_access, edge, F_OK);
	touch(fresh(200), 200);
	return 0;
}
