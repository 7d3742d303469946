// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Reads what is mapped and writes the entries. One scan tells which pages are present, which are
 * the zero page, and their order. The kernel does not say whether a present page may be written:
 *
 *	private	an anonymous page that is mapped only here can be written in place: the pagemap
 *		word says so, for a huge page the first one. After a fork the words prove nothing:
 *		a page whose other owner has gone is mapped once and still write-protected, and
 *		the word of a huge page counts only the mappings of its first page. Then a page
 *		has WRITE that was just faulted for writing; a fork in between makes the attempt
 *		begin again (range.c). Where nothing is requested the kernel is asked of each
 *		page whether it is the process's alone, which it tells privileged ones
 *	shared	only a page that was just faulted for writing has WRITE
 *
 * So an entry may lack WRITE although the page is writable, and never has it wrongly.
 */
#include "range/walk.h"
#include "files/files.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "base/mutation.h"

#include <errno.h>
#include <sys/mman.h>

#define RUNS_AT_ONCE 64
#define WORDS_AT_ONCE 512

struct span_state {
	const struct hmm_vma *vma;
	uint64_t flags;     /* flags of every present page: TRANSIENT or 0 */
	bool covered;       /* the tree of regions says that it is registered */
	unsigned int order; /* order of hugetlb pages, 0 for others */
	bool words_unknown; /* the process has forked since attach, so words prove nothing */
};

/* Does every entry satisfy its request? -EBUSY: a page went away again. */
static int check_requests(const struct walk *w, uint64_t start, uint64_t end, uint64_t *done)
{
	*done = end;
	if (!w->mask && w->request == REQUEST_NONE)
		return 0;
	if (!w->mask && w->request == REQUEST_READ && fill_all_have(w, start, end, HMM_PFN_VALID))
		return 0;
	if ((w->mask || w->request == REQUEST_WRITE) &&
	    fill_all_have(w, start, end, HMM_PFN_VALID | HMM_PFN_WRITE))
		return 0;
	for (uint64_t a = start; a < end; a += HMM_PAGE_SIZE) {
		const uint64_t e = *walk_entry(w, a);
		const enum request request = walk_request(w, a);

		if ((request >= REQUEST_READ && !(e & HMM_PFN_VALID)) ||
		    (request == REQUEST_WRITE && !(e & HMM_PFN_WRITE))) {
			*done = a;
			return -EBUSY;
		}
	}
	return 0;
}

/* Asking of each page is for those who want to know what is there, not for each fault. */
static bool asks_frames(const struct walk *w)
{
	return w->request == REQUEST_NONE && !w->mask && !mm_pagemap(w->mm)->pfns_hidden;
}

static int read_words(const struct walk *w, bool unknown, uint64_t start, size_t n, uint64_t *words)
{
	return unknown ? pagemap_words_alone(mm_pagemap(w->mm), start, n, words)
		       : pagemap_words(mm_pagemap(w->mm), start, n, words);
}

/* Pages are writable if their word, masked, has these bits. unknown: words prove nothing. */
static int fill_small_private(struct walk *w, bool unknown, uint64_t start, uint64_t end,
			      uint64_t flags, uint64_t mask, uint64_t bits)
{
	uint64_t words[WORDS_AT_ONCE];

	if (bits & ~mask) { /* no word has */
		fill_same(w, start, end, flags);
		return 0;
	}
	for (uint64_t a = start, next; a < end; a = next) {
		const uint64_t from = a & ~(w->page_size - 1);
		/* a whole page of the page table, which the kernel reads at once */
		const uint64_t chunk = w->page_size * WORDS_AT_ONCE;
		const uint64_t to = (from & ~(chunk - 1)) + chunk;
		int err;

		next = to < end ? to : end;
		err = read_words(w, unknown, from, (next - from + w->page_size - 1) / w->page_size,
				 words);
		if (err)
			return err;
		fill_by_words(w, a, next, flags, words, mask, bits);
	}
	return 0;
}

