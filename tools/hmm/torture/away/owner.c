// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What an owner does with its memory while others migrate it. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "away.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE_SIZE (2ULL << 20)
#define FORK_ONE_OF 24

const char *const owner_op_names[OWNER_NR] = {
#define X(id, name) [OWNER_##id] = name,
	OWNER_OPS(X)
#undef X
};

static void failed(const struct area *a, const char *what, const struct part *p)
{
	finding(FINDING_ERROR, "area %u pages %u to %u: %s: %s", a->id, p->lo, p->hi, what,
		strerror(errno));
}

static void unmap(struct area *a, const struct part *p)
{
	void *at = (void *)part_start(a, p);

	if (munmap(at, part_bytes(p)) ||
	    mmap(at, part_bytes(p), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at) {
		failed(a, "munmap and mmap", p);
		return;
	}
	madvise(at, part_bytes(p), a->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	area_forget(a, p);
	area_check(a, p, part_start(a, p), "munmap and mmap");
}

static bool move_to(uint64_t from, uint64_t to, uint64_t bytes, int flags)
{
	flags |= MREMAP_MAYMOVE | MREMAP_FIXED;
	return mremap((void *)from, bytes, bytes, flags, to) != MAP_FAILED;
}

/* What of the part lies in its first mapping. Only the owner ends or divides mappings. */
static struct part in_one_mapping(const struct area *a, const struct part *p)
{
	struct hmm_vma vma;
	struct part first = *p;

	if (hmm_vma_find(a->away->mm, part_start(a, p), &vma))
		first.hi = first.lo + 1;
	else if (vma.end < part_start(a, p) + part_bytes(p))
		first.hi = (unsigned int)((vma.end - a->base) / HMM_PAGE_SIZE);
	return first;
}

static void remap(struct area *a, const struct part *part)
{
	const uint64_t away = a->other + part->lo * HMM_PAGE_SIZE;
	const struct part first = in_one_mapping(a, part);
	const struct part *p = &first;

	if (!move_to(part_start(a, p), away, part_bytes(p), 0)) {
		failed(a, "mremap away", p);
		return;
	}
	area_check(a, p, away, "mremap away");
	if (!move_to(away, part_start(a, p), part_bytes(p), 0))
		failed(a, "mremap back", p);
	else
		area_check(a, p, part_start(a, p), "mremap back");
}

/* What stays behind is empty. */
static void dontunmap(struct area *a, const struct part *part)
{
	const uint64_t away = a->other + part->lo * HMM_PAGE_SIZE;
	const struct part first = in_one_mapping(a, part);
	const struct part *p = &first;

	if (!move_to(part_start(a, p), away, part_bytes(p), MREMAP_DONTUNMAP)) {
		failed(a, "mremap dontunmap", p);
		return;
	}
	for (unsigned int i = p->lo; i < p->hi; i += 1 + (p->hi - p->lo) / 8) {
		const uint64_t page = a->base + i * HMM_PAGE_SIZE;

		if (*word_at(page, WORD_COUNT) || *word_at(page, WORD_MARK_END))
			finding(FINDING_WRONG,
				"area %u page %u is not empty after mremap dontunmap", a->id, i);
	}
	area_check(a, p, away, "mremap dontunmap");
	if (!move_to(away, part_start(a, p), part_bytes(p), 0))
		failed(a, "mremap back onto what was left", p);
	else
		area_check(a, p, part_start(a, p), "mremap back onto what was left");
}

static void protect(struct area *a, const struct part *p)
{
	void *at = (void *)part_start(a, p);

	if (mprotect(at, part_bytes(p), PROT_READ)) {
		failed(a, "mprotect", p);
		return;
	}
	area_check(a, p, part_start(a, p), "mprotect");
	if (mprotect(at, part_bytes(p), PROT_READ | PROT_WRITE))
		failed(a, "mprotect", p);
}

static void discard(struct area *a, const struct part *p)
{
	if (madvise((void *)part_start(a, p), part_bytes(p), MADV_DONTNEED)) {
		failed(a, "MADV_DONTNEED", p);
		return;
	}
	area_forget(a, p);
	area_check(a, p, part_start(a, p), "MADV_DONTNEED");
}

/* A page is what it was, or zero; until it is written it may become so. */
static void lazily_free(struct area *a, const struct part *p)
{
	if (madvise((void *)part_start(a, p), part_bytes(p), MADV_FREE)) {
		failed(a, "MADV_FREE", p);
		return;
	}
	for (unsigned int i = p->lo; i < p->hi; i++) {
		const struct part one = { i, i + 1 };

		if (!*word_at(a->base + i * HMM_PAGE_SIZE, WORD_COUNT))
			area_forget(a, &one);
	}
	area_write(a, p);
	area_check(a, p, part_start(a, p), "MADV_FREE");
}

static void collapse(struct area *a, const struct part *p)
{
	const uint64_t at = part_start(a, p) & ~(HUGE_SIZE - 1);

	if (madvise((void *)at, HUGE_SIZE, MADV_COLLAPSE))
		tally(&a->away->unsupported[OWNER_COLLAPSE], 1);
	area_check(a, p, part_start(a, p), "MADV_COLLAPSE");
}

/* The kernel touches the page on behalf of a system call. */
static void call(struct area *a, const struct part *p)
{
	const uint64_t page = part_start(a, p);
	uint64_t out[2] = { 0, 0 };
	int fds[2];
	ssize_t n;

	if (pipe(fds)) {
		failed(a, "pipe", p);
		return;
	}
	n = write(fds[1], (void *)page, sizeof(out));
	if (n < 0 && errno == EFAULT && a->away->user_mode_only)
		tally(&a->away->unsupported[OWNER_CALL], 1);
	else if (n != sizeof(out) || read(fds[0], out, sizeof(out)) != sizeof(out))
		failed(a, "write", p);
	else if (out[0] != a->count[p->lo])
		finding(FINDING_WRONG, "area %u page %u: a system call read %#llx instead of %#llx",
			a->id, p->lo, (unsigned long long)out[0],
			(unsigned long long)a->count[p->lo]);
	close(fds[0]);
	close(fds[1]);
}

static void read_part(struct area *a, const struct part *p)
{
	area_check(a, p, part_start(a, p), "nothing of its own");
}

static void whole(struct area *a, const struct part *p)
{
	(void)p;
	owner_huge(a);
}

static void fork_libc(struct area *a, const struct part *p)
{
	(void)p;
	owner_fork(a, false);
}

static void fork_raw(struct area *a, const struct part *p)
{
	(void)p;
	if (a->away->event_fork)
		owner_fork(a, true);
	else
		tally(&a->away->unsupported[OWNER_CLONE], 1);
}

static void write_part(struct area *a, const struct part *p)
{
	area_write(a, p);
}

static void read_only(struct area *a, const struct part *p);

static void (*const ops[OWNER_NR])(struct area *a, const struct part *p) = {
	[OWNER_WRITE] = write_part,    [OWNER_READ] = read_part,  [OWNER_UNMAP] = unmap,
	[OWNER_MREMAP] = remap,        [OWNER_PROTECT] = protect, [OWNER_DONTNEED] = discard,
	[OWNER_DONTUNMAP] = dontunmap, [OWNER_CALL] = call,       [OWNER_COLLAPSE] = collapse,
	[OWNER_FREE] = lazily_free,    [OWNER_FORK] = fork_libc,  [OWNER_CLONE] = fork_raw,
	[OWNER_READONLY] = read_only,  [OWNER_HUGE] = whole,
};

/* What can be done to memory that may not be written. */
static const enum owner_op reads[] = { OWNER_READ,     OWNER_READ,      OWNER_UNMAP, OWNER_MREMAP,
				       OWNER_DONTNEED, OWNER_DONTUNMAP, OWNER_CALL };

/* Others migrate it as well. Then it may be written again, wherever its pages are. */
static void read_only(struct area *a, const struct part *p)
{
	const enum owner_op op = reads[rng_below(&a->rng, sizeof(reads) / sizeof(reads[0]))];
	const int prot = rng_below(&a->rng, 4) ? PROT_READ : PROT_READ | PROT_EXEC;
	void *at = (void *)part_start(a, p);

	if (mprotect(at, part_bytes(p), prot)) {
		failed(a, "mprotect", p);
		return;
	}
	move_out(a->away, a->away->region[rng_below(&a->rng, REGIONS)], part_start(a, p),
		 part_start(a, p) + part_bytes(p));
	ops[op](a, p);
	if (mprotect(at, part_bytes(p), PROT_READ | PROT_WRITE))
		failed(a, "mprotect", p);
	else
		area_check(a, p, part_start(a, p), "migration of read-only memory");
}

static enum owner_op choose(struct rng *rng)
{
	const unsigned int i = rng_below(rng, 3 * OWNER_FORK);

	/* Forks bring all home, so they are rare. */
	if (!rng_below(rng, FORK_ONE_OF))
		return OWNER_FORK + rng_below(rng, 2);
	return i < OWNER_FORK ? i : i & 1 ? OWNER_WRITE : OWNER_READ;
}

void owner_work(struct worker *w)
{
	struct area *a = w->area;
	const enum owner_op op = choose(&a->rng);
	struct part part;

	area_choose(a, &a->rng, &part);
	atomic_store(&w->beat.doing, owner_op_names[op]);
	ops[op](a, &part);
	tally(&w->away->ops[op], 1);
}
