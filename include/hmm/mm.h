/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * mm: an attached address space. Attach, look at its VMAs, take snapshots, wait until the devices'
 * view is up to date, say what the program did itself, and ask which guarantee is active.
 */
#ifndef HMM_MM_H
#define HMM_MM_H

#include <hmm/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct hmm_mm_options - how to attach
 * @size: sizeof(struct hmm_mm_options); the structure may grow, see hmm(7)
 * @flags: HMM_MM_*
 * @pid: the process to attach; 0 is the caller. Others: -EOPNOTSUPP for now
 * @uffd: a userfaultfd of that process, or -1 to open one. Must not have been through UFFDIO_API
 *	(or the features it enabled are the features there are). Ownership: taken on success only
 * @pagemap_fd: /proc/PID/pagemap open for reading, or -1
 * @maps_fd: /proc/PID/maps open for reading, or -1
 * @pump_priority: 0, or the SCHED_FIFO priority of the pump (a program that runs SCHED_FIFO itself
 *	must give one above its own)
 * @max_regions: how many map entries of the process registration may take; 0 is half of vm.max_map_count. A
 *	mapping takes one; a run of chunks of a file (HMM_MM_FILE_CHUNKS), which cuts its mapping in up to
 *	three, takes two
 */
struct hmm_mm_options {
	uint32_t size;
	uint32_t flags;
	int32_t pid;
	int32_t uffd;
	int32_t pagemap_fd;
	int32_t maps_fd;
	int32_t pump_priority;
	uint32_t max_regions;
};

/* Behave as a kernel without the feature: for tests, and to see what less offers. */
#define HMM_MM_NO_WP_ASYNC (1U << 0)
#define HMM_MM_NO_PAGEMAP_SCAN (1U << 1)
#define HMM_MM_NO_PROCMAP_QUERY (1U << 2)
#define HMM_MM_NO_EVENT_FORK (1U << 3)

/*
 * Watch only what a device touches of a file's mapping, in chunks of 2 MiB. Then the CPU's faults elsewhere in it bring in
 * neighbouring pages as before (45 ns a page that is in the page cache instead of 990), and mremap(2) of the mapping
 * fails with EFAULT; since Linux 6.17 with MREMAP_FIXED perhaps after a part of it has moved.
 */
#define HMM_MM_FILE_CHUNKS (1U << 4)

#define HMM_MM_OPTIONS_INIT                                                                        \
	{                                                                                          \
		sizeof(struct hmm_mm_options), 0, 0, -1, -1, -1, 0, 0                              \
	}

/**
 * hmm_mm_attach() - attach an address space so that devices can mirror it
 * @options: NULL for the calling process with the defaults
 * @mm: out
 *
 * Opens a userfaultfd (system call, or /dev/userfaultfd), probes features, starts the pump and its
 * watchdog. Pays nothing until a range is mirrored, but that with the privilege to see forks (event_fork of struct
 * hmm_mm_info) each waits until its event is read. One process may attach several times.
 *
 * Takes about ten descriptors, two threads that block all signals, and where the host allows it a third process, the
 * keeper, which shares the address space and reads events while a debugger has stopped the threads. wait(2) does not
 * find it. The descriptors have high numbers. A program that closes them (closefrom(3)) loses the space: every call
 * answers -ESRCH from then on, drivers get HMM_EVENT_RELEASE, and standard error is told once. Close first, then attach.
 *
 * Context: any thread; may block; not from a callback.
 * Return: 0; -EPERM userfaultfd, or @options->pump_priority, denied to this process; -ENOSYS no
 * userfaultfd in this kernel or denied by a seccomp profile; -EOPNOTSUPP the kernel lacks the
 * events that soundness needs, there is no /proc, or @options->pid is another process; -EINVAL a
 * bad option, or @options->uffd is no userfaultfd or lacks an event; -E2BIG an option that this
 * library does not know; -EACCES /proc/self is not this process's to read, as after setuid(2)
 * (prctl(2) PR_SET_DUMPABLE makes it so again, or attach before and pass @options->maps_fd and
 * @options->pagemap_fd); -EAGAIN no thread can be made (RLIMIT_NPROC, RLIMIT_AS); -EMFILE; -ENFILE;
 * -ENOMEM.
 * Ownership: the caller owns *mm, hmm_mm_detach() frees it.
 * Since: 0.1. Follows: mmu_notifier_register().
 */
int hmm_mm_attach(const struct hmm_mm_options *options, struct hmm_mm **mm);

/**
 * hmm_mm_detach() - release an address space
 * @mm: may be NULL
 *
 * Every notifier still inserted gets HMM_EVENT_RELEASE and is dead afterwards (its remove call
 * stays legal and necessary). All ranges are unregistered and every event is read before it returns.
 *
 * Context: may block; not from a callback. In a forked child it does nothing: the descriptors are closed already.
 * Since: 0.1. Follows: mmu_notifier_unregister(), release.
 */
void hmm_mm_detach(struct hmm_mm *mm);