/* The same for huge pages: looks at the first word of each. */
static int fill_huge_private(struct walk *w, const struct span_state *s, uint64_t start,
			     uint64_t end, uint64_t flags, uint64_t block)
{
	for (uint64_t a = start, next; a < end; a = next) {
		const uint64_t head = a & ~(block - 1);
		uint64_t word = 0;
		int err = 0;

		next = head + block < end ? head + block : end;
		if (!s->words_unknown || asks_frames(w))
			err = read_words(w, s->words_unknown, head, 1, &word);
		if (err)
			return err;
		if ((word & (PM_WORD_EXCLUSIVE | PM_WORD_FILE)) == PM_WORD_EXCLUSIVE)
			fill_same(w, a, next, flags | HMM_PFN_WRITE);
		else
			fill_same(w, a, next, flags);
	}
	return 0;
}

static unsigned int order_of(uint64_t bytes)
{
	return bytes > HMM_PAGE_SIZE ? (unsigned int)__builtin_ctzll(bytes / HMM_PAGE_SIZE) : 0;
}

/*
 * Rule 17 in docs/protocol.md. The tree of regions has what was registered. A VMA can come and go
 * between its look-up and its registration. Registering says nothing about holes, and no event
 * tells of a VMA that was never registered:
 *
 *	fault of X (head, tail)			program
 *	look-up: one VMA
 *						unmaps the tail (no event: not registered)
 *	registers what is there: the head
 *						maps the tail anew
 *	remembers head and tail
 *
 * A registration reaches over the holes beside the VMA. So X may even be gone as a whole, and
 * registering succeeds because of another VMA:
 *
 *	look-up: one VMA
 *						moves X into the hole beside it (no event)
 *	registers what is there: X, elsewhere
 *						maps X anew
 *	remembers X where it was
 *
 * So the tree counts only if the kernel, too, says that the page is registered: by the scan that
 * makes the entry, or where a scan does not say it, by an answer that came before (believe()).
 * True: the tree says that the run is registered, and the scan that it is not.
 */
static bool lies(const struct walk *w, const struct span_state *s, const struct page_run *run)
{
	if (hmm_mutation(HMM_MUTATION_KEEP_REGION))
		return false;
	return s->covered && !(run->categories & PAGE_IS_WPALLOWED) && mm_registers(w->mm) &&
	       !region_needs_asking(w->mm);
}

/*
 * The tree says that a part of the VMA is registered, and the kernel that it is not. Then none of
 * the VMA is. Invalidates what was cached while it was believed, whether it can be registered again
 * or not.
 */
static int deny(const struct walk *w, const struct hmm_vma *vma)
{
	const struct hmm_invalidation inv = { .start = vma->start,
					      .end = vma->end,
					      .event = HMM_EVENT_CLEAR };
	int err = region_deny(w->mm, vma->start, vma->end, w->deadline);

	if (!err)
		err = mm_invalidate(w->mm, &inv, w->deadline);
	return err < 0 ? err : -EBUSY;
}

/*
 * Does the tree say that the range is registered? Where no scan can contradict it the kernel is
 * asked. That comes before the page table is read: what is registered now cannot change meanwhile
 * without an event. 1; 0; -EBUSY: the tree was wrong; other errors.
 */
static int believe(const struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	int covered = region_covers(w->mm, start, end, w->deadline);

	if (covered != 1 || !region_needs_asking(w->mm) || hmm_mutation(HMM_MUTATION_TRUST_TREE))
		return covered;
	covered = region_ask(w->mm, vma, start, end, w->deadline);
	return covered ? covered : deny(w, vma);
}

/* Writes the entries of present pages of a writable VMA that all have the same request. */
static int fill_writable(struct walk *w, const struct span_state *s, uint64_t start, uint64_t end,
			 uint64_t flags, unsigned int order, bool asked)
{
	const uint64_t ours = PM_WORD_EXCLUSIVE | PM_WORD_FILE;

	/*
	 * The pages were just faulted for writing, so they are writable. A change that takes that
	 * back since shows as an event or as the zero page. In a private mapping of a file the
	 * file's own page may be back, which only the words show: an anonymous page is the copy
	 * that was made for us. Without a scan the words also show the zero page, which is not
	 * mapped exclusively.
	 */
	if (asked && !s->vma->shared && !mm_pagemap(w->mm)->scan)
		return fill_small_private(w, false, start, end, flags, ours, PM_WORD_EXCLUSIVE);
	if (asked &&
	    (s->vma->shared || s->vma->kind == HMM_VMA_ANON || s->vma->kind == HMM_VMA_HUGETLB))
		fill_same(w, start, end, flags | HMM_PFN_WRITE);
	else if (asked)
		return fill_small_private(w, false, start, end, flags, PM_WORD_FILE, 0);
	else if (s->vma->shared)
		fill_same(w, start, end, flags);
	else if (order > order_of(w->page_size))
		return fill_huge_private(w, s, start, end, flags, HMM_PAGE_SIZE << order);
	else
		return fill_small_private(w, s->words_unknown, start, end, flags, ours,
					  s->words_unknown && !asks_frames(w) ? ~0ULL
									      : PM_WORD_EXCLUSIVE);
	return 0;
}

