/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * guard: loads and stores of the program's memory that survive its going away.
 *
 * An engine in software reaches memory through the program's own mapping. Another thread may unmap
 * that memory, take its permission or cut its file off between two instructions. An ordinary load
 * then ends the program by SIGSEGV or SIGBUS. One of these returns -EFAULT instead, which is a
 * fault of the device:
 *
 *	hmm_copy_from_nofault(), hmm_copy_to_nofault()		copies
 *	hmm_load_nofault(), hmm_store_nofault()			1, 2, 4 or 8 bytes that do not tear
 *	hmm_guard_arm()						code that uses pointers
 *
 * None of them needs an attached space. All work on any thread, nested in each other, in signal
 * handlers and in forked children. A thread that uses them must not block SIGSEGV or SIGBUS, as a
 * handler of these signals does that was installed without SA_NODEFER.
 *
 * The library has handlers of both signals, which it installs at the first access of a process.
 * They act on faults of guarded accesses alone. Every other fault goes to the handler that the
 * program had before, with its flags and mask. A handler that the program installs later is put
 * behind the library's again when a thread looks: before its first guarded access and after each
 * 4096 accesses or 4 MiB. Until then the program's handler gets the faults of guarded accesses,
 * unless it was installed by hmm_guard_sigaction() or libhmm-preload.so is loaded. The handlers
 * stay until the process ends.
 */
#ifndef HMM_GUARD_H
#define HMM_GUARD_H

#include <hmm/types.h>
#include <setjmp.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * hmm_copy_from_nofault() - copy from memory that may go away
 * @dst: memory of the caller's own
 * @src: memory of the program; any address
 * @len: bytes, any number
 * @copied: out, may be NULL: how many bytes were copied, @len on success
 *
 * With -EFAULT @dst holds the first @copied bytes, the byte behind them could not be loaded, and
 * the rest of @dst is as it was. Bytes may tear: another thread's store may be seen in part. Only
 * loads from @src are guarded: a bad @dst is a bug of the caller's and ends the program.
 *
 * Context: any thread, engine sections and signal handlers included; a page fault may block.
 * Return: 0; -EFAULT memory was not there or not readable; another error if the handlers could not
 * be installed (a seccomp filter that denies sigaction).
 * Since: 0.1. Follows: copy_from_user_nofault().
 */
int hmm_copy_from_nofault(void *dst, const void *src, size_t len, size_t *copied);

/**
 * hmm_copy_to_nofault() - copy to memory that may go away
 * @dst: memory of the program; any address
 * @src: memory of the caller's own
 * @len: bytes, any number
 * @copied: out, may be NULL: how many bytes were copied, @len on success
 *
 * As hmm_copy_from_nofault(), with the stores to @dst guarded and the loads from @src not. Bytes
 * behind the first @copied are as they were.
 *
 * Context: as hmm_copy_from_nofault().
 * Return: 0; -EFAULT memory was not there or not writable; another error if the handlers could not
 * be installed.
 * Since: 0.1. Follows: copy_to_user_nofault().
 */
int hmm_copy_to_nofault(void *dst, const void *src, size_t len, size_t *copied);

/**
 * hmm_load_nofault() - load 1, 2, 4 or 8 bytes that may go away
 * @src: memory of the program, aligned to @bytes
 * @bytes: 1, 2, 4 or 8
 * @value: out: what was loaded, extended by zeros; untouched on an error
 *
 * One load that does not tear, with the order of an atomic load that acquires.
 *
 * Context: as hmm_copy_from_nofault().
 * Return: 0; -EFAULT memory was not there or not readable; -EINVAL another size, or @src is not
 * aligned to it; another error if the handlers could not be installed.
 * Since: 0.1. Follows: get_kernel_nofault().
 */
int hmm_load_nofault(const void *src, unsigned int bytes, uint64_t *value);

/**
 * hmm_store_nofault() - store 1, 2, 4 or 8 bytes to memory that may go away
 * @dst: memory of the program, aligned to @bytes
 * @bytes: 1, 2, 4 or 8
 * @value: its low @bytes are stored
 *
 * One store that does not tear, with the order of an atomic store that releases.
 *
 * Context: as hmm_copy_from_nofault().
 * Return: 0; -EFAULT memory was not there or not writable; -EINVAL another size, or @dst is not
 * aligned to it; another error if the handlers could not be installed.
 * Since: 0.1. Follows: put_user().
 */
