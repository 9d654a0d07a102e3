#!/bin/sh
# Records the samples of this folder again (Debian 12: gcc valgrind strace
# linux-perf zstd lz4 xz-utils python3, as root), then builds those whose tools
# Debian lacks. Addresses, ids and times change with every run, and with them
# the figures in the tests.
set -eu
cd "$(dirname "$0")"
gcc -O1 -static -nostdlib -fno-builtin -o /tmp/sample sample.c
gcc -O1 -o /tmp/threads threads.c -lpthread
rm -f /tmp/lackey.* perf*.data
valgrind --tool=lackey --trace-mem=yes --trace-syscalls=yes --trace-sched=yes --log-file=/tmp/lackey.%p /tmp/sample
set -- /tmp/lackey.* # the parent first
cp "$1" lackey.txt
cp "$2" lackey-child.txt
strace -f -o strace.txt /tmp/threads
strace -f -tt -T -y /tmp/threads 2>strace-stderr.txt
perf record -q -d -e page-faults -c 1 -o perf.data /tmp/threads
perf record -q -d -e page-faults -c 1 -z -o perf-z.data /tmp/threads
perf record -q -d -e page-faults -c 1 -o - /tmp/threads >perf-pipe.data
perf record -q -d --sample-cpu -e page-faults,raw_syscalls:sys_enter,raw_syscalls:sys_exit -c 1 -o perf-calls.data /tmp/threads
perf script -i perf-calls.data --show-mmap-events --show-task-events -F comm,pid,tid,cpu,time,event,addr,ip,trace --ns >perf-script.txt
calls=exceptions:page_fault_user,exceptions:page_fault_kernel
for c in mmap munmap mprotect mremap brk madvise; do calls=$calls,syscalls:sys_enter_$c,syscalls:sys_exit_$c; done
perf record -q -d -e $calls -c 1 -o perf-points.data /tmp/threads
perf record -q -d -e $calls -c 1 -o - /tmp/threads >perf-points-pipe.data
perf script -i perf-points.data --show-mmap-events --show-task-events >perf-points-script.txt
chmod 644 perf*.data
python3 make.py
