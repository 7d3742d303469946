/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * engine: the gate between devices and the pump. An engine uses translations only inside a section;
 * the pump closes the gate and waits until every section has ended before it reads an event. So
 * sections must be short: poll at least every 64 KiB of work.
 *
 * Devices that are stopped as a whole (real hardware, a simulator's clock) register a quiescer instead.
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
 * @engine: out; used by one thread at a time
 * Context: may block; not from a callback. Return: 0; -ENOMEM; -ENOSPC more than 1024; -ESRCH.
 * Ownership: the caller's until hmm_engine_destroy(). Since: 0.1.
 */
int hmm_engine_create(struct hmm_mm *mm, struct hmm_engine **engine);

/**
 * hmm_engine_destroy() - give the place back; NULL is legal; not inside its section
 * Since: 0.1.
 */
void hmm_engine_destroy(struct hmm_engine *engine);

/**
 * hmm_engine_enter() - begin a section: translations looked up inside are current
 * Waits while the gate is closed. Context: not nested, not in a callback; inside a section no call
 * that may block, no hmm_range_fault(), no munmap or free of mirrored memory.
 * Since: 0.1.
 */
void hmm_engine_enter(struct hmm_engine *engine);

/**
 * hmm_engine_exit() - end a section
 * Return: true if the section stands; false if the pump ran over it because it had not ended in
 * time (a CPU page fault that slept): what was read in it must be thrown away and replayed. A store that
 * slept in a fault happens all the same, to what is mapped at the address by then: who stores through the
 * CPU's page table is as any other thread of the program there.
 * Since: 0.1.
 */
bool hmm_engine_exit(struct hmm_engine *engine);

/**
 * hmm_engine_poll() - does the gate want to close?
 * Return: true: exit, enter again, and look every translation up anew. Costs one load.
 * Since: 0.1.
 */
bool hmm_engine_poll(const struct hmm_engine *engine);

/**
 * hmm_mm_commit_begin() - begin a commit section on a thread that has no engine
 * @mm: the space
 *
 * Excludes the pump from the read of the next event; several threads may commit at once. Keep it
 * short. Waits while the gate is closed, for as long as a driver's quiesce or a callback takes: there is no
 * deadline; faults of a mirror have one (hmm_svm_options.fault_timeout_ns). Context: as hmm_engine_enter(). Since: 0.1.
 */
void hmm_mm_commit_begin(struct hmm_mm *mm);

/**
 * hmm_mm_commit_end() - end a commit section
 * Since: 0.1.
 */
void hmm_mm_commit_end(struct hmm_mm *mm);

/**
 * struct hmm_quiescer_ops - for devices that are stopped as a whole
 * @size: sizeof(struct hmm_quiescer_ops); the structure may grow, see hmm(7)
 * @quiesce: stop using translations and return when that is so. Must not wait for a fault of the
 *	device to be served: a faulting engine counts as quiesced. Same restrictions as
 *	hmm_interval_notifier_ops.invalidate.
 * @resume: go on
 */
struct hmm_quiescer_ops {
	uint32_t size;
	void (*quiesce)(void *priv);
	void (*resume)(void *priv);
};

struct hmm_quiescer;

/**
 * hmm_quiescer_add() - have a device stopped before events are read
 * Return: 0; -ENOMEM; -EINVAL; -E2BIG @ops says what this library does not know; -ESRCH. @ops are
 * copied. Since: 0.1.
 */
int hmm_quiescer_add(struct hmm_mm *mm, const struct hmm_quiescer_ops *ops, void *priv,
		     struct hmm_quiescer **quiescer);

/**
 * hmm_quiescer_remove() - after it returns neither callback runs or will run; NULL is legal
 * Since: 0.1.
 */
void hmm_quiescer_remove(struct hmm_quiescer *quiescer);

#ifdef __cplusplus
}
#endif
#endif
