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
 * enum hmm_provider - what shows changes of an address space
 * @HMM_PROVIDER_AUTO: what the environment variable LIBHMM_PROVIDER says (uffd, bpf, both); if it
 *	is not set both where hmm-watchd(8) runs, else uffd
 * @HMM_PROVIDER_UFFD: userfaultfd. Needs no privilege; mirrored ranges are registered
 * @HMM_PROVIDER_BPF: tracing programs in the kernel write a log that validity reads by loads alone.
 *	They see every change that the kernel's own drivers are told of. Nothing is registered:
 *	munmap does not wait, and callbacks run soon after a change instead of before it
 * @HMM_PROVIDER_BOTH: userfaultfd for what it shows, the log for all else
 *
 * hmm-coherence(7) has the table of each.
 * Since: 0.1.
 */
enum hmm_provider {
	HMM_PROVIDER_AUTO,
	HMM_PROVIDER_UFFD,
	HMM_PROVIDER_BPF,
	HMM_PROVIDER_BOTH,
};

/**
 * struct hmm_mm_options - how to attach
 * @size: sizeof(struct hmm_mm_options); the structure may grow, see hmm(7)
 * @flags: HMM_MM_*
 * @pid: 0 or the caller's own; another process gives -EOPNOTSUPP
 * @uffd: a userfaultfd of this process, or -1 to open one. One that has been through UFFDIO_API is
 *	taken if the features that it enabled suffice. Taken on success only
 * @pagemap_fd: /proc/PID/pagemap open for reading, or -1. It is duplicated
 * @maps_fd: /proc/PID/maps open for reading, or -1. It is duplicated
 * @pump_priority: 0, or the SCHED_FIFO priority of the pump. A program that runs under SCHED_FIFO
 *	itself must give one above its own
 * @max_regions: how many map entries of the process registration may take; 0 is half of
 *	vm.max_map_count. A mapping takes one. A run of chunks of a file (HMM_MM_FILE_CHUNKS) cuts
 *	its mapping in up to three and takes two
 * @provider: enum hmm_provider
 * @reserved: 0
 *
 * Since: 0.1.
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
	uint32_t provider;
	uint32_t reserved;
};

/**
 * flags HMM_MM_* - how an attached space behaves
 * @HMM_MM_NO_WP_ASYNC: as on a kernel without asynchronous write-protection (before Linux 6.7)
 * @HMM_MM_NO_PAGEMAP_SCAN: as on a kernel without PAGEMAP_SCAN (before Linux 6.7)
 * @HMM_MM_NO_PROCMAP_QUERY: as on a kernel without PROCMAP_QUERY (before Linux 6.11)
 * @HMM_MM_NO_EVENT_FORK: as without the privilege to see every fork
 * @HMM_MM_FILE_CHUNKS: of a file's mapping watch only what a device touches, in chunks of 2 MiB.
 *	The CPU's faults elsewhere in it then bring in neighbouring pages as before (45 ns a page
 *	that is in the page cache, not 990). In return mremap(2) of the mapping fails with EFAULT;
 *	since Linux 6.17 with MREMAP_FIXED it may fail after a part of it has moved
 * @HMM_MM_ANCHOR: the log comes from where the kernel calls its own notifiers, if the process may
 *	make a virtual machine of KVM (@anchored of struct hmm_mm_info), not from functions that
 *	change page tables. The environment's LIBHMM_ANCHOR=yes is the same
 *
 * Those with NO are for tests, and show what a lesser host offers.
 * Since: 0.1.
 */
#define HMM_MM_NO_WP_ASYNC (1U << 0)
#define HMM_MM_NO_PAGEMAP_SCAN (1U << 1)
#define HMM_MM_NO_PROCMAP_QUERY (1U << 2)
#define HMM_MM_NO_EVENT_FORK (1U << 3)
#define HMM_MM_FILE_CHUNKS (1U << 4)
#define HMM_MM_ANCHOR (1U << 5)

/**
 * define HMM_MM_OPTIONS_INIT - initialiser of struct hmm_mm_options: the defaults
 * Since: 0.1.
 */
#define HMM_MM_OPTIONS_INIT                                                                        \
	{                                                                                          \
		sizeof(struct hmm_mm_options), 0, 0, -1, -1, -1, 0, 0, 0, 0                        \
	}

