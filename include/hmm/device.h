/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * device: what a driver author fills in (struct hmm_device_ops), what a kernel function running on
 * a device calls (hmm_access() and its kin), and how devices are opened by name and stacked.
 *
 * The smallest legal driver is two functions over an hmm_ptable (devices/null):
 *
 *	map:		return hmm_ptable_set(t, m->start, m->shift, m->pfns, m->n);
 *	invalidate:	hmm_ptable_clear(t, start, end);
 *
 * Everything else, and above all when these two are called, is the work of the svm layer (svm.h).
 */
#ifndef HMM_DEVICE_H
#define HMM_DEVICE_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hmm_job;
struct hmm_ctx;

/**
 * define HMM_DEVICE_ABI - for @abi of struct hmm_device_ops
 * Since: 0.1.
 */
#define HMM_DEVICE_ABI 1

/**
 * enum hmm_thread_model - which ops may run at the same time; the library sees to it
 * @HMM_THREADS_SERIAL: map, fault_done, submit, cancel and get_stats never run at the same time.
 *	fetch_faults and wait may block, and therefore may run beside them
 * @HMM_THREADS_PARALLEL: any op beside any other
 *
 * In both models invalidate, quiesce and resume never run beside map: the gate sees to that.
 * Since: 0.1.
 */
enum hmm_thread_model {
	HMM_THREADS_SERIAL,
	HMM_THREADS_PARALLEL,
};

/**
 * enum hmm_fault_model - what the device does when it has no translation
 * @HMM_FAULTS_REPLAY: it puts a fault into its fault buffer, waits, and tries again when told
 * @HMM_FAULTS_NONE: it cannot wait. Jobs name their memory (@ranges of struct hmm_job), which is
 *	populated when they are submitted. An invalidation stops the device, and what was lost is
 *	populated again before it goes on
 *
 * Since: 0.1.
 */
enum hmm_fault_model {
	HMM_FAULTS_REPLAY,
	HMM_FAULTS_NONE,
};

/**
 * struct hmm_device_map - translations to install
 * @start: first address, aligned to 1 << @shift
 * @shift: log2 bytes of each entry, one of the device's sizes
 * @flags: HMM_MAP_*
 * @n: how many entries, for addresses in a row
 * @pfns: @n words as hmm_range_fault() made them: with HMM_PFN_VALID, or 0 for a slot to leave
 *	alone. Never with HMM_PFN_TRANSIENT or HMM_PFN_ERROR. The array is gone after the call
 *
 * Since: 0.1.
 */
struct hmm_device_map {
	uint64_t start;
	uint32_t shift;
	uint32_t flags;
	uint64_t n;
	const uint64_t *pfns;
};

/**
 * flags HMM_MAP_* - what is special about translations to install
 * @HMM_MAP_UPGRADE: same pages as before with more permission: a device may keep addresses and
 *	change bits only, but has to install what it dropped by itself meanwhile
 * @HMM_MAP_PREFETCH: nobody waits for it: a prefetch
 *
 * For @flags of struct hmm_device_map.
 * Since: 0.1.
 */
#define HMM_MAP_UPGRADE (1U << 0)
#define HMM_MAP_PREFETCH (1U << 1)

/**
 * struct hmm_device_fault - an entry of a fault buffer
 * @addr: where the device wanted to go
 * @len: bytes from @addr, at least 1
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 * @engine: which engine waits
 * @cookie: the device's own
 * @flags: HMM_FAULT_*
 * @once_notifier: out, with HMM_FAULT_ONCE: for hmm_range_check()
 * @once_seq: out, with HMM_FAULT_ONCE: likewise
 * @once_start: out, with HMM_FAULT_ONCE: where the memory begins that may be used once
 * @once_end: out, with HMM_FAULT_ONCE: one past its last byte
 *
 * Since: 0.1.
 */
struct hmm_device_fault {
	uint64_t addr;
	uint64_t len;
	uint32_t prot;
	uint32_t engine;
	uint64_t cookie;
	uint32_t flags;
	uint32_t pad;
	struct hmm_interval_notifier *once_notifier;
	uint64_t once_seq;
	uint64_t once_start;
	uint64_t once_end;
};

