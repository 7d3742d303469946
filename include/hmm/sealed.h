/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * sealed: device memory in another process, the holder, for what must not be read while it is not
 * needed. The holder's memory is that of memfd_secret(2): while a page is there neither the
 * program, nor a debugger, nor a core dump, nor root's process_vm_readv(2) can read it. Jobs run on
 * it in the holder. hmm-devmem(7) has a chapter on it.
 *
 *	hmm_sealed_create(mm, 8 << 20, HMM_SEALED_REQUEST, 0, &sealed);
 *	hmm_migrate_to_device(hmm_sealed_devmem(sealed), start, end, HMM_FOREVER, &result);
 *	hmm_sealed_run(sealed, HMM_SEALED_XOR, start, end, word, HMM_FOREVER, NULL);
 *	hmm_sealed_get(sealed, start, end, HMM_FOREVER);
 */
#ifndef HMM_SEALED_H
#define HMM_SEALED_H

#include <hmm/types.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_devmem;
struct hmm_sealed;

/**
 * enum hmm_sealed_policy - when sealed pages come home
 * @HMM_SEALED_TOUCH: when the CPU touches them, as those of any region
 * @HMM_SEALED_REQUEST: by hmm_sealed_get() and hmm_sealed_destroy() alone. A touch is SIGBUS until
 *	then, and loses nothing
 * @HMM_SEALED_NEVER: never. A touch is SIGBUS, munmap and MADV_DONTNEED drop the page, and no job
 *	that tells what is there is run. The holder itself refuses
 *
 * Since: 0.1.
 */
enum hmm_sealed_policy {
	HMM_SEALED_TOUCH,
	HMM_SEALED_REQUEST,
	HMM_SEALED_NEVER,
};

/**
 * flags HMM_SEALED_* - how sealed memory is made
 * @HMM_SEALED_EVICT: with HMM_SEALED_TOUCH only: as HMM_DEVMEM_EVICT
 * @HMM_SEALED_PLAIN: use memfd_create(2) even if there is memfd_secret(2): "unsealed"
 *
 * Since: 0.1.
 */
#define HMM_SEALED_EVICT (1U << 0)
#define HMM_SEALED_PLAIN (1U << 1)

/**
 * enum hmm_sealed_job - what the holder does with words of 8 bytes
 * @HMM_SEALED_FILL: each becomes the operand
 * @HMM_SEALED_ADD: the operand is added to each
 * @HMM_SEALED_XOR: each is combined with the operand by exclusive or
 * @HMM_SEALED_SUM: the sum of all and of the operand is the result
 *
 * Since: 0.1.
 */
enum hmm_sealed_job {
	HMM_SEALED_FILL,
	HMM_SEALED_ADD,
	HMM_SEALED_XOR,
	HMM_SEALED_SUM,
};

/**
 * hmm_sealed_supported() - is there memfd_secret(2)?
 *
 * Context: any.
 * Return: 0; -ENOSYS the kernel has it not, or secretmem.enable=0; another -errno of the call. Then
 * what hmm_sealed_create() makes is "unsealed".
 * Since: 0.1.
 */
int hmm_sealed_supported(void);

/**
 * hmm_sealed_create() - start a holder, with memory for pages of the program
 * @mm: the space whose pages may live there
 * @bytes: how much, a multiple of 2 MiB, at most 32 GiB. The holder has all of it from the start,
 *	as locked memory (RLIMIT_MEMLOCK, or CAP_IPC_LOCK)
 * @policy: enum hmm_sealed_policy
 * @flags: HMM_SEALED_*
 * @sealed: out
 *
 * The holder is a program that the library has inside. It has none of the program's memory,
 * descriptors and environment, is no child of it, and ends with it. It may not be dumped, nor be
 * traced without CAP_SYS_PTRACE.
 * Context: any thread outside sections and callbacks; may block. The program may see one SIGCHLD.
 * Return: 0; -EINVAL a wrong number of bytes, policy or flag, or HMM_SEALED_EVICT with another
 * policy; -EOPNOTSUPP, -ENOSPC, -EAGAIN, -ESRCH as hmm_devmem_create(); -ENOMEM no memory, or more
 * than may be locked; -EPIPE the holder ended at once. Another -errno if it could not be started.
 * Ownership: *sealed is the caller's until hmm_sealed_destroy(), which comes before
 * hmm_mm_detach().
 * Since: 0.1.
 */
