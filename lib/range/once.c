// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Memory that cannot be watched is used once: a file that is mapped shared through a descriptor
 * that was opened for reading, memory of another userfaultfd, a file of which we have no
 * descriptor. No event tells when it is unmapped, so no sequence changes. A fault of it leaves a
 * note of all that can be read about the range, and a check reads the same again:
 *
 *	fault				program				check
 *	reads mappings, pages
 *	notes them with the sequence
 *					unmaps, maps something else
 *									reads other pages: refused
 *
 * Pages are told apart by their frame numbers if the kernel shows them. If it hides them (without
 * CAP_SYS_ADMIN) a page that replaced another looks the same. A device that loads and stores
 * through the address then reaches what is mapped at that instant. A device that holds pages may
 * hold one that has gone; the manual says so. If another userfaultfd tracks writes (WP_ASYNC) pages
 * are replaced all the time, so such memory is never valid while frame numbers are hidden.
 */
#include "range/once.h"
#include "files/files.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "base/number.h"

#include <errno.h>
#include <unistd.h>

#define WORDS_AT_ONCE 256
#define WORD_LOOKED_AT (PM_WORD_PFN | PM_WORD_FILE | PM_WORD_SWAP | PM_WORD_PRESENT)

static uint64_t mix(uint64_t sum, uint64_t value)
{
	sum = (sum ^ value) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 29;
}

static bool look_at_mappings(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *sum)
{
	struct hmm_vma vma;

	for (uint64_t at = start; at < end; at = vma.end) {
		if (vma_peek(mm_vmas(mm), at, &vma) || vma.start > at)
			return false;
		*sum = mix(*sum, vma.start);
		*sum = mix(*sum, vma.end);
		*sum = mix(*sum, vma.offset);
		*sum = mix(*sum, vma.inode);
		*sum = mix(*sum, (uint64_t)vma.dev_major << 32 | vma.dev_minor);
		*sum = mix(*sum, (uint64_t)vma.prot << 1 | vma.shared);
	}
	return true;
}

static bool look_at_pages(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *sum)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t words[WORDS_AT_ONCE];

	start &= ~(page - 1);
	for (size_t n; start < end; start += n * page) {
		n = (size_t)((end - start + page - 1) / page);
		if (n > WORDS_AT_ONCE)
			n = WORDS_AT_ONCE;
		if (pagemap_words(mm_pagemap(mm), start, n, words))
			return false;
		for (size_t i = 0; i < n; i++) {
			if (!(words[i] & PM_WORD_PRESENT))
				return false;
			*sum = mix(*sum, words[i] & WORD_LOOKED_AT);
		}
	}
	return true;
}

bool once_look(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t *seen)
{
	*seen = 0;
	return look_at_mappings(mm, start, end, seen) && look_at_pages(mm, start, end, seen);
}

static struct once_note *find(struct once_table *t, const struct once_note *like)
{
	const uint32_t n = t->count < ONCE_NOTES ? t->count : ONCE_NOTES;

	/* The newest note comes first, as most checks follow the fault that left it. */
	for (uint32_t i = 1; i <= n; i++) {
		struct once_note *e = &t->notes[(t->count - i) % ONCE_NOTES];

		if (e->notifier == like->notifier && e->seq == like->seq &&
		    e->start == like->start && e->end == like->end)
			return e;
	}
	return NULL;
}

/*
 * False: an older note has the same sequence and another content. A check must not compare the
 * older translation with the new content.
 */
static bool put(struct once_table *t, const struct once_note *note)
{
	struct once_note *e;
	bool put = true;

	pthread_mutex_lock(&t->lock);
	e = find(t, note);
	if (e)
		put = e->seen == note->seen;
	else
		t->notes[t->count++ % ONCE_NOTES] = *note;
	atomic_store_explicit(&t->any, true, memory_order_relaxed);
	pthread_mutex_unlock(&t->lock);
	return put;
}

int once_put(struct hmm_mm *mm, struct once_note *note, uint64_t deadline)
{
	struct hmm_range own = { .notifier = note->notifier,
				 .start = note->start,
				 .end = note->end };
	int err = 0;

	while (!err && !put(&mm->once, note)) {
		own.notifier_seq = note->seq;
		err = notifiers_outdate(mm, note->start, note->end, &own, deadline);
		note->seq = own.notifier_seq;
	}
	return err;
}

void once_drop(struct hmm_mm *mm, const struct once_note *note)
{
	struct once_table *t = &mm->once;
	struct once_note *e;

	if (!atomic_load_explicit(&t->any, memory_order_relaxed))
		return;
	pthread_mutex_lock(&t->lock);
	e = find(t, note);
	if (e)
		e->notifier = NULL;
	pthread_mutex_unlock(&t->lock);
}

/* Does another userfaultfd track writes in a part of the range? */
static bool writes_are_tracked(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct hmm_vma vma;

	if (region_stands_known(mm, start, end))
		return false;
	for (uint64_t at = start; at < end && !vma_peek(mm_vmas(mm), at, &vma) && vma.start < end;
	     at = vma.end) {
		if (pagemap_is_registered(mm_pagemap(mm), at > vma.start ? at : vma.start) == 1)
			return true;
	}
	return false;
}

int once_check(struct hmm_mm *mm, const struct once_note *note)
{
	struct once_table *t = &mm->once;
	struct once_note *e;
	uint64_t noted = 0;
	uint64_t seen;

	if (!atomic_load_explicit(&t->any, memory_order_relaxed))
		return -ENOENT;
	pthread_mutex_lock(&t->lock);
	e = find(t, note);
	if (e)
		noted = e->seen;
	pthread_mutex_unlock(&t->lock);
	if (!e)
		return -ENOENT;
	if (!once_look(mm, note->start, note->end, &seen) || seen != noted)
		return 0;
	if (!mm_pagemap(mm)->pfns_hidden)
		return 1;
	return file_unchanged(mm, note->start, note->end) != 0 &&
	       !writes_are_tracked(mm, note->start, note->end);
}
