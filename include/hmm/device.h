/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * device: what a driver author fills in (struct hmm_device_ops), what a kernel function running on a
 * device calls (hmm_access() and its kin), and how devices are opened by name and stacked.
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

#define HMM_DEVICE_ABI 1

/**
 * enum hmm_thread_model - which ops may run at the same time; the core enforces it
 * @HMM_THREADS_SERIAL: map, fault_done, submit, cancel and get_stats never run at the same time.
 *	(fetch_faults and wait may block and therefore may run beside them.)
 * @HMM_THREADS_PARALLEL: any op beside any other
 *
 * In both models invalidate, quiesce and resume never run beside map: the gate sees to that.
 */
enum hmm_thread_model {
	HMM_THREADS_SERIAL,
	HMM_THREADS_PARALLEL,
};

/**
 * enum hmm_fault_model - what the device does when it has no translation
 * @HMM_FAULTS_REPLAY: it puts a fault into its fault buffer, waits, and tries again when told
 * @HMM_FAULTS_NONE: it cannot wait. Jobs name their memory (hmm_job.ranges); it is populated at
 *	submit; an invalidation stops the device and what was lost is populated again before it resumes
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
 * @n: how many entries
 * @pfns: @n words as hmm_range_fault() made them: VALID set, or 0 for a slot to leave alone. Never
 *	TRANSIENT or ERROR. Gone after the call
 */
struct hmm_device_map {
	uint64_t start;
	uint32_t shift;
	uint32_t flags;
	uint64_t n;
	const uint64_t *pfns;
};

/*
 * Same pages as before with more permission: a device may keep addresses and change bits only, but has to install
 * what it dropped by itself meanwhile.
 */
#define HMM_MAP_UPGRADE (1U << 0)
/* Nobody waits for it: a prefetch. */
#define HMM_MAP_PREFETCH (1U << 1)

/**
 * struct hmm_device_fault - an entry of a fault buffer
 * @addr: where the device wanted to go
 * @len: bytes from @addr, at least 1
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 * @engine: which engine waits
 * @cookie: the device's own
 * @flags: in: HMM_FAULT_VANISHED; out: HMM_FAULT_ONCE
 * @once_notifier: out, with HMM_FAULT_ONCE: for hmm_range_check()
 * @once_seq: out, with HMM_FAULT_ONCE: likewise
 * @once_start: out, with HMM_FAULT_ONCE: what may be used once
 * @once_end: out, with HMM_FAULT_ONCE
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

/*
 * The memory is there but cannot be cached (HMM_PFN_TRANSIENT): nothing was installed. The device may
 * use [once_start, once_end) in one section after hmm_range_check(HMM_CHECK_ALL) said 0 inside it.
 * One that loads and
 * stores through the address needs no checks (0), as it reaches what is mapped at that instant; see hmm-coherence(7).
 */
#define HMM_FAULT_ONCE (1U << 0)
/* The device had a translation and the memory was not there: forget it before looking again. */
#define HMM_FAULT_VANISHED (1U << 1)

/**
 * struct hmm_device_stats - counters since the device was opened, each monotonic, and what it holds now
 */
