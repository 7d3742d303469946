/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The attached address space, as the layers above mm see it. One lock order, outermost first:
 *
 *	L1 file_table     mirrored files and what was mapped where; the pump only tries for it, outside its cycle
 *	L2 region_lock    the registered regions, and the order kill, register
 *	L3 gate           closing it: one closer at a time (gate_close / gate_open)
 *	L4 notifier_lock  the notifiers' interval tree; held while callbacks run. discards.lock may be held around it
 *	L5 pool_lock      memory that is never registered
 *
 * None of these is ever held while memory of the program is allocated, freed or touched: its owner
 * may be blocked in an event that only the pump can end. A fork holds none of them over the copy, and takes L3 to L5.
 */
#ifndef LIB_MM_MM_H
#define LIB_MM_MM_H

#include <pthread.h>
#include <stdatomic.h>
#include <hmm/mm.h>
#include <hmm/notifier.h>
#include "base/ownfd.h"

struct region_tree;
struct discard_list;
struct file_table;
struct itree_node;

struct vma_reader {
	struct ownfd maps;
	int maps_fd;        /* of it: /proc/PID/maps */
	bool procmap_query; /* probed */
	struct vma_cache *cache;
};

struct pagemap {
	struct ownfd own;
	int fd;    /* of it: /proc/PID/pagemap */
	bool scan; /* PAGEMAP_SCAN, probed */
	bool pfns_hidden;
};

/* --- vma.c: VMA look-ups; the only file that reads maps ---------------------------------------- */
int vma_reader_open(struct vma_reader *r, int maps_fd, bool no_query);
void vma_reader_close(struct vma_reader *r);
/* The VMA at or above addr, classified. -ENOENT none. Allocates nothing from the program's heap. */
int vma_lookup(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma);
/* The same without the name, where the kind of the file is known: half the cost. */
int vma_lookup_unnamed(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma);
/* The same without kind and name: one system call. */
int vma_peek(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma);
/*
 * An O_PATH descriptor of the file that the VMA maps, the caller's to close; -ENOENT none can be had;
 * -EAGAIN something else is mapped there by now, which says nothing about the file.
 */
int vma_open_file(struct vma_reader *r, const struct hmm_vma *vma);

/* --- pagemap.c: the only file that reads pagemap ------------------------------------------------ */
int pagemap_open(struct pagemap *p, int fd, bool no_scan);
void pagemap_close(struct pagemap *p);

/* What a snapshot says of one run of pages; categories are PAGE_IS_* of lib/kernel/abi */
struct page_run {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};
/*
 * Scan [start, end): *n runs at most in, how many out; *walked: how far it came. Runs without any
 * category are left out. Works by PAGEMAP_SCAN or by pagemap words.
 */
int pagemap_runs(struct pagemap *p, uint64_t start, uint64_t end, struct page_run *runs, size_t *n,
		 uint64_t *walked);
/* Write-protect (asynchronously) the present pages of a range; needs PAGEMAP_SCAN and WP_ASYNC. */
int pagemap_arm(struct pagemap *p, uint64_t start, uint64_t end);
/* 1: every page of the range is present and unwritten since armed; 0: not; -errno. One system call. */
int pagemap_all_armed(struct pagemap *p, uint64_t start, uint64_t end);
/* 1: every page present. One system call. */
int pagemap_all_present(struct pagemap *p, uint64_t start, uint64_t end);
/*
 * 1: the page lies in a VMA that is registered; 0: in one that is not, or in none; -EOPNOTSUPP without
 * PAGEMAP_SCAN. One system call, 0.5 us.
 */
int pagemap_is_registered(struct pagemap *p, uint64_t addr);
/* Raw pagemap words for n pages from start (bit 56: mapped exclusively). */
int pagemap_words(struct pagemap *p, uint64_t start, size_t n, uint64_t *words);

/* --- core.c, pump.c, region.c, gate.c, discard.c, file.c ------------------------------------------ */