/**
 * struct hmm_mm_info - what an attached space offers; every field was probed
 */
struct hmm_mm_info {
	uint32_t size;           /* in: sizeof(struct hmm_mm_info), see hmm(7) */
	uint32_t page_size;      /* bytes */
	uint64_t uffd_features;  /* UFFD_FEATURE_* in use */
	uint64_t uffd_available; /* UFFD_FEATURE_* the kernel has */
	bool user_mode_only;     /* kernel-mode faults are not delivered */
	bool wp_async;           /* ranges of every VMA kind can be registered */
	bool pagemap_scan;       /* snapshots by PAGEMAP_SCAN */
	bool procmap_query;      /* VMA look-ups by PROCMAP_QUERY */
	bool event_fork;         /* every fork is seen, raw clones too */
	bool reduced;            /* no WP_ASYNC or no PAGEMAP_SCAN: files are never cached */
	bool dumpable;           /* now; not: discards settle by the states of threads */
	bool keeper;             /* now; not: a debugger may hang while it attaches */
	bool lost;               /* the program closed our descriptors: nothing is valid any more */
	uint32_t descriptors;    /* of mirrored files, kept by all spaces of the process */
	uint64_t thp_size;       /* bytes of a transparent huge page, 0 for none */
	uint64_t max_regions;    /* map entries that registration may take */
};

/**
 * hmm_mm_get_info() - features of an attached space
 * Return: 0; -EINVAL, -E2BIG no size of this structure; -ESRCH in a forked child.
 * Since: 0.1.
 */
int hmm_mm_get_info(struct hmm_mm *mm, struct hmm_mm_info *info);

/**
 * struct hmm_mm_stats - counters since attach, each monotonic
 */
struct hmm_mm_stats {
	uint32_t size; /* in: sizeof(struct hmm_mm_stats), see hmm(7) */
	uint32_t pad;
	uint64_t pump_cycles;            /* times the pump ran: one or more events each */
	uint64_t events[HMM_EVENT_ROOM]; /* invalidations by cause, below HMM_EVENT_NR */
	uint64_t callbacks;              /* notifier callbacks run */
	uint64_t registrations;          /* UFFDIO_REGISTER calls */
	uint64_t regions;                /* registered now */
	uint64_t map_entries;            /* of the process, that they take now */
	uint64_t probes;                 /* in-flight probes */
	uint64_t probes_busy;            /* ... that said a change was in flight */
	uint64_t discards_pending;       /* discards whose end was not proven at once */
	uint64_t discards_settled;       /* ... and was proven later */
	uint64_t watchdog_reads;         /* cycles the watchdog took over */
	uint64_t overruns;               /* engines that did not leave their section in time */
	uint64_t pump_busy_ns;           /* time spent with the gate closed */
	uint64_t ignored;                /* notifiers that an event hit whose driver ignores it */
};

/**
 * hmm_mm_get_stats() - counters of an attached space
 * Return: 0; -EINVAL, -E2BIG no size of this structure; -ESRCH in a forked child.
 * Since: 0.1.
 */
int hmm_mm_get_stats(struct hmm_mm *mm, struct hmm_mm_stats *stats);

/**
 * hmm_mm_barrier() - wait until every change that took effect before the call is known to the devices
 * @mm: the space
 * @timeout_ns: how long to wait; 0 asks whether that is so now, HMM_FOREVER waits as long as it
 *	takes
 *
 * At some instant within the call no change was in flight and all events were handled: translations
 * that are still installed then were valid at that instant. A job submission calls it once and needs
 * no validation of single translations (kinds that are only validated excepted: hmm_mm_check_files(),
 * HMM_PFN_TRANSIENT).
 *
 * Files whose last mapping was unmapped before the call are closed when it returns, so that nothing of libhmm keeps
 * their filesystem from being unmounted. Without the call they are closed shortly after munmap() has returned.
 *
 * Context: any thread outside an engine section; may block; not from a callback. A cancellation point when it begins.
 * Return: 0; -ETIME; -ESRCH in a forked child, after the process died or closed the library's descriptors; another
 * error if a seccomp filter of the calling thread answers it to the question whether a change is in flight.
 * Since: 0.1. Follows: mmu_notifier_synchronize(), mmu_interval_read_begin().
 */
int hmm_mm_barrier(struct hmm_mm *mm, uint64_t timeout_ns);

/**
 * hmm_mm_check_files() - invalidate what changed in mirrored files without an event
 * @mm: the space
 *
 * Compares size and change time of every mirrored file (DAX files included) with what they were when
 * ranges of it were last faulted, and invalidates (HMM_EVENT_CLEAR) the ranges of those that changed:
 * truncation, hole punching, extension, writes that fill holes; by this process or another.
 *
 * Context: as hmm_mm_barrier().
 * Return: how many files had changed, or -errno.
 * Since: 0.1.
 */
int hmm_mm_check_files(struct hmm_mm *mm);

