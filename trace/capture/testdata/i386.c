/*
 * Write one word to each of 100 pages that mmap2 gave, without a C library: the
 * compiler of x86-64 can build it (gcc -m32 -nostdlib -static -ffreestanding).
 */
static long call(long nr, long a, long b, long c, long d, long e)
{
	long ret;
	__asm__ volatile("push %%ebp; xor %%ebp, %%ebp; int $0x80; pop %%ebp"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return ret;
}

void _start(void)
{
	enum { MMAP2 = 192, EXIT_GROUP = 252 };
	volatile char *p = (char *)call(MMAP2, 0, 100 * 4096, 3, 0x22, -1);
	for (int i = 0; i < 100; i++)
		p[i * 4096] = 1;
	call(EXIT_GROUP, 7, 0, 0, 0, 0);
}