/* For layers above: parts of struct hmm_mm, see core.h for the rest. */
struct vma_reader *mm_vmas(struct hmm_mm *mm);
struct pagemap *mm_pagemap(struct hmm_mm *mm);
bool mm_wp_async(const struct hmm_mm *mm);
uint64_t mm_thp_size(const struct hmm_mm *mm);
/* Forks seen since attach. */
uint64_t mm_forks(const struct hmm_mm *mm);
struct hmm_mm *ni_mm(const struct hmm_interval_notifier *ni);
bool ni_covers(const struct hmm_interval_notifier *ni, uint64_t start, uint64_t end);
/* -ESRCH in a forked child or after the process died; first thing every entry point does. */
int mm_alive(const struct hmm_mm *mm);
/* It is a forked child's by inheritance: none of its locks may be taken, nothing of it is to be freed. */
bool mm_inherited(const struct hmm_mm *mm);
/* Whether a clock deadline passed; absolute CLOCK_MONOTONIC ns, 0 never. */
bool deadline_passed(uint64_t deadline);
uint64_t clock_ns(void);
/* Between two looks, number n since 0: yields at first, then sleeps 50 us. */
void deadline_pause(unsigned int n);

/* The in-flight probe (rule 2): true while a change is in flight. */
bool mm_in_flight(struct hmm_mm *mm);
/*
 * -errno if the last true of this thread came from a probe that said neither yes nor no, since it was forgotten: a
 * filter of the program's answers it. It will not get better by waiting.
 */
int mm_refused(void);
void mm_refused_forget(void);

/*
 * A lock that the pump holds while callbacks run, taken by whoever has a deadline: 0, or -ETIME. Deadlines as
 * above.
 */
int deadline_lock(pthread_mutex_t *lock, uint64_t deadline);

/* How long to sleep at most before a deadline is looked at again, in ns. */
uint64_t deadline_slice_ns(uint64_t deadline);
/* Wait for a condition, maybe in vain, never beyond a deadline: 0, or -ETIME. */
int deadline_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t deadline);
/* timeout_ns from now; 0 for 0 */
uint64_t deadline_after(uint64_t timeout_ns);
/* What is left of it: not 0, which is for ever, unless the deadline is. */
uint64_t deadline_left_ns(uint64_t deadline);

/*
 * gate.c. hmm_engine_commit_begin() in two steps, for who holds a lock that must not be held at a closed gate; then
 * hmm_engine_commit_end(). True: it has begun.
 */
bool gate_commit_try(struct hmm_mm *mm);
/* It was open at an instant: 0, or -ETIME. */
int gate_wait_open(struct hmm_mm *mm, uint64_t deadline);
/*
 * gate_close() that gives up: 0, or -ETIME and it is not closed. What a quiescer does on the calling thread takes as
 * long as it takes.
 */
int gate_close_until(struct hmm_mm *mm, uint64_t deadline);

/*
 * fork.c, around a fault: begin at a time when no fork is under way; once all that it found is settled, has one begun
 * since? Wait: 0; -ETIME; -EDEADLK this thread itself is in fork(), in a handler.
 */
int mm_fork_wait(uint64_t deadline, uint64_t *word);
bool mm_fork_passed(struct hmm_mm *mm, uint64_t word);

/* notifier.c: hmm_interval_notifier_insert() and -remove() that give up, with -ETIME. */
int ni_insert(struct hmm_mm *mm, uint64_t start, uint64_t length,
	      const struct hmm_interval_notifier_ops *ops, void *priv,
	      struct hmm_interval_notifier **ni, uint64_t deadline);
int ni_remove(struct hmm_interval_notifier *ni, uint64_t deadline);
/* Never waits. Its callbacks, which must need nothing of the caller's, may run for a while. */
void ni_abandon(struct hmm_interval_notifier *ni);

/* hmm_interval_read_begin() that gives up: 0, or -ETIME. */
int ni_read_begin(struct hmm_interval_notifier *ni, uint64_t deadline, uint64_t *seq);

/*
 * Make sure that [start, end), which lies inside vma, is registered (rule 3: kill first). Idempotent and cheap when
 * it already is. *covered is the mapping now known registered. -EOPNOTSUPP: this kind cannot be (entries
 * become TRANSIENT); -ENOSPC: budget; -EAGAIN: the VMA changed, look again; -ETIME, as of the two below.
 */
int region_ensure(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		  uint64_t deadline);
/*
 * Is the VMA at start registered with us, and known to be up to end? *vma: it. All of `around` was one mapping. False, too,
 * when the pump is at work. One system call more than to look at the page table, which knows only that somebody
 * registered it, and at the VMA.
 */
bool region_stands(struct hmm_mm *mm, uint64_t start, uint64_t end, const struct itree_node *around,
		   struct hmm_vma *vma);