struct hmm_device_stats {
	uint32_t size; /* in: sizeof(struct hmm_device_stats), see hmm(7) */
	uint32_t engines;
	uint64_t
		device_faults; /* accesses that found no translation, one an entry of the fault buffer */
	uint64_t pages_4k; /* entries installed, by size */
	uint64_t pages_2m;
	uint64_t pages_1g;
	uint64_t pages_other;      /* ... of other sizes */
	uint64_t invalidations;    /* invalidate calls that removed or weakened an entry */
	uint64_t invalidate_calls; /* all of them */
	uint64_t retries;          /* commits begun again because of a collision */
	uint64_t
		stale_accesses; /* uses of a translation that no longer stood and could not be replayed */
	uint64_t tlb_hits;
	uint64_t tlb_misses;
	uint64_t tlb_flushes;
	uint64_t bytes_read;
	uint64_t bytes_written;
	uint64_t replays;    /* faults answered by "try again" */
	uint64_t cancels;    /* faults answered by an error */
	uint64_t guard_hits; /* memory that vanished under a load or store */
	uint64_t overruns;   /* sections that the pump ran over */
	uint64_t restarts;   /* items begun again from their start */
	uint64_t once_uses;  /* uses of memory that cannot be cached */
	uint64_t jobs;
	uint64_t items;
	uint64_t injected; /* failures and delays that stacked devices put in */
	uint64_t held_4k;  /* entries in its page table now, by size */
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
 * @page_shifts: sizes of entries as a mask of 1 << shift; must hold 1 << 12. 0: 4K, 2M and 1G
 *
 * Ops may be NULL: of a device that is stacked upon another they are forwarded, else they return
 * -EOPNOTSUPP (void ops do nothing), so no caller tests for NULL.
 *
 * @map: install translations. Called inside a commit section (the gate is open, invalidations wait),
 *	by whoever handles a fault; must not block, nor allocate from the program's heap. Valid replies:
 *	0; -errno: nothing of this map counts as installed, the range is invalidated (if the gate cannot
 *	be closed in time, with the next event there) and the fault cancelled with that error.
 * @invalidate: drop every translation in [start, end) and flush it from every TLB. Called with the
 *	gate closed, no engine inside a section, mostly by the pump: as restricted as a signal handler
 *	(no malloc, stdio, dlopen, no lock that the program holds across free()), must not block and
 *	cannot fail. Dropping more is legal, all of a larger entry for instance, as is dropping entries at
 *	any other time (an eviction): what the device faults on is installed again, though the mirror
 *	believed it there. A driver without a fault buffer calls hmm_svm_drop() for what it finds missing,
 *	then hmm_svm_fault(). HMM_EVENT_FORK and HMM_EVENT_PROTECT may keep what stays
 *	readable and take the write permission only if the device is sure that this is enough; the svm
 *	layer treats the range as gone in any case.
 * @quiesce: stop using translations. For devices that do not use hmm_engine sections; called before
 *	every read of events, same restrictions; must not wait for a fault to be served.
 * @resume: go on.
 * @fetch_faults: move up to @n entries out of the fault buffer. Called by the svm layer outside of
 *	sections. @timeout_ns: how long to wait for the first; 0 and HMM_FOREVER as everywhere.
 *	Fewer than @n say that no
 *	fault raised before the call is left; else faults are answered twice. Valid replies: how many;
 *	-ETIME is 0; -ESHUTDOWN the device is closing.
 * @fault_done: answer a fault that was fetched. @error 0: try again; else cancel the access with it.
 *	Outside of sections; must not block.
 * @submit: start a job. Outside of sections; must not wait for another job, whose faults may have to be
 *	answered first. The job belongs to the device until @wait returned its end. Valid replies: 0;
 *	-EINVAL; -ENOMEM; -EIO.
 * @wait: wait for the end of a job. @timeout_ns: how long; 0 asks whether it has ended. Valid
 *	replies: 0 it ended, see job->status; -ETIME.
 * @cancel: make a job end soon with -ECANCELED. Must not block.
 * @collect: free table pages that hold no entry. Called with the gate closed, off the pump. Returns
 *	bytes freed.
 * @get_stats: *add* own counters to @stats, which the core has cleared, up to its @stats->size.
 * @destroy: free the device's part. No op is called afterwards. May block.
 * @ignored_events: a mask of HMM_EVENT_BIT(), as in struct hmm_interval_notifier_ops: a device
 *	whose map() pins pages for writing ignores HMM_EVENT_FORK and keeps what it holds. A stacked
 *	device has the mask of the device below
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
 * Return: 0; -EINVAL wrong size or ABI, unknown models, no 4K entries, an event that cannot be
 * ignored, @inner of another space or already stacked upon; -E2BIG @ops says what this library does
 * not know; -ENOMEM; -ESRCH in a forked child.
 * Ownership: *dev is the caller's; it owns @inner on success, which is destroyed with it.
 * Since: 0.1.
 */
int hmm_device_create(struct hmm_mm *mm, const struct hmm_device_ops *ops, void *priv,
		      struct hmm_device *inner, struct hmm_device **dev);

/**
 * hmm_device_destroy() - close a device and those below it; NULL is legal
 * No hmm_svm may use it any more. Context: may block. Since: 0.1.
 */
void hmm_device_destroy(struct hmm_device *dev);

/**
 * hmm_device_open() - open a device by description
 * @mm: the space
 * @spec: names from the outside in: "soft", "error:rate=0.01,seed=7,soft", "delay:us=50,null".
 *	NAME[:OPTION=VALUE[,OPTION=VALUE...]][,INNER]; a comma is followed by an option of the same
 *	device if it has a '=', else by the next device
 * @engines: how many execution engines; 0: as many as online CPUs
 * @dev: out
 *
 * Return: 0; -ENODEV no such device; -EINVAL bad option, or nothing to stack upon, or something under
 * a device that takes nothing; -ENOMEM; -EAGAIN no thread could be made.
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

/* The most drivers that can be registered beside the library's own. */
#define HMM_DEVICE_DRIVERS_MAX 64

/**
 * hmm_device_register() - make a driver known to hmm_device_open()
 * @driver: copied; its strings and functions must stay until hmm_device_unregister()
 *
 * For the whole process, its forked children included. Context: may block; not from a callback.
 * Return: 0; -EINVAL no name, summary or open, or a name that cannot be given; -E2BIG @driver says
 * what this library does not know; -EEXIST there is a driver of that name; -ENOSPC. Since: 0.1.
 */
int hmm_device_register(const struct hmm_device_driver *driver);

/**
 * hmm_device_unregister() - forget a driver again
 * @name: of one that was registered
 *
 * Its devices stay, and need its functions until they are destroyed. Context: as
 * hmm_device_register().
 * Return: 0; -ENOENT; -EBUSY hmm_device_open() is calling it. Since: 0.1.
 */
int hmm_device_unregister(const char *name);

/**
 * hmm_device_driver_at() - list the registry
 * @i: from 0
 * The library's own first, then those registered. Return: NULL past the last; valid until that
 * driver is unregistered. Since: 0.1.
 */
const struct hmm_device_driver *hmm_device_driver_at(unsigned int i);

/**
 * hmm_device_option() - an option of a device, as a driver's open() gets them
 * @options: "NAME=VALUE,NAME=VALUE...", or NULL
 * @name: which
 * @value: out: what stands behind the first such NAME
 * @size: room for it and its NUL
 * Context: anywhere. Return: 1 it is there; 0 it is not, and @value is as it was; -EINVAL it does
 * not fit. Since: 0.1.
 */
int hmm_device_option(const char *options, const char *name, char *value, size_t size);

/**
 * hmm_device_option_number() - a number
 * @options: as for hmm_device_option()
 * @name: which
 * @number: out
 * Decimal, with a point whatever the program's locale: "0.01", "1e9". Context: anywhere.
 * Return: 1 it is there; 0 it is not, and @number is as it was; -EINVAL it is none; -ENOMEM.
 * Since: 0.1.
 */
int hmm_device_option_number(const char *options, const char *name, double *number);

/**
 * hmm_device_option_word() - one of some words
 * @options: as for hmm_device_option()
 * @name: which
 * @words: "A|B|C"
 * @which: out: 0 for A
 * Context: anywhere. Return: 1 it is there; 0 it is not, and @which is as it was; -EINVAL it is
 * none of them. Since: 0.1.
 */
int hmm_device_option_word(const char *options, const char *name, const char *words,
			   unsigned int *which);

/**
 * hmm_device_option_check() - are these options that a driver has?
 * @options: as for hmm_device_option()
 * @known: hmm_device_driver.options
 * @bad: out, or NULL: where in @options the first begins that is not
 * What hmm_device_open() asks before it calls a driver. Context: anywhere. Return: 0; -EINVAL.
 * Since: 0.1.
 */
int hmm_device_option_check(const char *options, const char *known, const char **bad);

struct sigaction;

/**
 * hmm_device_sigaction() - sigaction() of a program while devices with engines in software run
 * @sig: a signal
 * @act: the program's action, or NULL
 * @old: out, or NULL: the program's action so far, never one of this library
 *
 * Such engines handle SIGSEGV and SIGBUS of their own accesses, in front of the program's handler. sigaction()
 * takes that place from them: the program's handler gets the engines' faults until they look again. This call leaves
 * them in front: @act gets all faults but theirs. libhmm-preload.so calls it for programs that know nothing of it.
 * Context: any thread, signal handlers included.
 * Return: 0; -ENOENT the library has nothing in front: other signals, before a device was opened, in a forked child:
 * call sigaction(). Since: 0.1.
 */
int hmm_device_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

/**
 * hmm_device_priv() - what hmm_device_create() was given
 * Since: 0.1.
 */
void *hmm_device_priv(const struct hmm_device *dev);

/**
 * hmm_device_mm() - the space of a device
 * Since: 0.1.
 */
struct hmm_mm *hmm_device_mm(const struct hmm_device *dev);

/**
 * hmm_device_inner() - the device below, NULL for none
 * Since: 0.1.
 */
struct hmm_device *hmm_device_inner(const struct hmm_device *dev);

/**
 * hmm_device_get_ops() - the filled-in ops: call a device (dev->ops->map(dev, ...)) without a test for NULL
 * Since: 0.1.
 */
const struct hmm_device_ops *hmm_device_get_ops(const struct hmm_device *dev);

/**
 * hmm_device_get_stats() - counters of a device and those below it, summed
 * Return: 0; -EINVAL, -E2BIG no size of this structure; -ESRCH in a forked child. Since: 0.1.
 */
int hmm_device_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats);