/**
 * flags HMM_FAULT_* - what is special about a fault
 * @HMM_FAULT_ONCE: out: the memory is there but cannot be cached (HMM_PFN_TRANSIENT), so nothing
 *	was installed. The device may use [once_start, once_end) in one section, after
 *	hmm_range_check() with HMM_CHECK_ALL returned 0 inside it. One that loads and stores through
 *	the address needs no checks (0), as it reaches what is mapped at that instant; see
 *	hmm-coherence(7)
 * @HMM_FAULT_VANISHED: in: the device had a translation and the memory was not there: forget it
 *	before looking again
 *
 * For @flags of struct hmm_device_fault.
 * Since: 0.1.
 */
#define HMM_FAULT_ONCE (1U << 0)
#define HMM_FAULT_VANISHED (1U << 1)

/**
 * struct hmm_device_stats - counters since the device was opened, and what it holds now
 * @size: in: sizeof(struct hmm_device_stats); the structure may grow, see hmm(7)
 * @engines: how many there are
 * @device_faults: accesses that found no translation, one for each entry of the fault buffer
 * @pages_4k: entries installed, by size
 * @pages_2m: likewise
 * @pages_1g: likewise
 * @pages_other: likewise, of other sizes
 * @invalidations: invalidate calls that removed or weakened an entry
 * @invalidate_calls: all invalidate calls
 * @retries: commits begun again because of a collision
 * @stale_accesses: uses of a translation that was no longer true, and could not be done again
 * @tlb_hits: look-ups that the TLB answered
 * @tlb_misses: look-ups that it did not
 * @tlb_flushes: times that it was emptied
 * @bytes_read: bytes read from the program's memory
 * @bytes_written: bytes written to it
 * @replays: faults answered by "try again"
 * @cancels: faults answered by an error
 * @guard_hits: times that memory vanished under a load or store
 * @overruns: sections that the pump ran over
 * @restarts: items begun again from their start
 * @once_uses: uses of memory that cannot be cached
 * @jobs: jobs run
 * @items: items run
 * @injected: failures and delays that stacked devices put in
 * @held_4k: entries in its page table by size, now
 * @held_2m: likewise
 * @held_1g: likewise
 * @held_other: likewise, of other sizes
 *
 * Since: 0.1.
 */
struct hmm_device_stats {
	uint32_t size;
	uint32_t engines;
	uint64_t device_faults;
	uint64_t pages_4k;
	uint64_t pages_2m;
	uint64_t pages_1g;
	uint64_t pages_other;
	uint64_t invalidations;
	uint64_t invalidate_calls;
	uint64_t retries;
	uint64_t stale_accesses;
	uint64_t tlb_hits;
	uint64_t tlb_misses;
	uint64_t tlb_flushes;
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t replays;
	uint64_t cancels;
	uint64_t guard_hits;
	uint64_t overruns;
	uint64_t restarts;
	uint64_t once_uses;
	uint64_t jobs;
	uint64_t items;
	uint64_t injected;
	uint64_t held_4k;
	uint64_t held_2m;
	uint64_t held_1g;
	uint64_t held_other;
};

