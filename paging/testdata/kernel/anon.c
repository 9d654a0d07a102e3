/* Private and shared anonymous memory, the heap, the stack, threads. */
#include "micro.h"
#include <pthread.h>

static void read_only(void)
{
	char *a = anon();

	begin();
	rd(a, N, 1);
	end("anon_read");
}

static void write_only(void)
{
	char *a = anon();

	begin();
	wr(a, N, 1);
	end("anon_write");
	begin();
	wr(a, N, 1);
	end("anon_write_again");
}

static void read_then_write(void)
{
	char *a = anon();

	begin();
	rd(a, N, 3);
	end("anon_read_stride");
	begin();
	wr(a, N, 1);
	end("anon_write_after_read_stride");
}

static void shared(void)
{
	char *a = map(BASE, N, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);

	begin();
	rd(a, N, 4);
	end("shmem_read_stride");
	begin();
	wr(a, N, 1);
	end("shmem_write");
	munmap(a, N * PAGE / 2);
	begin();
	rd(a + N * PAGE / 2, N / 2, 1);
	end("shmem_read_again");
}

static void heap(void)
{
	char *a = (char *)(((long)sbrk(0) + PAGE - 1) & -PAGE);

	if (brk(a + N * PAGE))
		die("brk");
	begin();
	wr(a, N, 1);
	end("brk_write");
	begin();
	if (brk(a + N * PAGE / 2) || brk(a + N * PAGE))
		die("brk");
	end("brk_down_and_up");
	begin();
	wr(a, N, 1);
	end("brk_write_again");
}

/* deep writes to a page of every one of its frames. */
static __attribute__((noinline)) void deep(long n)
{
	volatile char frame[PAGE];

	frame[PAGE / 2] = n;
	if (n > 1)
		deep(n - 1);
	sink = frame[PAGE / 2];
}

static void stack(void)
{
	begin();
	deep(N);
	end("stack_growth");
	begin();
	deep(N);
	end("stack_again");
}

static pthread_barrier_t barrier;

static void *worker(void *arg)
{
	long i = (long)arg;

	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	wr(BASE + i * N / 4 * PAGE, N / 4, 1);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void threads(void)
{
	pthread_t t[4];

	anon();
	pthread_barrier_init(&barrier, NULL, 5);
	for (long i = 0; i < 4; i++)
		if (pthread_create(&t[i], NULL, worker, (void *)i))
			die("pthread_create");
	pthread_barrier_wait(&barrier);
	begin();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	end("threads_write");
	pthread_barrier_wait(&barrier);
	for (long i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

/* Whether reads of private memory get the zero page: a write then faults again. */
static void zero_page(void)
{
	char *a = anon();

	rd(a, N, 1);
	begin();
	wr(a, N, 1);
	end("zero_page_written");
}

int main(void)
{
	static const struct step cases[] = {
		{ zero_page }, { read_only }, { write_only }, { read_then_write }, { shared }, { heap }, { stack }, { threads },
	};

	return run_all(cases, sizeof(cases) / sizeof(cases[0]));
}