int hmm_store_nofault(void *dst, unsigned int bytes, uint64_t value);

/**
 * struct hmm_guard - guards code that uses pointers into the program's memory
 * @landing: where a fault leads to, set by hmm_guard_landing()
 * @start: first address that is guarded
 * @end: one past the last
 * @hit: out, after a fault: the address that was not there
 * @outer: the guard that was armed before on this thread
 * @reserved: for later growth
 *
 * A guard lies in the frame of the function that sets its landing, or lives longer:
 *
 *	struct hmm_guard guard;
 *
 *	if (hmm_guard_landing(&guard))
 *		return -EFAULT;		a fault leads here, guard.hit is the address
 *	if (hmm_guard_arm(&guard, ptr, len))
 *		...
 *	... load and store in [ptr, ptr + len) ...
 *	hmm_guard_disarm(&guard);
 *
 * Since: 0.1.
 */
struct hmm_guard {
	jmp_buf landing;
	volatile uintptr_t start;
	volatile uintptr_t end;
	volatile uintptr_t hit;
	struct hmm_guard *outer;
	uint64_t reserved[2];
};

/**
 * define hmm_guard_landing() - set where a fault of guarded code leads to
 * @guard: the guard
 *
 * This is setjmp(3) without the signal mask: it comes back with 0, and once more with 1 after a
 * fault. Local variables that changed in between and are not volatile have no value then.
 *
 * Context: the frame in which the guarded code runs, or that called it.
 * Return: 0; 1 after a fault, when the guard is not armed any more.
 * Since: 0.1.
 */
#define hmm_guard_landing(guard) _setjmp((guard)->landing)

/**
 * hmm_guard_arm() - faults of this thread in [@ptr, @ptr + @len) lead to the guard's landing
 * @guard: has a landing, in a frame that has not returned
 * @ptr: first address
 * @len: bytes
 *
 * A fault disarms the guard and those armed after it. The thread goes on at the landing, with the
 * signal mask that it had at the access. Code between must therefore be safe to leave in the
 * middle: it holds no lock and calls nothing that does. A guard that is armed while another is
 * becomes the inner one. Arming the innermost one again moves its range.
 *
 * An address that no mapping can have (not canonical) is not found out here; the functions named
 * _nofault find it out.
 *
 * Context: any thread; in a signal handler too, if it disarms before it returns.
 * Return: 0; an error, the guard is not armed, if the handlers could not be installed.
 * Since: 0.1. Follows: pagefault_disable().
 */
int hmm_guard_arm(struct hmm_guard *guard, const void *ptr, size_t len);

/**
 * hmm_guard_disarm() - faults are the program's again, or the outer guard's
 * @guard: armed on this thread; one that is not is left alone
 *
 * Context: the thread that armed it. Since: 0.1. Follows: pagefault_enable().
 */
void hmm_guard_disarm(struct hmm_guard *guard);

/**
 * hmm_guard_look() - put the library's handlers in front of the program's now
 *
 * Guarded accesses do so by themselves, but not at each access. An engine that has waited for
 * something, and so for the program, calls this before it goes on. Two system calls and no lock if
 * nothing has changed.
 *
 * Context: any thread; in a signal handler too. Return: 0; -errno of sigaction(2).
 * Since: 0.1.
 */
int hmm_guard_look(void);

struct sigaction;

/**
 * hmm_guard_sigaction() - sigaction() of a program that has guarded accesses
 * @sig: a signal
 * @act: the program's action, or NULL
 * @old: out, or NULL: the program's action so far, never one of this library
 *
 * sigaction(2) takes the place in front from the library: the program's handler gets the faults of
 * guarded accesses until a thread looks. This call leaves the library in front, and @act gets all
 * other faults. libhmm-preload.so makes it for programs that know nothing of it.
 *
 * Context: any thread, signal handlers included.
 * Return: 0; -ENOENT the library has nothing in front: other signals, before the first guarded
 * access of this process (a forked child begins anew): call sigaction(2).
 * Since: 0.1.
 */
int hmm_guard_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

#ifdef __cplusplus
}
#endif
#endif