/**
 * struct hmm_device_ops - a driver
 * @size: sizeof(struct hmm_device_ops); the structure may grow, see hmm(7)
 * @abi: HMM_DEVICE_ABI
 * @name: short, static
 * @thread_model: enum hmm_thread_model
 * @fault_model: enum hmm_fault_model; a stacked device has that of the device below
 * @page_shifts: sizes of entries as a mask of 1 << shift, with 1 << 12 in it; 0: 4K, 2M and 1G
 * @map: install translations. Called inside a commit section by the thread that handles a fault:
 *	no event is read meanwhile, and a munmap of mirrored memory by another thread waits. It must
 *	not wait for such a thread, nor allocate from the program's heap; hmm-pinning(7) says what
 *	it may.
 *	Returns 0; or -errno: then nothing of this map counts as installed, invalidate is called for
 *	the range (if the gate cannot be closed in time, with the next event there), and the fault
 *	is cancelled with that error
 * @invalidate: drop every translation in [start, end), and flush it from every TLB. Called with the
 *	gate closed and no engine inside a section, mostly by the pump. It is as restricted as a
 *	signal handler (no malloc, no stdio, no dlopen, no lock that the program holds across
 *	free()), must not block and cannot fail. HMM_EVENT_FORK and HMM_EVENT_PROTECT may keep what
 *	stays readable, without permission to write, if the device is sure that this is enough; the
 *	mirror takes the range to be gone in any case
 * @quiesce: stop using translations. For devices that do not use the sections of
 *	hmm_engine_enter(). Called before every read of events, restricted as invalidate; must not
 *	wait for a fault to be served
 * @resume: go on
 * @fetch_faults: move up to @n entries out of the fault buffer. Called by the mirror, outside of
 *	sections. @timeout_ns is how long to wait for the first: HMM_NO_WAIT asks; else it is at
 *	most 20 ms, and the driver must wait if nothing is there, as a fault thread calls again at
 *	once. Returns how many. Fewer than @n say that no fault that was raised before the call is
 *	left: a device that leaves some behind all the same has faults answered twice. -ETIME is
 *	taken as 0; -ESHUTDOWN says that the device is closing
 * @fault_done: answer a fault that was fetched. @error 0: try again; else cancel the access with
 *	it. Outside of sections; must not block
 * @submit: start a job. Outside of sections; must not wait for another job, whose faults may have
 *	to be answered first. The job is the device's until @wait returned its end. job->status and
 *	job->done are 0; the driver adds to job->done as items end. Returns 0; -EINVAL; -ENOMEM;
 *	-EIO
 * @wait: wait for the end of a job. @timeout_ns is how long; HMM_FOREVER, 0, has no end.
 *	Returns 0: it has ended, and the driver has set
 *	job->status before; -ETIME
 * @cancel: make a job end soon with -ECANCELED. Must not block
 * @collect: free table pages that hold no entry. Called with the gate closed, off the pump. Returns
 *	bytes freed
 * @get_stats: *add* own counters to @stats, which the library has cleared, up to its size
 * @destroy: free the device's part. No op is called afterwards. May block
 * @ignored_events: a mask as in struct hmm_interval_notifier_ops: a device whose map pins pages for
 *	writing ignores HMM_EVENT_FORK and keeps what it holds. A stacked device has the mask of the
 *	device below
 *
 * Ops may be NULL. Those of a device that is stacked upon another are forwarded to it. Those of
 * others return -EOPNOTSUPP, or do nothing where they return nothing, so no caller tests for NULL.
 *
 * A device may drop more than it was asked to, all of a larger entry for instance, and may drop
 * entries at any other time (an eviction). What the device faults on is installed again, though the
 * mirror believed it there. A driver without a fault buffer calls hmm_svm_drop() for what it finds
 * missing, then hmm_svm_fault().
 * Since: 0.1.
 */
struct hmm_device_ops {
	uint32_t size;
	uint32_t abi;
	const char *name;
	uint32_t thread_model;
	uint32_t fault_model;
	uint64_t page_shifts;
	int (*map)(struct hmm_device *dev, const struct hmm_device_map *map);
	void (*invalidate)(struct hmm_device *dev, uint64_t start, uint64_t end,
			   enum hmm_event event);
	void (*quiesce)(struct hmm_device *dev);
	void (*resume)(struct hmm_device *dev);
	int (*fetch_faults)(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
			    uint64_t timeout_ns);
	int (*fault_done)(struct hmm_device *dev, const struct hmm_device_fault *fault, int error);
	int (*submit)(struct hmm_device *dev, struct hmm_job *job);
	int (*wait)(struct hmm_device *dev, struct hmm_job *job, uint64_t timeout_ns);
	int (*cancel)(struct hmm_device *dev, struct hmm_job *job);
	uint64_t (*collect)(struct hmm_device *dev);
	int (*get_stats)(struct hmm_device *dev, struct hmm_device_stats *stats);
	void (*destroy)(struct hmm_device *dev);
	uint32_t ignored_events;
	uint32_t pad;
};