int hmm_sealed_create(struct hmm_mm *mm, uint64_t bytes, enum hmm_sealed_policy policy,
		      uint32_t flags, struct hmm_sealed **sealed);

/**
 * hmm_sealed_destroy() - bring every page home, and end the holder
 * @sealed: NULL is legal
 * @timeout_ns: how long it may come no further, in ns
 *
 * With HMM_SEALED_NEVER nothing comes home: what is there is lost. In a forked child nothing but
 * the child's part ends.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -ETIME, -ENOMEM, -EIO as hmm_devmem_destroy(): it is still there.
 * Since: 0.1.
 */
int hmm_sealed_destroy(struct hmm_sealed *sealed, uint64_t timeout_ns);

/**
 * hmm_sealed_devmem() - the region, for hmm_migrate_to_device() and hmm_devmem_get_stats()
 * @sealed: of hmm_sealed_create()
 *
 * What hmm_migrate_to_device() counts as left stays in the program, readable.
 * Context: any.
 * Return: the region.
 * Since: 0.1.
 */
struct hmm_devmem *hmm_sealed_devmem(const struct hmm_sealed *sealed);

/**
 * hmm_sealed_name() - what the holder's memory is
 * @sealed: of hmm_sealed_create()
 *
 * Context: any.
 * Return: "sealed"; "unsealed": a memfd, which root and core dumps of the machine can read.
 * Since: 0.1.
 */
const char *hmm_sealed_name(const struct hmm_sealed *sealed);

/**
 * hmm_sealed_holder() - the holder's process
 * @sealed: of hmm_sealed_create()
 *
 * When it ends what is there is lost: touching it is SIGBUS. All other pages are as before.
 * Context: any.
 * Return: its number.
 * Since: 0.1.
 */
pid_t hmm_sealed_holder(const struct hmm_sealed *sealed);

/**
 * hmm_sealed_run() - run a job in the holder
 * @sealed: of hmm_sealed_create()
 * @job: enum hmm_sealed_job
 * @start: first address, a multiple of 8
 * @end: one past the last, likewise
 * @operand: see enum hmm_sealed_job
 * @timeout_ns: how long it may come no further, in ns
 * @result: out: of HMM_SEALED_SUM; may be NULL
 *
 * Pages that are not there, or that the CPU has touched meanwhile, migrate there first. Each word
 * is worked on once, and no touch of the CPU sees a page half done. After an error words from the
 * beginning of the range may have been worked on, and no others.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL a wrong job or range, or a hole in it; -ENOENT a page of the range cannot
 * migrate; -EACCES HMM_SEALED_SUM with HMM_SEALED_NEVER; -EPIPE the holder has ended; -EBUSY
 * @timeout_ns passed while changes of the memory collided; -ETIME, -ENOSPC, -ENOMEM, -EIO, -ESRCH
 * as hmm_migrate_to_device().
 * Since: 0.1.
 */
int hmm_sealed_run(struct hmm_sealed *sealed, enum hmm_sealed_job job, uint64_t start, uint64_t end,
		   uint64_t operand, uint64_t timeout_ns, uint64_t *result);

/**
 * hmm_sealed_get() - bring the pages of a range home
 * @sealed: of hmm_sealed_create()
 * @start: first address
 * @end: one past the last
 * @timeout_ns: how long it may come no further, in ns
 *
 * Also those whose touch was SIGBUS.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EACCES HMM_SEALED_NEVER; -EINVAL an empty or wrapping range; -EBUSY @timeout_ns
 * passed while changes of the memory collided; -ETIME, -ENOMEM, -EIO, -ESRCH as
 * hmm_migrate_to_system().
 * Since: 0.1.
 */
int hmm_sealed_get(struct hmm_sealed *sealed, uint64_t start, uint64_t end, uint64_t timeout_ns);

#ifdef __cplusplus
}
#endif
#endif