/**
 * hmm_mm_attach() - attach an address space so that devices can mirror it
 * @options: NULL for the calling process with the defaults
 * @mm: out
 *
 * It opens what @provider names: a userfaultfd (by the system call, else by /dev/userfaultfd), a
 * log of the kernel's (from hmm-watchd(8), else by programs that this process may load itself),
 * or both. It probes features, tries what the log tells of, and starts the pump and its watchdog.
 * The program pays nothing until a range is mirrored, with one exception: where the privilege to
 * see forks is there (@event_fork of struct hmm_mm_info) each fork waits until its event is read.
 * A process may attach several times.
 *
 * An attached space has about ten descriptors, two threads that block all signals, three with a
 * log, and where the host allows it a process, the keeper. The keeper shares the address space and
 * reads events while a debugger has stopped the threads; wait(2) does not find it. The descriptors
 * have high numbers. A program that closes them (closefrom(3)) loses the space: every call returns
 * -ESRCH from then on, drivers get HMM_EVENT_RELEASE, and one line on standard error says so. Close
 * first, then attach.
 *
 * HMM_PROVIDER_AUTO takes a log beside a userfaultfd where hmm-watchd gives one, and a userfaultfd
 * alone where not: @provider_error of struct hmm_mm_info says why. HMM_PROVIDER_BPF and
 * HMM_PROVIDER_BOTH fail where there is no log: one line says why and what to do about it
 * (hmm_log_set()), and a program that can do without attaches again with HMM_PROVIDER_UFFD. An
 * address space may have four logs from hmm-watchd at a time, one for each attached space.
 *
 * Context: any thread; may block; not from a callback.
 * Return: 0; -EPERM userfaultfd, or @pump_priority, is denied to this process; -ENOSYS this kernel
 * has no userfaultfd, or a seccomp profile denies it that way; -EOPNOTSUPP the kernel lacks an
 * event or a feature that soundness needs, there is no /proc, @pid is another process, or a log was
 * asked for (@provider, LIBHMM_PROVIDER) and cannot be had, or does not tell of all that it must;
 * -EINVAL a bad option, LIBHMM_PROVIDER names no provider, an unknown flag, @uffd is no
 * userfaultfd, or another process's, or lacks an event, or @maps_fd or @pagemap_fd does not show
 * this process; -E2BIG an option that this library does not know;
 * -EACCES /proc/self is not this process's to read, as after setuid(2): make the process dumpable
 * again (prctl(2) PR_SET_DUMPABLE), or attach before, or pass @maps_fd and @pagemap_fd; -EAGAIN no
 * thread can be
 * made (RLIMIT_NPROC, RLIMIT_AS); -EMFILE no free descriptor in this process; -ENFILE no free
 * descriptor on this host; -ENOMEM no memory.
 * Ownership: *mm is the caller's until hmm_mm_detach().
 * Since: 0.1. Follows: mmu_notifier_register().
 */
int hmm_mm_attach(const struct hmm_mm_options *options, struct hmm_mm **mm);

/**
 * hmm_mm_detach() - release an address space
 * @mm: NULL is legal
 *
 * Every notifier that is still inserted gets HMM_EVENT_RELEASE, and nothing is found valid
 * afterwards. Their hmm_interval_notifier_remove() stays legal and necessary. When the call returns
 * all ranges are unregistered and every event has been read.
 * Context: may block; not from a callback. In a forked child it does nothing: the descriptors are
 * closed already.
 * Since: 0.1. Follows: mmu_notifier_unregister().
 */
void hmm_mm_detach(struct hmm_mm *mm);