/**
 * hmm_device_create() - make a device of a driver's ops
 * @mm: the space that the device will mirror
 * @ops: copied; missing ops are filled in
 * @priv: the driver's own, see hmm_device_priv()
 * @inner: the device to stack upon, or NULL
 * @dev: out
 *
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL a wrong size or ABI, no name, an unknown model, no entries of 4K, an event
 * that cannot be ignored, or @inner is of another space, has a mirror or is stacked upon already;
 * -E2BIG @ops says what this library does not know; -ENOMEM no memory; -ESRCH a forked child.
 * Ownership: *dev is the caller's until hmm_device_destroy(). On success it owns @inner, which is
 * destroyed with it.
 * Since: 0.1.
 */
int hmm_device_create(struct hmm_mm *mm, const struct hmm_device_ops *ops, void *priv,
		      struct hmm_device *inner, struct hmm_device **dev);

/**
 * hmm_device_destroy() - close a device and those below it
 * @dev: no mirror uses it any more; NULL is legal
 *
 * Context: may block; not from a callback. In a forked child it does nothing.
 * Since: 0.1.
 */
void hmm_device_destroy(struct hmm_device *dev);

/**
 * hmm_device_open() - open a device by description
 * @mm: the space
 * @spec: names from the outside in: "soft", "error:rate=0.01,seed=7,soft", "delay:us=50,null". The
 *	form is NAME[:OPTION=VALUE[,OPTION=VALUE...]][,INNER]. A comma is followed by an option of
 *	the same device if that has a '=', else by the next device
 * @engines: how many execution engines, at most 256; 0: as many as there are online CPUs
 * @dev: out
 *
 * Context: may block; not from a callback.
 * Return: 0; -ENODEV no such device; -EINVAL a bad option, a description of 256 bytes or more, more
 * than 8 devices, too many engines, nothing to stack upon, or something under a device that takes
 * nothing; -ENOMEM no memory; -EAGAIN no thread can be made; -ENOSPC the space has no place for so
 * many engines; -ESRCH a forked child, the process has ended, or it closed the library's
 * descriptors. Another -errno that the device's open returned.
 * Ownership: *dev is the caller's until hmm_device_destroy().
 * Since: 0.1.
 */
int hmm_device_open(struct hmm_mm *mm, const char *spec, unsigned int engines,
		    struct hmm_device **dev);

/**
 * struct hmm_device_driver - an entry of the registry
 * @size: sizeof(struct hmm_device_driver); the structure may grow, see hmm(7)
 * @name: what hmm_device_open() is given; holds none of ",:="
 * @summary: one line for people
 * @stacks: needs a device below it
 * @open: makes a device. inner is the device below, NULL if @stacks is false; options is what stood
 *	behind the colon, "" for none, and agrees with @options; engines is at least 1. Valid
 *	replies: 0; -errno, and inner is still the caller's
 * @options: what there is, "NAME=VALUES NAME=VALUES...", where VALUES is "A|B|C", a range of
 *	numbers "0..1", or "*" for any text but none; NULL for a device that takes none.
 *	hmm_device_open() refuses everything else
 *
 * Since: 0.1.
 */
struct hmm_device_driver {
	uint32_t size;
	bool stacks;
	const char *name;
	const char *summary;
	int (*open)(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		    unsigned int engines, struct hmm_device **dev);
	const char *options;
};

/**
 * define HMM_DEVICE_DRIVERS_MAX - the most drivers that can be registered
 *
 * The library's own do not count.
 * Since: 0.1.
 */
#define HMM_DEVICE_DRIVERS_MAX 64

/**
 * hmm_device_register() - make a driver known to hmm_device_open()
 * @driver: copied; its strings and functions must stay until hmm_device_unregister()
 *
 * It is known in the whole process, and in its forked children.
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL a wrong size, no name, summary or open, or a name that cannot be given; -E2BIG
 * @driver says what this library does not know; -EEXIST there is a driver of that name; -ENOSPC
 * there are HMM_DEVICE_DRIVERS_MAX already.
 * Since: 0.1.
 */
int hmm_device_register(const struct hmm_device_driver *driver);