static int fill_run(struct walk *w, const struct span_state *s, const struct page_run *run)
{
	const bool huge = run->categories & PAGE_IS_HUGE;
	const unsigned int order =
		s->order ? s->order : order_of(huge ? w->thp_size : w->page_size);
	const uint64_t flags = HMM_PFN_VALID | s->flags | (uint64_t)order << HMM_PFN_ORDER_SHIFT;
	int err = 0;

	if (lies(w, s, run))
		return deny(w, s->vma);
	if (run->categories & PAGE_IS_PFNZERO || !(s->vma->prot & PROT_WRITE)) {
		fill_same(w, run->start, run->end, flags);
		return 0;
	}
	for (uint64_t a = run->start, next; !err && a < run->end; a = next) {
		enum request request;

		next = walk_request_run(w, a, run->end, &request);
		err = fill_writable(w, s, a, next, flags, order, request == REQUEST_WRITE);
	}
	return err;
}

static int fill_present(struct walk *w, const struct span_state *s, uint64_t start, uint64_t end)
{
	const uint64_t first = start;
	const uint64_t stop = end;
	uint64_t at = start;

	/* an entry is for 4 KiB, and the machine's pages may be larger */
	start &= ~(w->page_size - 1);
	end = (end + w->page_size - 1) & ~(w->page_size - 1);
	while (start < end) {
		struct page_run runs[RUNS_AT_ONCE];
		size_t n = RUNS_AT_ONCE;
		uint64_t walked = start;
		int err = pagemap_runs(mm_pagemap(w->mm), start, end, runs, &n, &walked);

		if (err || walked <= start)
			return err ? err : -EBUSY;
		for (size_t i = 0; i < n && !err; i++) {
			if (!(runs[i].categories & PAGE_IS_PRESENT) || runs[i].end <= at ||
			    runs[i].start >= stop)
				continue;
			if (runs[i].start < at)
				runs[i].start = at;
			if (runs[i].end > stop)
				runs[i].end = stop;
			walk_device_fill(w, s->vma, at, runs[i].start);
			err = fill_run(w, s, &runs[i]);
			at = runs[i].end;
		}
		if (err)
			return err;
		start = walked;
	}
	walk_device_fill(w, s->vma, at, stop);
	walk_coherent(w, first, stop);
	return 0;
}

/*
 * Arms the range: write-protects its pages, so that a later check sees whether they are still the
 * same. Pages that are armed already stay armed, and prove the same for older translations. A page
 * that is not armed is another one, or was written since. Armed anew it would pass for the page of
 * older translations, so these are made invalid first.
 */
static void arm(struct walk *w, uint64_t start, uint64_t end)
{
	if (!mm_pagemap(w->mm)->scan || pagemap_all_armed(mm_pagemap(w->mm), start, end) == 1)
		return;
	/*
	 * If the lock cannot be had the pages stay unarmed, and checks refuse them, which is always
	 * right.
	 */
	if (!notifiers_outdate(w->mm, start, end, w->range, w->deadline))
		pagemap_arm(mm_pagemap(w->mm), start, end);
}

/*
 * A discard is pending in memory that may not be armed: would a check see another page in its
 * place? The stamp of a shared file or memfd changes with its pages. For a copy that a private
 * mapping made, and for a System V segment, only the frame number tells.
 */
static bool is_told_apart(const struct walk *w, const struct hmm_vma *vma)
{
	return !mm_pagemap(w->mm)->pfns_hidden || (vma->shared && vma->kind != HMM_VMA_SYSV);
}