/**
 * struct hmm_mm_info - what an attached space offers; every field was probed
 * @size: in: sizeof(struct hmm_mm_info); the structure may grow, see hmm(7)
 * @page_size: bytes of the machine's page
 * @uffd_features: UFFD_FEATURE_* that are in use
 * @uffd_available: UFFD_FEATURE_* that the kernel has
 * @user_mode_only: faults that the kernel has on behalf of the program are not delivered
 * @wp_async: mappings of every kind can be registered
 * @pagemap_scan: snapshots are made by PAGEMAP_SCAN
 * @procmap_query: mappings are looked up by PROCMAP_QUERY
 * @event_fork: every fork raises an event, those by a raw clone too
 * @reduced: there is no WP_ASYNC or no PAGEMAP_SCAN: files are never cached
 * @dumpable: the process is dumpable now. If not, the end of a discard is proven by the states of
 *	threads alone
 * @keeper: the keeper runs now. If not, a debugger may hang while it attaches (hmm(7))
 * @lost: the program closed the library's descriptors, or a seccomp filter keeps the pump from its
 *	events: nothing is valid any more
 * @descriptors: how many are open for mirrored files, by all spaces of the process together
 * @thp_size: bytes of a transparent huge page; 0 for none
 * @max_regions: map entries that registration may take
 * @provider: enum hmm_provider that is in use, never HMM_PROVIDER_AUTO
 * @provider_error: 0; or a negative errno: why no log of the kernel's could be had. -ENOENT,
 *	-ECONNREFUSED hmm-watchd does not run; -EACCES this user may not ask it; -EBUSY the process
 *	has as many logs as an address space may have; -EDQUOT, -ENOSPC hmm-watchd gives no more;
 *	-ETIME it does not answer; -EPROTONOSUPPORT it is of another version; -EPERM, -EOPNOTSUPP
 *	the kernel refuses tracing programs, or does not tell of all that it must
 * @anchored: the log comes from where the kernel calls its own notifiers, so it lacks none of the
 *	changes that drivers in the kernel are told of, and each has the kernel's own range. The
 *	kernel does so for a process that has had a virtual machine of KVM. If that is asked for
 *	and a log can be had hmm_mm_attach() makes one, and closes it at once
 * @anchor_error: 0; or a negative errno: why the log is not anchored. -ENOENT there is no KVM;
 *	-EACCES /dev/kvm is not this user's; -ECANCELED nobody asked for it, by HMM_MM_ANCHOR or
 *	LIBHMM_ANCHOR=yes; -EOPNOTSUPP the programs are not at the notifiers; other errors of KVM
 * @log_records: records that were read from the log
 * @log_resets: how often records may have been lost, and everything was invalidated
 * @log_orphan: hmm-watchd, which gave the log, has ended, or the log has. In the first case the log
 *	goes on, in the second nothing is valid. Another one is asked for
 * @log_renewals: how often another log was had, and everything was invalidated
 *
 * Since: 0.1.
 */
struct hmm_mm_info {
	uint32_t size;
	uint32_t page_size;
	uint64_t uffd_features;
	uint64_t uffd_available;
	bool user_mode_only;
	bool wp_async;
	bool pagemap_scan;
	bool procmap_query;
	bool event_fork;
	bool reduced;
	bool dumpable;
	bool keeper;
	bool lost;
	uint32_t descriptors;
	uint64_t thp_size;
	uint64_t max_regions;
	uint32_t provider;
	int32_t provider_error;
	bool anchored;
	int32_t anchor_error;
	uint64_t log_records;
	uint64_t log_resets;
	bool log_orphan;
	uint64_t log_renewals;
};

/**
 * hmm_mm_get_info() - features of an attached space
 * @mm: the space
 * @info: out; @size is in
 *
 * Context: any thread.
 * Return: 0; -EINVAL, -E2BIG no @size of this structure; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_mm_get_info(struct hmm_mm *mm, struct hmm_mm_info *info);

/**
 * struct hmm_mm_stats - counters since attach; each only grows unless it says "now"
 * @size: in: sizeof(struct hmm_mm_stats); the structure may grow, see hmm(7)
 * @pump_cycles: times the pump ran; each reads one event or more
 * @events: invalidations by cause, see enum hmm_event; HMM_EVENT_NR of them count
 * @callbacks: callbacks of notifiers that were run
 * @registrations: UFFDIO_REGISTER calls
 * @regions: registered ranges, now
 * @map_entries: map entries of the process that they take, now
 * @probes: questions to the kernel whether a change is in flight, added 63 at a time for each
 *	thread where the answer is no
 * @probes_busy: how many of those were answered by yes
 * @discards_pending: discards whose end was not proven at once
 * @doubts: the former name of @discards_pending
 * @discards_settled: how many of those were proven later
 * @doubts_settled: the former name of @discards_settled
 * @watchdog_reads: cycles that the watchdog took over
 * @overruns: engines that did not leave their section in time
 * @pump_busy_ns: ns with the gate closed
 * @ignored: notifiers that an event hit whose driver ignores it
 *
 * Since: 0.1.
 */