/**
 * enum hmm_note - what the program says it did
 * @HMM_NOTE_PROTECT: permissions of the range were reduced (mprotect, pkey_mprotect)
 * @HMM_NOTE_DISCARD: every discard of the range, by whichever thread, has *ended* (MADV_DONTNEED,
 *	MADV_FREE, MADV_REMOVE): settles the discard about it
 * @HMM_NOTE_OWN_DISCARD: one by the calling thread has ended; whether others are on their way is not
 *	known. Settles the discard if no other thread can be in the middle of one
 * @HMM_NOTE_TRUNCATE: pages of the file mapped here were cut off, punched out or replaced
 * @HMM_NOTE_DETACH: the range was unmapped without an event (shmdt, remap_file_pages)
 */
enum hmm_note {
	HMM_NOTE_PROTECT,
	HMM_NOTE_DISCARD,
	HMM_NOTE_OWN_DISCARD,
	HMM_NOTE_TRUNCATE,
	HMM_NOTE_DETACH,
};

/**
 * hmm_mm_note() - tell the library what the program did to a range itself
 * @mm: the space; NULL tells every attached space of the process (what the preload object does)
 * @note: what was done
 * @start: first address
 * @end: one past the last
 *
 * On return no device has access to what was taken away: the event becomes synchronous for callers
 * that tell. Call it after the system call returned.
 *
 * Context: any thread outside callbacks and engine sections; may block.
 * Return: 0; -EINVAL an empty or wrapping range or an unknown note; -ESRCH in a forked child.
 * Since: 0.1.
 */
int hmm_mm_note(struct hmm_mm *mm, enum hmm_note note, uint64_t start, uint64_t end);

/**
 * hmm_mm_note_file() - tell that a file was truncated, punched or otherwise changed under its mappings
 * @mm: the space; NULL for every attached space of the process
 * @fd: any descriptor of the file
 *
 * Return: 0, also when no range of the file is mirrored; -EBADF; -ESRCH in a forked child.
 * Since: 0.1.
 */
int hmm_mm_note_file(struct hmm_mm *mm, int fd);

/**
 * hmm_mm_note_writeback() - tell that a file was written back: fsync, fdatasync, msync, sync_file_range, syncfs
 * @mm: the space; NULL for every attached space of the process
 * @fd: any descriptor of the file; -1: every file
 *
 * The kernel has taken permission to write from the file's shared mappings: translations that permit it are
 * invalidated (HMM_EVENT_PROTECT). For drivers that want to know what the kernel's would: a device that writes through
 * a mapping of the program makes the file dirty again whether or not this is called.
 *
 * Context: as hmm_mm_note().
 * Return: 0, also when no range of the file is mirrored; -EBADF; -ESRCH in a forked child.
 * Since: 0.1.
 */
int hmm_mm_note_writeback(struct hmm_mm *mm, int fd);

/**
 * struct hmm_vma - one mapping
 * @start: first address
 * @end: one past the last
 * @offset: file offset of @start in bytes
 * @inode: of the file, 0 for anonymous memory
 * @dev_major: device of the file
 * @dev_minor: device of the file
 * @kind: enum hmm_vma_kind
 * @prot: PROT_READ | PROT_WRITE | PROT_EXEC
 * @shared: MAP_SHARED
 * @page_size: bytes of the kernel's page for this VMA (hugetlb), else the base page size
 * @name: path or [heap] and the like, cut to fit
 */
struct hmm_vma {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint32_t kind;
	uint32_t prot;
	uint64_t page_size;
	bool shared;
	char name[119];
};

/**
 * hmm_vma_find() - the VMA that holds an address, or the next one above it
 * @mm: the space
 * @addr: where to look
 * @vma: out
 *
 * Context: any thread; may block; not from a callback.
 * Return: 0; -ENOENT no VMA at or above @addr; -ESRCH.
 * Since: 0.1. Follows: find_vma().
 */
int hmm_vma_find(struct hmm_mm *mm, uint64_t addr, struct hmm_vma *vma);

/**
 * hmm_vma_walk() - call a function for each VMA that overlaps a range, in order of address
 * @mm: the space
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX walk everything
 * @fn: returns 0 to go on, else its value ends the walk and is returned
 * @arg: handed to @fn
 *
 * The walk is no snapshot: VMAs may change while it goes on.
 * Since: 0.1. Follows: walk_page_range().
 */
int hmm_vma_walk(struct hmm_mm *mm, uint64_t start, uint64_t end,
		 int (*fn)(const struct hmm_vma *vma, void *arg), void *arg);

/**
 * hmm_vma_kind_name() - "anon", "hugetlb", "shmem", "sysv", "file", "dax", "special", "hole"
 * Since: 0.1.
 */
const char *hmm_vma_kind_name(enum hmm_vma_kind kind);

/**
 * hmm_event_name() - "UNMAP", "CLEAR", ...
 * Since: 0.1.
 */
const char *hmm_event_name(enum hmm_event event);

#ifdef __cplusplus
}
#endif
#endif