/**
 * hmm_device_unregister() - forget a driver again
 * @name: of one that was registered
 *
 * Its devices stay, and need its functions until they are destroyed.
 * Context: may block; not from a callback.
 * Return: 0; -EINVAL no @name; -ENOENT no such driver was registered; -EBUSY hmm_device_open() is
 * calling it.
 * Since: 0.1.
 */
int hmm_device_unregister(const char *name);

/**
 * hmm_device_driver_at() - list the registry
 * @i: from 0; the library's own come first
 *
 * Context: any.
 * Return: the entry, valid until that driver is unregistered; NULL past the last.
 * Since: 0.1.
 */
const struct hmm_device_driver *hmm_device_driver_at(unsigned int i);

/**
 * hmm_device_option() - an option of a device, as its driver's open gets them
 * @options: "NAME=VALUE,NAME=VALUE...", or NULL
 * @name: which
 * @value: out: what stands behind the first such NAME
 * @size: room for it and its NUL
 *
 * Context: any.
 * Return: 1 it is there; 0 it is not, and @value is as it was; -EINVAL it does not fit.
 * Since: 0.1.
 */
int hmm_device_option(const char *options, const char *name, char *value, size_t size);

/**
 * hmm_device_option_number() - an option that is a number
 * @options: as for hmm_device_option()
 * @name: which
 * @number: out
 *
 * It is decimal and has a point, whatever the program's locale: "0.01", "1e9".
 * Context: any.
 * Return: 1 it is there; 0 it is not, and @number is as it was; -EINVAL it is none; -ENOMEM no
 * memory.
 * Since: 0.1.
 */
int hmm_device_option_number(const char *options, const char *name, double *number);

/**
 * hmm_device_option_word() - an option that is one of some words
 * @options: as for hmm_device_option()
 * @name: which
 * @words: "A|B|C"
 * @which: out: 0 for A
 *
 * Context: any.
 * Return: 1 it is there; 0 it is not, and @which is as it was; -EINVAL it is none of them.
 * Since: 0.1.
 */
int hmm_device_option_word(const char *options, const char *name, const char *words,
			   unsigned int *which);

/**
 * hmm_device_option_check() - are these options that a driver has?
 * @options: as for hmm_device_option()
 * @known: @options of struct hmm_device_driver
 * @bad: out, or NULL: where in @options the first begins that is not
 *
 * What hmm_device_open() asks before it calls a driver.
 * Context: any.
 * Return: 0; -EINVAL one is not.
 * Since: 0.1.
 */
int hmm_device_option_check(const char *options, const char *known, const char **bad);

/**
 * hmm_device_priv() - what hmm_device_create() was given
 * @dev: the device
 *
 * Context: any.
 * Return: the driver's own.
 * Since: 0.1.
 */
void *hmm_device_priv(const struct hmm_device *dev);

/**
 * hmm_device_mm() - the space of a device
 * @dev: the device
 *
 * Context: any.
 * Return: what hmm_device_create() was given.
 * Since: 0.1.
 */
struct hmm_mm *hmm_device_mm(const struct hmm_device *dev);

/**
 * hmm_device_inner() - the device below
 * @dev: the device
 *
 * Context: any.
 * Return: the device that @dev is stacked upon; NULL for none.
 * Since: 0.1.
 */
struct hmm_device *hmm_device_inner(const struct hmm_device *dev);

/**
 * hmm_device_get_ops() - the ops of a device, filled in
 * @dev: the device
 *
 * Context: any. What may be called where is in struct hmm_device_ops.
 * Return: ops of which none is NULL.
 * Since: 0.1.
 */
const struct hmm_device_ops *hmm_device_get_ops(const struct hmm_device *dev);

/**
 * hmm_device_get_stats() - counters of a device and those below it, summed
 * @dev: the device
 * @stats: out; @size is in
 *
 * Context: any thread outside callbacks; may block.
 * Return: 0; -EINVAL, -E2BIG no @size of this structure; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_device_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats);

struct hmm_ptable;

/**
 * hmm_device_stats_count() - add what a page table holds to a device's counters
 * @stats: as get_stats gets them
 * @table: of the device
 *
 * Context: not from a callback; may block.
 * Since: 0.1.
 */
void hmm_device_stats_count(struct hmm_device_stats *stats, struct hmm_ptable *table);

