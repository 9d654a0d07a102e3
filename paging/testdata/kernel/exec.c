/*
 * exec PROGRAM N BYTES: starts PROGRAM with N arguments of BYTES bytes each, the
 * NUL included, and an empty environment, and prints the minor faults of that
 * process (wait4), of five runs the least. The child shares this process's memory
 * until it is the other program, and touches nothing that is new: what it takes,
 * it takes in execve and after.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(ADDR_NO_RANDOMIZE);
		execv("/proc/self/exe", argv);
		return 3;
	}
	long n = atol(argv[2]), bytes = atol(argv[3]), least = -1;
	char **args = calloc(n + 1, sizeof(*args)), *env[] = {NULL};
	for (long i = 0; i < n; i++) {
		args[i] = malloc(bytes);
		memset(args[i], 'a', bytes);
		args[i][bytes - 1] = 0;
	}
	for (int run = 0; run < 5; run++) {
		int status;
		struct rusage u;
		pid_t pid = vfork();
		if (pid == 0) {
			execve(argv[1], args, env);
			_exit(127);
		}
		if (pid < 0 || wait4(pid, &status, 0, &u) != pid)
			return 4;
		if (status) {
			printf("status %d\n", status);
			return 0;
		}
		if (least < 0 || u.ru_minflt < least)
			least = u.ru_minflt;
	}
	printf("%ld\n", least);
	return 0;
}
