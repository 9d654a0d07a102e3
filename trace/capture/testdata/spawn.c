/*
 * Starts the program of its first argument in the ways that end in exec, and
 * meets the failures of exec. The exit status is the step that failed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static int status(pid_t pid)
{
	int s = -1;
	return waitpid(pid, &s, 0) == pid && WIFEXITED(s) ? WEXITSTATUS(s) : -1;
}

int main(int argc, char **argv)
{
	char *args[] = {argv[1], "exit", "4", NULL};
	pid_t pid;

	if (posix_spawn(&pid, argv[1], NULL, NULL, args, NULL) || status(pid) != 4)
		return 1;
	if ((pid = vfork()) == 0) {
		execv(argv[1], args);
		_exit(9);
	}
	if (status(pid) != 4)
		return 2;
	if ((pid = vfork()) == 0) {
		execl("/nonexistent/program", "program", NULL);
		_exit(errno);
	}
	if (status(pid) != ENOENT)
		return 3;
	if (execl("/nonexistent/program", "program", NULL) != -1 || errno != ENOENT)
		return 4;
	args[2] = "0";
	execv(argv[1], args);
	return 5;
}