/**
 * hmm_device_serve_faults() - a driver's interrupt: its fault buffer is not empty
 * @dev: the driver's own device; the outermost of the stack is served
 *
 * The mirror fetches, sorts, coalesces and answers the faults: in the calling thread, or by its
 * fault threads if it has any. It makes one hmm_range_fault() for each chunk, however many engines
 * wait for it. A fault that cannot be served is cancelled with its own error and disturbs no other.
 * The call costs nothing if another thread took the faults already.
 * Context: outside sections and callbacks; may block.
 * Return: 0; -ENODEV nobody mirrors onto this device; -ENOMEM no memory; -ESRCH a forked child.
 * Another -errno that the device's fetch_faults returned.
 * Since: 0.1.
 */
int hmm_device_serve_faults(struct hmm_device *dev);

/**
 * hmm_device_restore() - a driver without faults finds translations of running jobs missing
 * @dev: the driver's own device
 *
 * All memory that the running jobs named is populated again. What the mirror believes to be there
 * is left alone, as one call serves the engines that ask next. What the device dropped by itself is
 * installed after 64 calls in a row that found nothing to do: look again and call again, 65 times
 * at most.
 * Context: outside sections and callbacks; may block.
 * Return: 0; -ENODEV nobody mirrors onto this device; -ESRCH a forked child. Another -errno if
 * nothing was there to be installed: that of the first range that could not be populated, as
 * hmm_svm_submit() has them (-EAGAIN: a discard of it was pending for 100 ms). That may be a range
 * of another job: look again first.
 * Since: 0.1.
 */
int hmm_device_restore(struct hmm_device *dev);

/* --- jobs ------------------------------------------------------------------------------- */

/**
 * struct hmm_job_range - memory that a job uses
 * @start: first address
 * @end: one past the last
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 *
 * Since: 0.1.
 */
struct hmm_job_range {
	uint64_t start;
	uint64_t end;
	uint32_t prot;
	uint32_t pad;
};

/**
 * struct hmm_job - a kernel function for the engines of a device
 * @size: sizeof(struct hmm_job); the structure may grow, see hmm(7)
 * @flags: 0
 * @kernel: not NULL; called for each item by one of the engines. A driver whose jobs are no C
 *	functions does not call it, and its programs give a function that is never called. Returns
 *	0; or -errno, which ends the job with that status. It runs inside an engine section: it
 *	touches the program's memory only through hmm_access() and its kin, and calls nothing that
 *	may block. @arg and what hangs from it is the job's own memory
 * @arg: for @kernel
 * @items: how many; an engine takes the next free one. 0: one for each engine, the item is the
 *	engine's number
 * @ranges: memory that it uses. Needed by devices without faults; others do not look at it
 * @nranges: how many of them
 * @status: out: 0; -ECANCELED; or the first error of an item
 * @done: out, atomic: items that have ended so far
 * @driver: the device's own while it owns the job
 *
 * Since: 0.1.
 */
struct hmm_job {
	uint32_t size;
	uint32_t flags;
	int (*kernel)(struct hmm_ctx *ctx, uint64_t item, void *arg);
	void *arg;
	uint64_t items;
	const struct hmm_job_range *ranges;
	uint32_t nranges;
	int32_t status;
	uint64_t done;
	void *driver;
};

/**
 * define HMM_ACCESS_MAX - bytes of the longest access
 *
 * An engine looks at the gate at least once in so much work.
 * Since: 0.1.
 */
#define HMM_ACCESS_MAX (64U << 10)

/**
 * struct hmm_ctx_ops - what a device does for its kernel functions
 * @access: hmm_access()
 * @settle: hmm_settle()
 * @load: hmm_load()
 * @store: hmm_store()
 *
 * Since: 0.1.
 */
struct hmm_ctx_ops {
	int (*access)(struct hmm_ctx *ctx, uint64_t va, size_t len, int prot, void **ptr);
	int (*settle)(struct hmm_ctx *ctx);
	int (*load)(struct hmm_ctx *ctx, void *dst, uint64_t va, size_t len);
	int (*store)(struct hmm_ctx *ctx, uint64_t va, const void *src, size_t len);
};

