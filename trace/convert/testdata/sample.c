/* A program without libc that maps, touches, protects, forks and unmaps. */
typedef unsigned long ul;
static long sys(long n, ul a, ul b, ul c, ul d, ul e, ul f) {
  long r; register ul r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
  __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
  return r;
}
static char bss[8192];
void _start(void) {
  volatile char *p = (char *)sys(9, 0, 65536, 3, 0x22, -1, 0);
  for (int i = 0; i < 65536; i += 4096) p[i] = 1;
  int fd = sys(257, -100, (ul)"/etc/hostname", 0, 0, 0, 0);
  volatile char *q = (char *)sys(9, 0, 4096, 1, 2, fd, 0);
  sys(3, fd, 0, 0, 0, 0, 0);
  bss[0] = q[0];
  sys(10, (ul)p, 8192, 1, 0, 0, 0);
  bss[4096] = p[0];
  ul b = sys(12, 0, 0, 0, 0, 0, 0);
  sys(12, b + 8192, 0, 0, 0, 0, 0);
  *(volatile char *)b = 1;
  p = (char *)sys(25, (ul)p + 8192, 57344, 131072, 1, 0, 0);
  p[70000] = 1;
  long pid = sys(57, 0, 0, 0, 0, 0, 0);
  p[4096] = 2;
  if (pid == 0) sys(231, 3, 0, 0, 0, 0, 0);
  sys(61, pid, 0, 0, 0, 0, 0);
  sys(28, (ul)p, 16384, 4, 0, 0, 0);
  p[0] = 3;
  sys(11, (ul)p, 131072, 0, 0, 0, 0);
  sys(231, 0, 0, 0, 0, 0, 0);
}
