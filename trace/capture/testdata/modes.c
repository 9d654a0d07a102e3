/*
 * A program for the tests of the recorders. Its first argument says what to do:
 *
 *	pages N        write one word to each of N fresh pages, then exit with 0
 *	exit N         exit with N
 *	crash          write to address 16
 *	threads        4 threads map 50 pages, write them and unmap them, 20 times each
 *	churn N        N threads, one after the other
 *	together       4 threads, none of which ends before all of them run
 *	fork           3 children write 50 of 100 inherited pages each, and exit with 3
 *	vector         readv into two fresh pages: 100 bytes in all, 60 of them in the first
 *	close          close every descriptor, then like pages 100
 *	drop           give up root, then like pages 100
 *	daemon         fork twice; the last process does pages 100 after the others are gone
 *	chdir DIR      go there, and write 100 pages of a shared mapping of DIR/mapped
 *	exec PROG ...  replace the image
 *	spin           write 300 pages over and over, for ever
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096

static char *fresh(long pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(99);
	return p;
}

static void touch(volatile char *p, long pages)
{
	for (long i = 0; i < pages; i++)
		*(volatile long *)(p + i * PAGE + 8 * (i % 100)) = i;
}

static void *thread(void *arg)
{
	for (int i = 0; i < 20; i++) {
		char *p = fresh(50);
		touch(p, 50);
		munmap(p, 50 * PAGE);
	}
	return arg;
}

static void *idle(void *arg)
{
	return arg;
}

static void *meet(void *all)
{
	pthread_barrier_wait(all);
	return all;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	long n = argc > 2 ? atol(argv[2]) : 100;

	if (!strcmp(mode, "exit"))
		return n;
	if (!strcmp(mode, "crash"))
		*(volatile int *)16 = 1;
	if (!strcmp(mode, "exec")) {
		execv(argv[2], argv + 2);
		return 98;
	}
	if (!strcmp(mode, "threads")) {
		pthread_t t[4];
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, thread, NULL);
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		return 0;
	}
	if (!strcmp(mode, "together")) {
		pthread_barrier_t all;
		pthread_t t[4];
		pthread_barrier_init(&all, NULL, 4);
		for (int i = 0; i < 4; i++)
			pthread_create(&t[i], NULL, meet, &all);
		for (int i = 0; i < 4; i++)
			pthread_join(t[i], NULL);
		return 0;
	}
	if (!strcmp(mode, "churn")) {
		for (long i = 0; i < n; i++) {
			pthread_t t;
			if (pthread_create(&t, NULL, idle, NULL) || pthread_join(t, NULL))
				return 93;
		}
		return 0;
	}
	if (!strcmp(mode, "fork")) {
		char *p = fresh(100);
		touch(p, 100);
		for (int i = 0; i < 3; i++)
			if (fork() == 0) {
				touch(p, 50);
				_exit(3);
			}
		while (wait(NULL) > 0)
			;
		return 0;
	}
	if (!strcmp(mode, "vector")) {
		char *a = fresh(1), *b = fresh(1);
		struct iovec v[2] = {{a, 60}, {b, PAGE}};
		int fd[2];
		if (pipe(fd) || write(fd[1], mode, 7) != 7)
			return 97;
		char rest[93] = {0};
		if (write(fd[1], rest, sizeof(rest)) != sizeof(rest))
			return 96;
		return readv(fd[0], v, 2) == 100 ? 0 : 95;
	}
	if (!strcmp(mode, "chdir")) {
		int fd = chdir(argv[2]) ? -1 : open("mapped", O_RDWR | O_CREAT, 0600);
		if (fd < 0 || ftruncate(fd, 100 * PAGE))
			return 92;
		char *p = mmap(NULL, 100 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			return 91;
		touch(p, 100);
		return 0;
	}
	if (!strcmp(mode, "spin"))
		for (char *p = fresh(300);;)
			touch(p, 300);
	if (!strcmp(mode, "close"))
		for (int fd = 0; fd < 1024; fd++)
			close(fd);
	if (!strcmp(mode, "drop") && (setgid(65534) || setuid(65534)))
		return 94;
	if (!strcmp(mode, "daemon"))
		for (int i = 0; i < 2; i++) {
			if (fork())
				_exit(0);
			setsid();
			usleep(50 * 1000);
		}
	touch(fresh(n), n);
	return 0;
}