/**
 * struct hmm_ctx - an engine, as a kernel function sees it
 * @ops: of the device
 * @device: which runs the job
 * @engine: number of the engine, from 0
 * @engines: how many there are
 * @scratch: memory of the engine's own that no other engine uses and that is never mirrored. What
 *	is written to it stays from item to item of a job
 * @scratch_size: bytes of it: HMM_SCRATCH_SIZE
 *
 * Since: 0.1.
 */
struct hmm_ctx {
	const struct hmm_ctx_ops *ops;
	struct hmm_device *device;
	uint32_t engine;
	uint32_t engines;
	void *scratch;
	size_t scratch_size;
};

/**
 * define HMM_SCRATCH_SIZE - bytes of memory that each engine has for itself
 * Since: 0.1.
 */
#define HMM_SCRATCH_SIZE (1U << 20)

/**
 * hmm_access() - translate, and get a pointer to use now
 * @ctx: the engine
 * @va: address in the program's memory
 * @len: bytes, 1 to HMM_ACCESS_MAX; may cross pages
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 * @ptr: out: may be used until the next call with this @ctx, or until the item ends
 *
 * It asks the TLB, then the page table; else it raises a fault, waits, and tries again. It also
 * looks at the gate, so when it returns, what was read through the pointer before is settled.
 *
 * Memory may vanish while the kernel function loads through the pointer, or its section may be run
 * over. Then the *item begins again from its start*: control does not return. So up to its last
 * hmm_settle() an item must be repeatable: work on locals and on ctx->scratch, and write results to
 * @arg of the job after hmm_settle() returned 0. hmm_load() and hmm_store() repeat themselves: an
 * item that uses nothing else is never begun again.
 * Context: kernel functions only.
 * Return: 0; -EFAULT nothing is mapped there, or it may not be read; -EPERM a write to read-only
 * memory; -EHWPOISON a page is lost to a media or memory error; -ECANCELED the job is being
 * cancelled; -EINVAL a bad @len; -EIO the device failed. Another -errno as hmm_svm_fault(), or that
 * the device gives.
 * Since: 0.1.
 */
static inline int hmm_access(struct hmm_ctx *ctx, uint64_t va, size_t len, int prot, void **ptr)
{
	return ctx->ops->access(ctx, va, len, prot, ptr);
}

/**
 * hmm_settle() - ask whether what was loaded and stored through pointers so far is true
 * @ctx: the engine
 *
 * Pointers of hmm_access() are given up. If it is not true, the item begins again from its start,
 * and the call does not return.
 * Context: kernel functions only.
 * Return: 0; -ECANCELED the job is being cancelled.
 * Since: 0.1.
 */
static inline int hmm_settle(struct hmm_ctx *ctx)
{
	return ctx->ops->settle(ctx);
}

/**
 * hmm_load() - copy from the program's memory to the engine's
 * @ctx: the engine
 * @dst: scratch or other memory of the job
 * @va: address in the program's memory
 * @len: bytes, any number
 *
 * It repeats itself where hmm_access() would begin the item again. No more than HMM_ACCESS_MAX
 * bytes are one consistent view. Pointers of hmm_access() are given up.
 * Context: kernel functions only.
 * Return: as hmm_access().
 * Since: 0.1.
 */
static inline int hmm_load(struct hmm_ctx *ctx, void *dst, uint64_t va, size_t len)
{
	return ctx->ops->load(ctx, dst, va, len);
}

/**
 * hmm_store() - copy from the engine's memory to the program's
 * @ctx: the engine
 * @va: address in the program's memory
 * @src: scratch or other memory of the job
 * @len: bytes, any number
 *
 * It repeats itself where hmm_access() would begin the item again. On an error some bytes may have
 * been stored. Pointers of hmm_access() are given up.
 * Context: kernel functions only.
 * Return: as hmm_access().
 * Since: 0.1.
 */
static inline int hmm_store(struct hmm_ctx *ctx, uint64_t va, const void *src, size_t len)
{
	return ctx->ops->store(ctx, va, src, len);
}

#ifdef __cplusplus
}
#endif
#endif