/*
 * Entries may not be cached if the memory is not registered (`covered` is false), if it is of a
 * file whose changes are unseen, or if a discard is pending. In the last case pages are armed
 * before they are looked at, so that HMM_CHECK_PRESENT can prove later that they are still the
 * same. Never arm what a file or a memfd backs: where such a page goes the kernel leaves a marker,
 * which makes the next touch of DAX fault for ever (6.12), and MADV_GUARD_INSTALL of the program
 * never return (seen on 6.18).
 */
static bool is_transient(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end,
			 bool covered)
{
	/* A log tells of every change, and of the end of a discard. */
	if (w->mm->log)
		return false;
	/*
	 * A System V segment may be detached and attached without an event. Without a scan it is
	 * used once.
	 */
	if (!covered || !file_told_of(w->mm, vma, start, end) ||
	    (vma->kind == HMM_VMA_SYSV && !mm_pagemap(w->mm)->scan)) {
		w->once = true;
		return true;
	}
	/*
	 * Only the first part's sequence may outlive the end of a discard. Later parts follow one
	 * that was read while the discard was pending, so for them its end makes the attempt begin
	 * again.
	 */
	if (!discard_pending_fault(w->mm, start, end, start == w->range->start ? w->range : NULL))
		return false;
	if (vma->kind == HMM_VMA_ANON || vma->kind == HMM_VMA_HUGETLB) {
		if (mm_wp_async(w->mm))
			arm(w, start, end);
	} else {
		w->once |= is_told_apart(w, vma);
	}
	return true;
}

/* Is the VMA still the one for which the entries were made? Registering may have split it. */
static bool still_same(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	struct hmm_vma now;

	while (start < end) {
		if (vma_peek(mm_vmas(w->mm), start, &now) || now.start > start ||
		    now.prot != vma->prot || now.shared != vma->shared || now.inode != vma->inode ||
		    now.dev_major != vma->dev_major || now.dev_minor != vma->dev_minor ||
		    (vma->inode && now.offset - now.start != vma->offset - vma->start))
			return false;
		start = now.end;
	}
	return true;
}

static int snapshot_vma(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end,
			uint64_t *done)
{
	struct span_state s = { .vma = vma,
				.order = vma->page_size > w->page_size ? order_of(vma->page_size)
								       : 0 };
	int ret;
	int err;

	if (vma->kind == HMM_VMA_SPECIAL || !(vma->prot & PROT_READ)) {
		fill_empty(w, start, end, HMM_PFN_ERROR);
		*done = end;
		return still_same(w, vma, start, end) ? 0 : -EBUSY;
	}
	ret = believe(w, vma, start, end);
	if (ret < 0)
		return ret;
	s.covered = ret;
	s.flags = is_transient(w, vma, start, end, s.covered) ? HMM_PFN_TRANSIENT : 0;
	s.words_unknown = !s.order && w->forks;
	err = fill_present(w, &s, start, end);
	if (err)
		return err;
	err = check_requests(w, start, end, done);
	if (!err)
		*done = end;
	return err || still_same(w, vma, start, end) ? err : -EBUSY;
}

int walk_snapshot(struct walk *w, uint64_t end, uint64_t *done)
{
	uint64_t start = w->range->start;
	int err = 0;

	*done = start;
	if (w->have_vma && start < end)
		return snapshot_vma(w, &w->vma, start, end, done);
	while (!err && start < end) {
		struct hmm_vma vma;
		uint64_t to = end;

		err = vma_lookup_unnamed(mm_vmas(w->mm), start, &vma);
		if (err && err != -ENOENT)
			break;
		if (err || vma.start > start) {
			to = err || vma.start > end ? end : vma.start;
			fill_empty(w, start, to, HMM_PFN_ERROR);
			*done = to;
			err = 0;
			/* a hole with requests: it was mapped when it was faulted */
			if (walk_find_request(w, start, to, REQUEST_READ) < to)
				err = -EBUSY;
		} else {
			to = vma.end < end ? vma.end : end;
			err = snapshot_vma(w, &vma, start, to, done);
		}
		start = to;
	}
	return err;
}
