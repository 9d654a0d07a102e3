/*
 * Uses files in ways that are hard to follow from outside. Its first argument is
 * a directory to work in. The exit status is the step that failed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

int main(int argc, char **argv)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	if (chdir(argv[1]))
		return 1;
	int fd = open("data", O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || ftruncate(fd, 3 * PAGE))
		return 2;
	volatile char *shared = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED || close(fd) || unlink("data"))
		return 3;
	shared[0] = 1;
	shared[2 * PAGE] = shared[PAGE];
	if (munmap((void *)shared, 3 * PAGE))
		return 4;
	char *fresh = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		return 5;
	int zero = open("/dev/zero", O_RDONLY);
	if (zero < 0 || read(zero, fresh, 40 * PAGE) != 40 * PAGE)
		return 6;
	return 0;
}
