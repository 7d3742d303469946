/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * software: devices whose engines are threads of the program. The library has what they all need:
 * threads with sections at the gate, a queue of jobs, a fault buffer, guarded loads and stores that
 * are replayed. The driver says how an address is translated, and keeps the page table: map and
 * invalidate of struct hmm_device_ops.
 *
 *	kernel function		library				driver
 *	hmm_load(va)		enters a section		enter: empties its TLB if the table
 *	has changed
 *				translate(va)	------>		looks va up: 0, or -ENOENT
 *				-ENOENT: leaves, raises a fault,
 *				waits, tries again
 *				copies, guarded
 *				did the section stand? no: again
 */
#ifndef HMM_SOFTWARE_H
#define HMM_SOFTWARE_H

#include <hmm/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_software_ops - how a device in software translates
 * @size: sizeof(struct hmm_software_ops); the structure may grow, see hmm(7)
 * @state_size: bytes of each engine's own for the driver, for a TLB or counters: zeroed at first,
 *	never mirrored; 0 for none
 * @translate: a host pointer for [@va, @va + @len), at most HMM_ACCESS_MAX bytes, with that
 *	permission. Called inside a section by the engine's thread: must not block, nor allocate
 *	from the program's heap. Where the mirror has device memory a page's entry says where it is
 *	(hmm_pfn_to_addr()); else it is at @va. Valid replies: 0; -ENOENT no translation: a device
 *	fault; -EXDEV all is translated, but does not lie in one piece: a copy goes page by page,
 *	and for hmm_access() the memory is brought home
 * @enter: a section began: whatever a TLB kept from before may be gone. Same restrictions. May be
 *	NULL
 * @once: a pointer for memory that may be used in this section only (HMM_FAULT_ONCE). Valid
 *	replies: 0; -EAGAIN it has changed: fault again; other errors end the access. NULL: the
 *	address itself
 *
 * Their priv is what hmm_software_create() was given, state the engine's.
 * Since: 0.1.
 */
struct hmm_software_ops {
	uint32_t size;
	uint32_t state_size;
	int (*translate)(void *priv, void *state, uint64_t va, size_t len, int prot, void **host);
	void (*enter)(void *priv, void *state);
	int (*once)(void *priv, void *state, uint64_t va, size_t len, int prot, void **host);
};

/**
 * define HMM_SOFTWARE_ENGINES_MAX - the most engines that a device can have
 * Since: 0.1.
 */
#define HMM_SOFTWARE_ENGINES_MAX 256

/**
 * hmm_software_create() - make a device whose engines are threads
 * @mm: the space
 * @ops: the driver's. fetch_faults, fault_done, submit, wait and cancel must be NULL: they are the
 *	library's. get_stats and destroy are called beside the library's own; destroy after the
 *	threads have ended
 * @priv: the driver's own, see hmm_device_priv()
 * @software: copied
 * @engines: how many, 1 to HMM_SOFTWARE_ENGINES_MAX
 * @dev: out
 *
 * Puts handlers of SIGSEGV and SIGBUS in front of the program's, see hmm-device(7). The threads
 * take no other signal.
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL as hmm_device_create(), an op of the library's in @ops, no translate in
 * @software, or a wrong @engines; -E2BIG @ops or @software says what this library does not know;
 * -ENOSPC the space has no place for so many engines; -EAGAIN no thread can be made; -ENOMEM no
 * memory; -ESRCH a forked child, the process has ended, or it closed the library's descriptors.
 * After an error destroy was not called.
 * Ownership: as hmm_device_create().
 * Since: 0.1.
 */
int hmm_software_create(struct hmm_mm *mm, const struct hmm_device_ops *ops, void *priv,
			const struct hmm_software_ops *software, unsigned int engines,
			struct hmm_device **dev);

/**
 * hmm_software_state() - what an engine has of the driver's
 * @dev: of hmm_software_create()
 * @engine: its number, from 0
 *
 * For counters that get_stats adds up: the engine may be writing to it.
 * Context: anywhere until the device is destroyed, ops.destroy included.
 * Return: NULL past the last engine, and where state_size is 0. Since: 0.1.
 */
void *hmm_software_state(struct hmm_device *dev, unsigned int engine);

#ifdef __cplusplus
}
#endif
#endif
