/* System V segments and memfd objects: what is attached and mapped again. */
#include "micro.h"
#include <sys/shm.h>

static void sysv(void)
{
	int id = shmget(IPC_PRIVATE, N * PAGE, 0600);
	char *a = shmat(id, BASE, 0);

	if (a != BASE)
		die("shmat");
	begin();
	wr(a, N / 2, 2);
	end("sysv_write_stride");
	if (shmdt(a) || shmat(id, BASE, SHM_RDONLY) != BASE)
		die("shmat again");
	begin();
	rd(a, N, 1);
	end("sysv_read_again");
	shmctl(id, IPC_RMID, NULL);
	if (shmat(id, BASE, SHM_REMAP) != BASE)
		die("shmat of a removed segment");
	begin();
	wr(a, N, 1);
	end("sysv_write_removed");
	shmdt(a);
}

static void sysv_fork(void)
{
	int id = shmget(IPC_PRIVATE, N * PAGE, 0600);
	char *a = shmat(id, BASE, 0);
	pid_t pid;

	if (a != BASE)
		die("shmat");
	shmctl(id, IPC_RMID, NULL);
	wr(a, N, 1);
	pid = fork();
	if (pid == 0) {
		warm();
		begin();
		rd(a, N, 1);
		end("sysv_child_read");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	begin();
	wr(a, N, 1);
	end("sysv_parent_write");
	shmdt(a);
}

static int object(void)
{
	int fd = memfd_create("micro", 0);

	if (fd < 0 || ftruncate(fd, N * PAGE))
		die("memfd");
	return fd;
}

static void memfd(void)
{
	int fd = object();
	char *a = map(BASE, N, PROT_READ | PROT_WRITE, MAP_SHARED, fd);

	begin();
	wr(a, N, 4);
	end("memfd_write_stride");
	munmap(a, N * PAGE);
	a = map(BASE, N, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	begin();
	rd(a, N, 1);
	end("memfd_read_again");
	begin();
	wr(a, N, 1);
	end("memfd_write_again");
	a = map(BASE, N, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd);
	begin();
	rd(a, N, 1);
	wr(a, N, 2);
	end("memfd_private");
}

static void memfd_allocated(void)
{
	int fd = object();
	char *a = map(BASE, N, PROT_READ | PROT_WRITE, MAP_SHARED, fd);

	if (fallocate(fd, 0, 0, N * PAGE))
		die("fallocate");
	begin();
	rd(a, N, 1);
	end("memfd_allocated_read");
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, N / 2 * PAGE))
		die("fallocate");
	begin();
	wr(a, N, 1);
	end("memfd_punched_write");
}

int main(void)
{
	static const struct step cases[] = { { sysv }, { sysv_fork }, { memfd }, { memfd_allocated } };

	return run_all(cases, sizeof(cases) / sizeof(cases[0]));
}
