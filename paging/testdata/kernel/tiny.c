/*
 * The smallest program: no C library, it ends at once. Compiled with -DDATA=n
 * and -DBSS=n it has so many bytes of data and of .bss, which it does not touch.
 */
#ifdef DATA
__attribute__((used)) char data[DATA] = {1};
#endif
#ifdef BSS
__attribute__((used)) char bss[BSS];
#endif

__attribute__((noreturn)) void _start(void)
{
	__asm__ volatile("mov $60, %eax\n\txor %edi, %edi\n\tsyscall");
	__builtin_unreachable();
}
