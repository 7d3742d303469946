// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Brings in what is requested: populates, then registers, then remembers what is mapped. In a
 * registered mapping the kernel does not fault neighbouring pages in, so a cold 1 GiB file is read
 * at 0.97x of the CPU's speed in this order, at 0.61x the other way round. Each run of pages with
 * the same request is one system call.
 */
#include "range/walk.h"
#include "files/files.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "space/space.h"
#include "kernel/abi/madvise.h"
#include "kernel/abi/pagemap.h"
#include "kernel/pagemap.h"
#include "base/mutation.h"

#include <errno.h>
#include <sys/mman.h>

#define STUBBORN 32

static void set_error(struct walk *w, int error, uint64_t at)
{
	w->error = error;
	w->error_at = at;
}

static bool same_vma(const struct hmm_vma *a, const struct hmm_vma *b)
{
	return a->prot == b->prot && a->shared == b->shared && a->inode == b->inode &&
	       a->dev_major == b->dev_major && a->dev_minor == b->dev_minor;
}

/* Finds the first page from start on that is not present; end if all are. */
static int find_absent(struct walk *w, uint64_t start, uint64_t end, uint64_t *absent)
{
	while (start < end) {
		struct page_run run;
		uint64_t walked;
		size_t n = 1;
		int err = pagemap_runs(mm_pagemap(w->mm), start, end, &run, &n, &walked);

		if (err)
			return err;
		if (!n || run.start > start || !(run.categories & PAGE_IS_PRESENT))
			break;
		start = run.end;
	}
	*absent = start;
	return 0;
}

/*
 * Where populating has to begin. For reading it begins at the first absent page: to populate a
 * present page costs 40 ns, to look at it 5. For writing the whole range is populated, as nothing
 * tells whether a page can be written without a fault. After a fork whose child has exited a page
 * is mapped only once and still write-protected. If a device takes a reference to it meanwhile the
 * program's next write goes to a copy, and no event tells of that.
 */
static int find_first(struct walk *w, uint64_t start, uint64_t end, enum request request,
		      uint64_t *from)
{
	*from = start;
	return request == REQUEST_WRITE ? 0 : find_absent(w, start, end, from);
}

