// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pages that only the device may touch. The device holds them until the CPU takes them back, or the
 * device takes the same range anew, or the mirror ends.
 */
#include "mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The most that is taken at once. */
#define TAKE_BYTES (64ULL << 20)

struct exclusive {
	struct exclusive *next;
	struct hmm_exclusive *pages;
	uint64_t start, end;
};

static bool overlaps(const struct exclusive *e, uint64_t start, uint64_t end)
{
	return e->start < end && start < e->end;
}

/* Gives back what was taken in a range. The lock is held. */
static void give_back(struct mirror *m, uint64_t start, uint64_t end)
{
	for (struct exclusive **e = &m->exclusives; *e;) {
		struct exclusive *gone = *e;

		if (!overlaps(gone, start, end)) {
			e = &gone->next;
			continue;
		}
		*e = gone->next;
		hmm_exclusive_end(gone->pages);
		free(gone);
	}
}

void exclusive_fini(struct mirror *m)
{
	give_back(m, 0, UINT64_MAX);
}

/*
 * Entries without WRITE, so that a write of the device faults as any other. While the section is
 * open no page can go home, and one that goes home later is cleared by that.
 */
static int install(struct mirror *m, const struct exclusive *e)
{
	int err = 0;

	hmm_mm_commit_begin(m->mm);
	for (uint64_t addr = e->start; !err && addr < e->end; addr += HMM_PAGE_SIZE) {
		uint64_t at;
		uint64_t entry;

		err = hmm_exclusive_check(e->pages, addr, &at) ? -EBUSY : 0;
		entry = HMM_PFN_VALID | HMM_PFN_DEVICE_PRIVATE | at >> HMM_PAGE_SHIFT;
		if (!err)
			err = hmm_ptable_set(m->table, addr, HMM_PAGE_SHIFT, &entry, 1);
	}
	hmm_mm_commit_end(m->mm);
	return err;
}

/* All pages of a range or none. The lock is held. */
static int take(struct mirror *m, uint64_t start, uint64_t end)
{
	struct exclusive *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return -ENOMEM;
	e->start = start;
	e->end = end;
	err = hmm_exclusive_begin(m->mm, start, end, m->device, FAULT_NS, &e->pages);
	if (err) {
		free(e);
		return err == -ETIME ? -EBUSY : err;
	}
	e->next = m->exclusives;
	m->exclusives = e;
	err = install(m, e);
	if (err)
		give_back(m, start, end);
	return err;
}

static int take_all(struct mirror *m, uint64_t start, uint64_t end)
{
	int err = 0;

	pthread_mutex_lock(&m->lock);
	give_back(m, start, end);
	for (uint64_t next; !err && start < end; start = next) {
		next = end - start > TAKE_BYTES ? start + TAKE_BYTES : end;
		err = take(m, start, next);
	}
	pthread_mutex_unlock(&m->lock);
	return err;
}

int exclusive_take(struct mirror *m, struct dmirror_command *cmd)
{
	struct access a;
	int err = access_init(&a, m, cmd->addr, cmd->addr + cmd->npages * m->page_size, PROT_READ);

	if (err)
		return err;
	err = take_all(m, a.start, a.end);
	if (!err)
		err = access_copy(&a, a.end);
	if (!err)
		err = access_give(&a, cmd->ptr);
	cmd->cpages = access_pages(&a);
	access_fini(&a);
	return err;
}

static bool has_page(const struct mirror *m, uint64_t addr)
{
	for (const struct exclusive *e = m->exclusives; e; e = e->next)
		if (addr >= e->start && addr < e->end && !hmm_exclusive_check(e->pages, addr, NULL))
			return true;
	return false;
}

int exclusive_check(struct mirror *m, const struct dmirror_command *cmd)
{
	const uint64_t end = cmd->addr + cmd->npages * m->page_size;
	bool has = false;

	pthread_mutex_lock(&m->lock);
	for (uint64_t addr = cmd->addr; !has && addr < end; addr += m->page_size)
		has = has_page(m, addr);
	pthread_mutex_unlock(&m->lock);
	return has ? -EPERM : 0;
}