struct hmm_ptable;

/**
 * hmm_device_stats_count() - add what a page table holds to a device's counters
 * @stats: as get_stats gets them
 * @table: of the device
 * Context: not from a callback. Since: 0.1.
 */
void hmm_device_stats_count(struct hmm_device_stats *stats, struct hmm_ptable *table);

/**
 * hmm_device_serve_faults() - a driver's interrupt: its fault buffer is not empty
 * @dev: the driver's own device; the outermost of the stack is served
 *
 * The svm layer fetches, sorts, coalesces and answers the faults: in the calling thread, or by its
 * fault threads if it has any. One hmm_range_fault() a chunk, however many engines wait for it; a fault
 * that cannot be served is cancelled with its own error and disturbs no other. Context: outside
 * sections and callbacks; may block. Costs nothing if another thread took the faults already.
 * Return: 0; -ENODEV nobody mirrors onto this device. Since: 0.1.
 */
int hmm_device_serve_faults(struct hmm_device *dev);

/**
 * hmm_device_restore() - install again what the running jobs named
 * @dev: the driver's own device
 *
 * For a driver without faults that finds translations missing. Populates again all memory that
 * the running jobs named. What is there by the mirror's books is left alone, as
 * one call serves the engines that follow; what the device dropped by itself is installed after no more than 64 calls
 * in a row that found nothing to do. Context and return: as
 * hmm_device_serve_faults(), or, if nothing was there to be installed, the error of the first range
 * that could not be
 * populated (-EAGAIN: a discard of it is pending for 100 ms). That may be one of another job's: look again first.
 * Since: 0.1.
 */