struct hmm_mm_stats {
	uint32_t size;
	uint32_t pad;
	uint64_t pump_cycles;
	uint64_t events[HMM_EVENT_ROOM];
	uint64_t callbacks;
	uint64_t registrations;
	uint64_t regions;
	uint64_t map_entries;
	uint64_t probes;
	uint64_t probes_busy;
	union {
		uint64_t discards_pending;
		uint64_t doubts;
	};
	union {
		uint64_t discards_settled;
		uint64_t doubts_settled;
	};
	uint64_t watchdog_reads;
	uint64_t overruns;
	uint64_t pump_busy_ns;
	uint64_t ignored;
};

/**
 * hmm_mm_get_stats() - counters of an attached space
 * @mm: the space
 * @stats: out; @size is in
 *
 * Context: any thread.
 * Return: 0; -EINVAL, -E2BIG no @size of this structure; -ESRCH a forked child.
 * Since: 0.1.
 */
int hmm_mm_get_stats(struct hmm_mm *mm, struct hmm_mm_stats *stats);

/**
 * hmm_mm_barrier() - wait until every change made before the call is known to the devices
 * @mm: the space
 * @timeout_ns: how long to wait, in ns; HMM_NO_WAIT asks whether it is so now
 *
 * At some instant within the call no change was in flight and all events were handled. Translations
 * that are still installed then were true at that instant. A job submission calls it once and needs
 * not ask for each translation. It does not see changes that raise no event (hmm_mm_check_files()
 * sees those of files), nor does it make HMM_PFN_TRANSIENT entries last.
 *
 * Files whose last mapping was unmapped before the call are closed when it returns, so that nothing
 * of the library keeps their filesystem from being unmounted. Without the call they are closed
 * shortly after munmap() returned.
 * Context: any thread outside sections and callbacks; may block. A cancellation point when it
 * begins.
 * Return: 0; -ETIME @timeout_ns passed; -ESRCH a forked child, the process has ended, or it closed
 * the library's descriptors. Another -errno if a seccomp filter of the calling thread answers it to
 * the question whether a change is in flight.
 * Since: 0.1. Follows: mmu_notifier_synchronize(), mmu_interval_read_begin().
 */
int hmm_mm_barrier(struct hmm_mm *mm, uint64_t timeout_ns);

/**
 * hmm_mm_check_files() - invalidate what changed in mirrored files without an event
 * @mm: the space
 *
 * It compares size and change time of every mirrored file, on DAX filesystems too, with what they
 * were when ranges of the file were last faulted. Ranges of files that changed are invalidated
 * (HMM_EVENT_CLEAR). That finds truncation, punched holes, extension, and writes that fill holes,
 * by this process or another.
 * Context: as hmm_mm_barrier().
 * Return: how many files had changed; -ESRCH a forked child, the process has ended, or it closed
 * the library's descriptors.
 * Since: 0.1.
 */
int hmm_mm_check_files(struct hmm_mm *mm);

/**
 * enum hmm_note - what the program says it did
 * @HMM_NOTE_PROTECT: permissions of the range were reduced (mprotect, pkey_mprotect)
 * @HMM_NOTE_DISCARD: every discard of the range (MADV_DONTNEED, MADV_FREE, MADV_REMOVE), by
 *	whichever thread, has *ended*: none is pending any more. Say it only if no other thread is
 *	inside one
 * @HMM_NOTE_OWN_DISCARD: one by the calling thread has ended. Whether other threads are inside one
 *	is not known: the range's discards stop being pending once that is out of the question
 * @HMM_NOTE_TRUNCATE: pages of the file that is mapped here were cut off, punched out or replaced
 * @HMM_NOTE_DETACH: the range was unmapped without an event (shmdt, remap_file_pages)
 *
 * Since: 0.1.
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
 * @mm: the space; NULL tells every attached space of the process, as the preload object does
 * @note: what was done
 * @start: first address
 * @end: one past the last
 *
 * Call it after the system call returned. When it returns no device has access to what was taken
 * away: so the change is synchronous for programs that tell.
 * Context: any thread outside sections and callbacks; may block.
 * Return: 0; -EINVAL an empty or wrapping range, or an unknown note; -ESRCH a forked child, the
 * process has ended, or it closed the library's descriptors.
 * Since: 0.1.
 */
