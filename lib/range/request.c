// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What is requested of each page, also when an attempt begins again. */
#include "range/walk.h"

/* As in the kernel a request for writing counts only together with a request to fault. */
static enum request of_bits(const struct walk *w, uint64_t bits)
{
	enum request r = w->request;

	if (bits & KEPT_FAULT && r < REQUEST_READ)
		r = REQUEST_READ;
	if (bits & KEPT_WRITE && r == REQUEST_READ)
		r = REQUEST_WRITE;
	return r;
}

static uint64_t kept_bits(const struct walk *w, uint64_t addr)
{
	const uint64_t entry = *walk_entry(w, addr);

	return addr < w->written ? entry & KEPT : (entry & w->mask) >> KEPT_SHIFT;
}

enum request walk_request(const struct walk *w, uint64_t addr)
{
	return w->mask ? of_bits(w, kept_bits(w, addr)) : w->request;
}

uint64_t walk_request_run(const struct walk *w, uint64_t addr, uint64_t end, enum request *request)
{
	*request = walk_request(w, addr);
	if (!w->mask)
		return end;
	do {
		addr += HMM_PAGE_SIZE;
	} while (addr < end && walk_request(w, addr) == *request);
	return addr;
}

uint64_t walk_find_request(const struct walk *w, uint64_t addr, uint64_t end, enum request least)
{
	if (!w->mask)
		return w->request >= least ? addr : end;
	while (addr < end && walk_request(w, addr) < least)
		addr += HMM_PAGE_SIZE;
	return addr;
}

void walk_restore_input(const struct walk *w, uint64_t start, uint64_t end)
{
	for (uint64_t a = start; a < end && a < w->written; a += HMM_PAGE_SIZE) {
		uint64_t *e = walk_entry(w, a);

		*e = (*e & HMM_PFN_STICKY) | (*e & KEPT) << KEPT_SHIFT;
	}
}

void walk_finish_output(const struct walk *w, uint64_t start, uint64_t end)
{
	uint64_t *e = walk_entry(w, start);
	const uint64_t n = (end - start) >> HMM_PAGE_SHIFT;

	if (!w->mask)
		return;
	for (uint64_t i = 0; i < n; i++)
		e[i] &= ~KEPT;
}