int hmm_device_restore(struct hmm_device *dev);

/* --- jobs ------------------------------------------------------------------------------------------ */

/**
 * struct hmm_job_range - memory that a job uses
 */
struct hmm_job_range {
	uint64_t start;
	uint64_t end;
	uint32_t prot; /* PROT_READ, or PROT_READ | PROT_WRITE */
	uint32_t pad;
};

/**
 * struct hmm_job - a kernel function for the engines of a device
 * @size: sizeof(struct hmm_job); the structure may grow, see hmm(7)
 * @flags: 0
 * @kernel: called for each item by one of the engines. 0, or -errno: ends the job with that status.
 *	Runs inside an engine section: it touches the program's memory only through hmm_access() and
 *	its kin, and calls nothing that may block. @arg and what hangs from it is the job's own memory
 * @arg: for @kernel
 * @items: how many; engines take the next free one. 0: one an engine, the item is its number
 * @ranges: memory that it uses. Required by devices without faults, else unused
 * @nranges: how many of them
 * @status: out: 0, -ECANCELED, the first error of an item
 * @done: out, atomic: items that ended so far, for progress
 * @driver: the device's own while it owns the job
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

/* The longest access: an engine looks at the gate at least this often. */
#define HMM_ACCESS_MAX (64U << 10)

