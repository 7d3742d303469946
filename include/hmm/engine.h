/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * engine: the gate between devices and the pump. An engine uses translations only inside a section;
 * the pump closes the gate and waits until every section has ended before it reads an event. So
 * sections must be short: poll at least every 64 KiB of work.
 *
 * Devices that are stopped as a whole (real hardware, a simulator's clock) register a quiescer
 * instead.
 */
#ifndef HMM_ENGINE_H
#define HMM_ENGINE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * hmm_engine_create() - a place at the gate for one thread
 * @mm: the space
 * @engine: out: used by one thread at a time
 *
 * Context: any thread; not from a callback.
 * Return: 0; -ENOSPC 1024 engines exist; -ESRCH a forked child, the process has ended, or it closed
 * the library's descriptors.
 * Ownership: *engine is the caller's until hmm_engine_destroy().
 * Since: 0.1.
 */
int hmm_engine_create(struct hmm_mm *mm, struct hmm_engine **engine);

/**
 * hmm_engine_destroy() - give the place back
 * @engine: not inside its section; NULL is legal
 *
 * Context: any thread. In a forked child it does nothing.
 * Since: 0.1.
 */
void hmm_engine_destroy(struct hmm_engine *engine);

/**
 * hmm_engine_enter() - begin a section: translations that are looked up inside are current
 * @engine: the calling thread's
 *
 * Waits while the gate is closed. Inside a section the thread must not block, call
 * hmm_range_fault(), or unmap or free mirrored memory: the pump waits for the section, and so may
 * whatever it would wait for.
 * Context: the engine's thread; not inside a section, not in a callback.
 * Since: 0.1.
 */
void hmm_engine_enter(struct hmm_engine *engine);

/**
 * hmm_engine_exit() - end a section
 * @engine: the calling thread's
 *
 * A section that does not end is run over: after 10 ms if its thread sleeps (in a page fault of the
 * CPU, say), after one second if it does not. A store that slept in a page fault still happens, to
 * what is mapped at the address by then, as a store of any other thread would.
 * Context: the engine's thread, inside a section.
 * Return: true if the section stands; false if it was run over: throw away what was read in it, and
 * do it again.
 * Since: 0.1.
 */
bool hmm_engine_exit(struct hmm_engine *engine);

/**
 * hmm_engine_poll() - is somebody waiting for the section to end?
 * @engine: the calling thread's
 *
 * Costs one load. Ask at least once in 64 KiB of work.
 * Context: the engine's thread, inside a section.
 * Return: true: exit, enter again, and look every translation up anew.
 * Since: 0.1.
 */
bool hmm_engine_poll(const struct hmm_engine *engine);

/**
 * hmm_thread_block_signals() - block the calling thread's signals, for good
 *
 * Calls that move pages (hmm/migrate.h) block the signals of their thread meanwhile, which are two
 * system calls each: a page that is taken exclusively and given back takes six in all. For a thread
 * that serves a device and has done this once there are two. It blocks all signals but those that
 * an access or an instruction of the thread's own raises (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP,
 * SIGSYS), for which it has no handler that moves, touches or gives up mirrored memory while the
 * library works. The thread must not unblock a signal afterwards: a handler that waits for the
 * library could then wait for ever. LIBHMM_DEBUG reports a thread that does. A child that the
 * thread forks inherits both.
 * Context: any thread, once; a further call does the same.
 * Since: 0.1.
 */
void hmm_thread_block_signals(void);

/**
 * hmm_mm_commit_begin() - begin a commit section on a thread that has no engine
 * @mm: the space
 *
 * While a commit section is open the pump does not read the next event. Several threads may commit
 * at once. Keep it short: ask hmm_interval_read_retry(), install, end.
 *
 * Waits while the gate is closed, which is for as long as a driver's quiesce or a callback takes.
 * There is no deadline; faults of a mirror have one (@fault_timeout_ns of struct hmm_svm_options).
 * Context: as hmm_engine_enter().
 * Since: 0.1.
 */
void hmm_mm_commit_begin(struct hmm_mm *mm);

/**
 * hmm_mm_commit_end() - end a commit section
 * @mm: the space
 *
 * Context: the thread that began it.
 * Since: 0.1.
 */
void hmm_mm_commit_end(struct hmm_mm *mm);

/**
 * struct hmm_quiescer_ops - callbacks of a device that is stopped as a whole
 * @size: sizeof(struct hmm_quiescer_ops); the structure may grow, see hmm(7)
 * @quiesce: stop using translations, and return when that is so. It must not wait for a fault of
 *	the device to be served: an engine that waits for its fault is stopped already. Otherwise
 *	restricted as @invalidate of struct hmm_interval_notifier_ops
 * @resume: translations may be used again
 *
 * Since: 0.1.
 */
struct hmm_quiescer_ops {
	uint32_t size;
	void (*quiesce)(void *priv);
	void (*resume)(void *priv);
};

struct hmm_quiescer;

/**
 * hmm_quiescer_add() - have a device stopped before events are read
 * @mm: the space
 * @ops: copied
 * @priv: handed to the callbacks
 * @quiescer: out
 *
 * If devices are stopped at this moment, @quiesce is called before the call returns.
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL a wrong size, or a callback is missing; -E2BIG @ops says what this library
 * does not know; -ENOMEM no memory; -ESRCH a forked child, the process has ended, or it closed the
 * library's descriptors.
 * Ownership: *quiescer is the caller's until hmm_quiescer_remove().
 * Since: 0.1.
 */
int hmm_quiescer_add(struct hmm_mm *mm, const struct hmm_quiescer_ops *ops, void *priv,
		     struct hmm_quiescer **quiescer);

/**
 * hmm_quiescer_remove() - stop calling a device's callbacks
 * @quiescer: NULL is legal
 *
 * After it returned neither callback runs or will run.
 * Context: may block; not from a callback. In a forked child it does nothing.
 * Since: 0.1.
 */
void hmm_quiescer_remove(struct hmm_quiescer *quiescer);

#ifdef __cplusplus
}
#endif
#endif
