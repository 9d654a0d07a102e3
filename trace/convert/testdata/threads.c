/* A program with a thread, and a child that runs another program. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *a) { char *p = malloc(300000); memset(p, 1, 300000); free(p); return a; }
int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0);
 if (fork() == 0) { execl("/tmp/sample", "sample", (char *)0); _exit(1); }
 wait(0); return 0; }
