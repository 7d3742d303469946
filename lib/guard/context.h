/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Where a thread goes on when the handler has returned. Nothing is done inside the handler: so the
 * kernel restores the signal mask and the stack, and a function that calls the handler sees it
 * return.
 */
#ifndef LIB_GUARD_CONTEXT_H
#define LIB_GUARD_CONTEXT_H

#include <stdint.h>
#include <ucontext.h>

#if defined(__x86_64__)

#define STACK_BELOW 128 /* bytes below its pointer that a function may use */

static inline uintptr_t context_at(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

/* Goes on there, with 1 in FAULT_REGISTER. */
static inline void context_resume(ucontext_t *context, uintptr_t at)
{
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)at;
	context->uc_mcontext.gregs[REG_RAX] = 1;
}

/* Goes on as if it had called fn(arg), which does not return. */
static inline void context_call(ucontext_t *context, void (*fn)(void *arg), void *arg)
{
	greg_t *regs = context->uc_mcontext.gregs;

	/* Aligned, and a place for the return address. */
	regs[REG_RSP] = ((regs[REG_RSP] - STACK_BELOW) & ~(greg_t)15) - 8;
	regs[REG_RDI] = (greg_t)(uintptr_t)arg;
	regs[REG_RIP] = (greg_t)(uintptr_t)fn;
	regs[REG_EFL] &= ~(greg_t)(1 << 10); /* strings are copied forwards */
}

#elif defined(__aarch64__)

static inline uintptr_t context_at(const ucontext_t *context)
{
	return (uintptr_t)context->uc_mcontext.pc;
}

static inline void context_resume(ucontext_t *context, uintptr_t at)
{
	context->uc_mcontext.pc = at;
	context->uc_mcontext.regs[0] = 1;
}

static inline void context_call(ucontext_t *context, void (*fn)(void *arg), void *arg)
{
	context->uc_mcontext.sp &= ~15ULL;
	context->uc_mcontext.regs[0] = (uintptr_t)arg;
	context->uc_mcontext.pc = (uintptr_t)fn;
}

#else
#error "guarded loads and stores are written for x86-64 and arm64"
#endif

#endif