/* Is it, as far as we know? False, too, when the pump is at work. */
bool region_stands_known(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* The page table says that [start, end) is not registered, whatever we know: believe that. */
int region_deny(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/* Is the whole of it registered, as far as we know? 1 or 0. */
int region_covers(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t deadline);
/* Is any part of it? Does not wait, as who holds the lock may, for a driver: -EBUSY. */
int region_any(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* Is a discard of any part of it pending (rule 6)? Tries to settle it first. */
bool discard_pending(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* For a fault that has not looked yet: its sequence outlives the end of a discard, see notifiers_outdate(). */
bool discard_pending_fault(struct hmm_mm *mm, uint64_t start, uint64_t end,
			   const struct hmm_interval_notifier *own, uint64_t *seq);

/*
 * file.c. A range is being faulted: remember what is mapped there and, of a file, its size and change time.
 * After registration, before the snapshot. What was remembered and no longer holds is invalidated. 0;
 * -ENOMEM; -ETIME; -EBUSY the mapping has changed; -EOPNOTSUPP no descriptor of the file can be had, or its clock is not ours: changes are unseen.
 */
int file_track(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/*
 * Around faults for writing of a shared file: they change its times, which then is no news. What is not told when the
 * deadline passes stands no longer, and the next call tells it.
 */
void file_write_begin(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
void file_write_end(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t deadline);
/* 1: unchanged since tracked; 0: changed; -ENOENT not tracked. Invalidates nothing. */
int file_unchanged(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* idle.c. Notes that a range was unmapped; for the pump. */
void files_unmapped(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Closes the files that nothing maps any more in what was noted. False: not now, come again. */
bool files_closed(struct hmm_mm *mm);
/* Will a change of the file be seen, all over the range? No system call. */
bool file_watched(struct hmm_mm *mm, uint64_t start, uint64_t end);
/*
 * Are the mappings that file_track() put there still? A change that was told in between took them away, and
 * the next one would not be known to be about the range.
 */
bool file_tracked(struct hmm_mm *mm, uint64_t start, uint64_t end);

/* mapping.c, dead.c. Is what was tracked still mapped, with no less permission? One system call a VMA. */
bool mapping_stands(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Is part of it System V shared memory, whose detaching nothing tells of? Cheap where there is none. */
bool mapping_has_sysv(struct hmm_mm *mm, uint64_t start, uint64_t end);
/* Have mappings been replaced whose older translations are not invalidated yet? Ask after the checks, before the sequence. */
bool stale_undelivered(struct hmm_mm *mm);
/*
 * once.c. What a fault saw of memory that nobody can watch, under which sequence; a check sees whether it is the same. One
 * system call a mapping, one for 256 pages.
 */
struct once_note {
	const struct hmm_interval_notifier *notifier;
	uint64_t seq;
	uint64_t start;
	uint64_t end;
	uint64_t seen;
};
/* False: not all of it is mapped and present. */
bool once_look(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *seen);
/* May move note->seq on, and others' with it, where the same sequence saw something else. 0; -ETIME. */
int once_put(struct hmm_mm *mm, struct once_note *note, uint64_t deadline);
/* The range can be watched now, or again. */
void once_drop(struct hmm_mm *mm, const struct once_note *note);
/* 1: as the fault saw it; 0: not; -ENOENT: it was no such fault. */
int once_check(struct hmm_mm *mm, const struct once_note *note);
/* Is a hole punched in a memfd told apart from our own faults for writing? */
bool files_memfd_events(const struct hmm_mm *mm);

/*
 * TRANSIENT translations of the range that were made until now no longer stand: what proves that their pages are the
 * same is about to go. own and seq: of a fault that is under way, or NULL. 0; -ETIME: they stand.
 */
int notifiers_outdate(struct hmm_mm *mm, uint64_t start, uint64_t end,
		      const struct hmm_interval_notifier *own, uint64_t *seq, uint64_t deadline);

/* Close the gate, run callbacks of every notifier that overlaps, open it. Returns callbacks run. */
int mm_invalidate(struct hmm_mm *mm, const struct hmm_invalidation *inv);
/* The same, or -ETIME and nothing was run. */
int mm_invalidate_until(struct hmm_mm *mm, const struct hmm_invalidation *inv, uint64_t deadline);

#endif
