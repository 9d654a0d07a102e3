/* Write one word to each of 100 pages that mmap gave. Its code stands in qemu_test.go:
   aarch64-linux-gnu-gcc -nostdlib -c aarch64.S && aarch64-linux-gnu-objdump -d aarch64.o */
	.globl _start
_start:
	mov x0, #0
	mov x1, #0x4000		/* 100 pages */
	movk x1, #6, lsl #16
	mov x2, #3		/* PROT_READ | PROT_WRITE */
	mov x3, #0x22		/* MAP_PRIVATE | MAP_ANONYMOUS */
	mov x4, #-1
	mov x5, #0
	mov x8, #222		/* mmap */
	svc #0
	mov x1, #100
1:	str x1, [x0]
	add x0, x0, #1, lsl #12
	subs x1, x1, #1
	b.ne 1b
	mov x0, #7
	mov x8, #94		/* exit_group */
	svc #0