static int try_populate(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end,
			bool write)
{
	/* Where a log tells of changes no file is tracked, nor kept open. */
	const bool tracked = write && !w->mm->log;
	int error;

	if (tracked)
		file_write_begin(w->mm, vma, w->deadline);
	error = madvise((void *)(uintptr_t)start, end - start,
			write ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
	if (error)
		error = errno;
	if (tracked)
		file_write_end(w->mm, vma, w->deadline);
	return error;
}

/*
 * Populating has said ENOMEM again and again, and each look-up found the mapping. There may have
 * been a hole each time nevertheless: a thread that unmaps and maps, and this one, take the lock of
 * the address space in turns. Once the memory is registered its unmapping has an event. So if
 * nothing has changed from before the registration until populating has failed once more there was
 * no hole. -ENOMEM: there is no memory; -EBUSY: that is not certain; -ETIME, -ESRCH, -ENOSPC.
 */
static int lacks_memory(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end,
			bool write)
{
	uint64_t seq;
	int ret = ni_read_begin(w->range->notifier, w->deadline, &seq);

	if (ret)
		return ret;
	ret = -EOPNOTSUPP;
	if (!(w->range->flags & HMM_RANGE_LOOK))
		ret = region_ensure(w->mm, vma, start, end, w->deadline);
	/* No event tells of this memory. Pauses between the attempts end any taking of turns. */
	if (ret == -EOPNOTSUPP)
		return w->unclear < 4 * STUBBORN ? -EBUSY : -ENOMEM;
	if (!ret && mm_registers(w->mm))
		ret = region_ask(w->mm, vma, start, end, w->deadline) == 1 ? 0 : -EBUSY;
	if (ret == -ETIME || ret == -ESRCH || ret == -ENOSPC || ret == -ENOMEM)
		return ret;
	if (ret)
		return -EBUSY;
	if (try_populate(w, vma, start, end, write) != ENOMEM)
		return -EBUSY;
	return hmm_interval_read_retry(w->range->notifier, seq) ? -EBUSY : -ENOMEM;
}

/* Populating has failed: was that because of the mapping, or has the mapping changed? */
static int explain(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		   bool write, int error)
{
	struct hmm_vma now;
	uint64_t at = start;

	for (uint64_t a = start; a < end; a = now.end) {
		if (vma_peek(mm_vmas(w->mm), a, &now) || now.start > a || !same_vma(&now, vma))
			return -EBUSY;
	}
	/*
	 * ENOMEM may be a hole or want of memory, EINVAL may be a lack of permission or VM_PFNMAP.
	 * Another thread may have changed the mapping and changed it back in between. So the error
	 * is believed only if it comes again and again.
	 */
	if ((error == ENOMEM || error == EINVAL) && ++w->unclear < STUBBORN)
		return -EBUSY;
	if (error == ENOMEM)
		return lacks_memory(w, vma, start, end, write);
	/*
	 * Anonymous memory that may be accessed never causes EINVAL. If the error does not go a
	 * seccomp filter answers.
	 */
	if (error == EINVAL && !vma->inode && !vma->dev_major && !vma->dev_minor)
		return w->unclear < 4 * STUBBORN ? -EBUSY : -EINVAL;
	/* VM_PFNMAP cannot be populated for reading either. */
	if (error == EINVAL && write && try_populate(w, vma, start, end, false) != EINVAL)
		return -EBUSY;
	/* The kernel knows no other error for a thread that goes on. */
	if (error != EFAULT && error != EHWPOISON && error != EINVAL)
		return ++w->unclear < STUBBORN ? -EBUSY : -error;
	/* A page that has gone to a device since cannot be populated (user mode only). */
	if (error == EFAULT && devmem_of(w->mm) && ++w->unclear < STUBBORN)
		return -EBUSY;
	if (find_absent(w, start, end, &at) || at == end)
		at = start;
	at &= ~(HMM_PAGE_SIZE - 1);
	/* EINVAL: the mapping is VM_IO or VM_PFNMAP, which the look-up did not show */
	set_error(w, error == EHWPOISON ? -EHWPOISON : -EFAULT,
		  at < w->range->start ? w->range->start : at);
	return 0;
}

/* Devices may have shared memory exclusively. */
static bool has_aliases(const struct walk *w)
{
	const struct devmem_space *s = devmem_of(w->mm);

	return s && atomic_load(&s->alias);
}

static int populate_home(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end,
			 enum request request)
{
	const bool write = request == REQUEST_WRITE || hmm_mutation(HMM_MUTATION_READ_IS_WRITE);
	uint64_t from;
	int error;
	int err;

	start &= ~(w->page_size - 1);
	end = (end + w->page_size - 1) & ~(w->page_size - 1);
	err = find_first(w, start, end, write ? REQUEST_WRITE : request, &from);
	if (err || from == end)
		return err;
	if (vma->kind == HMM_VMA_ANON || (vma->kind == HMM_VMA_SHMEM && has_aliases(w))) {
		err = walk_device_home(w, from, end);
		if (err)
			return err;
	}
	error = try_populate(w, vma, from, end, write);
	return error ? explain(w, vma, from, end, write, error) : 0;
}

/* Leaves out what is in device memory of the caller's own. */
static int populate(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		    enum request request)
{
	struct run run;
	uint64_t addr;
	int err = 0;

	while (!err && !w->error && start < end && walk_device_next(w, start, end, &run, &addr)) {
		if (start < run.start)
			err = populate_home(w, vma, start, run.start, request);
		start = run.end;
	}
	return !err && !w->error && start < end ? populate_home(w, vma, start, end, request) : err;
}

/* Registers and remembers the range from the first to the last page with a request. */
static int mirror(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	int err;

	if (w->range->flags & HMM_RANGE_LOOK)
		return 0;
	err = region_ensure(w->mm, vma, start, end, w->deadline);
	/* A log tells of all that a use would look for, and of what cannot be registered. */
	if (w->mm->log && (!err || err == -EOPNOTSUPP))
		return 0;
	if (err == -EAGAIN || err == -ENOENT || err == -EFAULT || err == -EINVAL)
		return -EBUSY; /* the VMA has changed */
	if (err && err != -EOPNOTSUPP)
		return err;
	/* Anonymous memory that cannot be registered has no file that could be tracked. */
	if (err && vma->kind == HMM_VMA_ANON)
		return 0;
	ni_note_kind(w->range->notifier, vma->kind);
	err = file_track(w->mm, vma, w->deadline);
	return err == -EOPNOTSUPP ? 0 : err;
}

static int fault_vma(struct walk *w, const struct hmm_vma *vma, uint64_t start, uint64_t end)
{
	uint64_t first = end;
	uint64_t last = start;
	int err = 0;

	for (uint64_t a = start, next; !err && !w->error && a < end; a = next) {
		enum request request;

		next = walk_request_run(w, a, end, &request);
		if (request == REQUEST_NONE)
			continue;
		err = populate(w, vma, a, next, request);
		first = a < first ? a : first;
		last = w->error && w->error_at < next ? w->error_at : next;
	}
	return err || first >= last ? err : mirror(w, vma, first, last);
}

/*
 * [start, end) lies in no VMA, or in one that must not be walked: fails its first page with a
 * request.
 */
static void refuse(struct walk *w, uint64_t start, uint64_t end)
{
	const uint64_t at = walk_find_request(w, start, end, REQUEST_READ);

	if (at < end)
		set_error(w, -EFAULT, at);
}

/*
 * Uses the caller's look-up if it may still be right and permits what is requested. Otherwise asks
 * the kernel, so that a request is never refused because of an old look-up.
 */
static int look_up(struct walk *w, uint64_t addr, struct hmm_vma *vma)
{
	const bool write = w->request == REQUEST_WRITE || w->mask & HMM_PFN_REQ_WRITE;
	const uint32_t prot = PROT_READ | (write ? PROT_WRITE : 0);
	const struct vma_look *given = w->given;

	w->given = NULL;
	if (!given || given->vma.start > addr || given->vma.end <= addr ||
	    given->vma.kind == HMM_VMA_SPECIAL || (given->vma.prot & prot) != prot ||
	    !vma_look_stands(w->mm, given))
		return vma_lookup_unnamed(mm_vmas(w->mm), addr, vma);
	*vma = given->vma;
	return 0;
}

static int fault_at(struct walk *w, uint64_t *addr)
{
	const uint64_t start = *addr;
	const uint64_t end = w->range->end;
	struct hmm_vma vma;
	uint64_t to;
	uint64_t denied;
	int err = look_up(w, start, &vma);

	if (err && err != -ENOENT)
		return err;
	if (err || vma.start > start) {
		*addr = err || vma.start > end ? end : vma.start;
		refuse(w, start, *addr);
		return 0;
	}
	to = *addr = vma.end < end ? vma.end : end;
	if (start == w->range->start && to == end) {
		w->have_vma = true;
		w->vma = vma;
	}
	if (vma.kind == HMM_VMA_SPECIAL || !(vma.prot & PROT_READ)) {
		refuse(w, start, to);
		return 0;
	}
	denied = vma.prot & PROT_WRITE ? to : walk_find_request(w, start, to, REQUEST_WRITE);
	if (start < denied)
		err = fault_vma(w, &vma, start, denied);
	if (!err && !w->error && denied < to)
		set_error(w, -EPERM, denied);
	return err;
}

int walk_fault(struct walk *w)
{
	const unsigned int unclear = w->unclear;
	int err = 0;

	w->error = 0;
	w->have_vma = false;
	for (uint64_t a = w->range->start; !err && !w->error && a < w->range->end;)
		err = fault_at(w, &a);
	if (w->unclear == unclear)
		w->unclear = 0;
	return err;
}
