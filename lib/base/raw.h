/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * System calls that do not touch errno: they return the kernel's result, which is -errno for an
 * error. They are for code that runs on another thread's thread-local storage (lib/pump/keeper.c).
 */
#ifndef LIB_BASE_RAW_H
#define LIB_BASE_RAW_H

#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

static inline long raw5(long nr, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory", "cc");
	return x0;
#else
#error "userfaultfd's write protection exists on x86-64 and arm64 alone"
#endif
}

/*
 * Makes a process or thread that begins in fn(arg) on a stack of its own. `stack` is the stack's
 * end, a multiple of 16. Not clone(3): sanitizers take that for a fork, after which the child must
 * not make threads.
 */
static inline long raw_clone(unsigned long flags, void *stack, int (*fn)(void *), void *arg)
{
	void **sp = (void **)stack - 2;
#if defined(__x86_64__)
	register long r10 __asm__("r10") = 0;
	register long r8 __asm__("r8") = 0;
	long ret;

	sp[0] = (void *)fn;
	sp[1] = arg;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "pop %%rax\n\t"
			 "pop %%rdi\n\t"
			 "call *%%rax\n\t"
			 "mov %%eax, %%edi\n\t"
			 "mov %[leave], %%eax\n\t"
			 "syscall\n"
			 "1:"
			 : "=a"(ret)
			 : "a"(SYS_clone), "D"(flags), "S"(sp), "d"(0L), "r"(r10),
			   "r"(r8), [leave] "i"(SYS_exit)
			 : "rcx", "r11", "memory", "cc");
	return ret;
#else
	register long x8 __asm__("x8") = SYS_clone;
	register long x0 __asm__("x0") = (long)flags;
	register long x1 __asm__("x1") = (long)sp;
	register long x2 __asm__("x2") = 0;
	register long x3 __asm__("x3") = 0;
	register long x4 __asm__("x4") = 0;

	sp[0] = (void *)fn;
	sp[1] = arg;
	__asm__ volatile("svc #0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, #0\n\t"
			 "ldp x1, x0, [sp], #16\n\t"
			 "blr x1\n\t"
			 "mov x8, %[leave]\n\t"
			 "svc #0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), [leave] "i"(SYS_exit)
			 : "x30", "memory", "cc");
	return x0;
#endif
}

static inline long raw3(long nr, long a, long b, long c)
{
	return raw5(nr, a, b, c, 0, 0);
}

static inline uint64_t raw_clock_ns(void)
{
	struct timespec ts = { 0, 0 };

	raw3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#endif