int hmm_mm_note(struct hmm_mm *mm, enum hmm_note note, uint64_t start, uint64_t end);

/**
 * hmm_mm_note_file() - tell that a file was cut, punched or otherwise changed under its mappings
 * @mm: the space; NULL tells every attached space of the process
 * @fd: any descriptor of the file
 *
 * Context: as hmm_mm_note().
 * Return: 0, also when no range of the file is mirrored; -EBADF no open descriptor; -ESRCH a forked
 * child, the process has ended, or it closed the library's descriptors.
 * Since: 0.1.
 */
int hmm_mm_note_file(struct hmm_mm *mm, int fd);

/**
 * hmm_mm_note_writeback() - tell that a file was written back (fsync, msync and the like)
 * @mm: the space; NULL tells every attached space of the process
 * @fd: any descriptor of the file; -1: every file
 *
 * The kernel has taken permission to write from the file's shared mappings. Translations that
 * permit it are invalidated (HMM_EVENT_PROTECT). It is for drivers that want to know what the
 * kernel's own would be told: a device that writes through a mapping of the program makes the file
 * dirty again whether or not this is called.
 * Context: as hmm_mm_note().
 * Return: 0, also when no range of the file is mirrored; -EBADF no open descriptor; -ESRCH a forked
 * child, the process has ended, or it closed the library's descriptors.
 * Since: 0.1.
 */
int hmm_mm_note_writeback(struct hmm_mm *mm, int fd);

/**
 * struct hmm_vma - one mapping
 * @start: first address
 * @end: one past the last
 * @offset: offset of @start in the file, in bytes
 * @inode: of the file; 0 for anonymous memory
 * @dev_major: device of the file
 * @dev_minor: device of the file
 * @kind: enum hmm_vma_kind
 * @prot: PROT_READ | PROT_WRITE | PROT_EXEC
 * @page_size: bytes of the kernel's page for this mapping (hugetlbfs), else the machine's page size
 * @shared: MAP_SHARED
 * @name: a path, or "[heap]" and the like; cut to fit
 *
 * Since: 0.1. Follows: struct vm_area_struct.
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
 * hmm_vma_find() - the mapping that holds an address, or the next one above it
 * @mm: the space
 * @addr: where to look
 * @vma: out
 *
 * Context: any thread; may block; not from a callback.
 * Return: 0; -ENOENT nothing is mapped at @addr or above; -ESRCH a forked child, the process has
 * ended, or it closed the library's descriptors. Another -errno if /proc/PID/maps cannot be read.
 * Since: 0.1. Follows: find_vma().
 */
int hmm_vma_find(struct hmm_mm *mm, uint64_t addr, struct hmm_vma *vma);

/**
 * hmm_vma_walk() - call a function for each mapping that overlaps a range, in order of address
 * @mm: the space
 * @start: first address
 * @end: one past the last; 0 and UINT64_MAX walk everything
 * @fn: 0 to go on, else its value ends the walk and is returned
 * @arg: handed to @fn
 *
 * The walk is no snapshot: mappings may change while it goes on.
 * Context: as hmm_vma_find().
 * Return: 0, or what @fn returned; -ESRCH a forked child, the process has ended, or it closed the
 * library's descriptors. Another -errno if /proc/PID/maps cannot be read.
 * Since: 0.1. Follows: walk_page_range().
 */
int hmm_vma_walk(struct hmm_mm *mm, uint64_t start, uint64_t end,
		 int (*fn)(const struct hmm_vma *vma, void *arg), void *arg);

/**
 * hmm_vma_kind_name() - "anon", "hugetlb", "shmem", "sysv", "file", "dax", "special", "hole"
 * @kind: the kind
 *
 * Context: any.
 * Return: static text; "?" for an unknown one.
 * Since: 0.1.
 */
const char *hmm_vma_kind_name(enum hmm_vma_kind kind);

/**
 * hmm_event_name() - an event as text: "UNMAP", "CLEAR" and so on
 * @event: the event
 *
 * Context: any.
 * Return: static text; "?" for an unknown one.
 * Since: 0.1.
 */
const char *hmm_event_name(enum hmm_event event);

#ifdef __cplusplus
}
#endif
#endif