/**
 * struct hmm_ctx_ops - what a device does for its kernel functions
 * @access: hmm_access()
 * @settle: hmm_settle()
 * @load: hmm_load()
 * @store: hmm_store()
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
 * @scratch: memory of the engine's own that no other engine uses and that is never mirrored; it keeps
 *	what was written from item to item of a job
 * @scratch_size: bytes
 */
struct hmm_ctx {
	const struct hmm_ctx_ops *ops;
	struct hmm_device *device;
	uint32_t engine;
	uint32_t engines;
	void *scratch;
	size_t scratch_size;
};

#define HMM_SCRATCH_SIZE (1U << 20)

/**
 * hmm_access() - translate, and get a pointer to use now
 * @ctx: the engine
 * @va: address in the program's memory
 * @len: bytes, 1 to HMM_ACCESS_MAX; may cross pages
 * @prot: PROT_READ, or PROT_READ | PROT_WRITE
 * @ptr: out: usable until the next call with this @ctx, or the end of the item
 *
 * TLB, page table, else a device fault that is served and replayed. It looks at the gate, so what
 * was read through the pointer before has been settled when it returns.
 *
 * Memory may vanish while the kernel function loads through the pointer, or the section may have been
 * run over. Then the *item begins again from its start*: control does not return. So up to its last
 * hmm_settle() an item must be repeatable: work on locals and on ctx->scratch, write results to @arg after
 * hmm_settle() returned 0. (hmm_load() and hmm_store() replay themselves; an item that uses nothing
 * else is never begun again.)
 *
 * Context: kernel functions only.
 * Return: 0; -EFAULT nothing mapped there or unreadable; -EPERM write to read-only memory;
 * -EHWPOISON; -ECANCELED the job is being cancelled; -EINVAL @len; -EIO and others that the device
 * gives. Since: 0.1.
 */
static inline int hmm_access(struct hmm_ctx *ctx, uint64_t va, size_t len, int prot, void **ptr)
{
	return ctx->ops->access(ctx, va, len, prot, ptr);
}

/**
 * hmm_settle() - what was loaded and stored through pointers so far stands; gives them up
 * Begins the item again if it does not. Return: 0; -ECANCELED. Since: 0.1.
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
 * Replays by itself: never begins the item again. No more than HMM_ACCESS_MAX bytes are one
 * consistent view. Pointers of hmm_access() are given up. Return: as hmm_access().
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
 * As hmm_load(). On an error some bytes may have been stored. Since: 0.1.
 */
static inline int hmm_store(struct hmm_ctx *ctx, uint64_t va, const void *src, size_t len)
{
	return ctx->ops->store(ctx, va, src, len);
}

#ifdef __cplusplus
}
#endif
#endif
