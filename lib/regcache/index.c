// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The index: entries that do not overlap, in the order of their addresses. Starts and entries are
 * in arrays of their own, so that a search through 10,000 of them touches 80 KiB.
 */
#include "regcache/cache.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>

#define FIRST_CAPACITY 500

struct side {
	size_t capacity; /* C */
	size_t size;     /* C: bytes of the mapping */
	_Atomic size_t n;
	struct side *retired;
	struct entry *_Atomic *entry; /* C: behind the starts */
	_Atomic uint64_t start[];
};

static struct side *side_new(size_t capacity)
{
	const size_t size =
		sizeof(struct side) + capacity * (sizeof(uint64_t) + sizeof(struct entry *));
	struct side *s = pool_map((size + 4095) & ~(size_t)4095);

	if (!s)
		return NULL;
	s->capacity = capacity;
	s->size = (size + 4095) & ~(size_t)4095;
	s->entry = (struct entry * _Atomic *)(s->start + capacity);
	return s;
}

int index_init(struct index *ix)
{
	for (int i = 0; i < 2; i++) {
		struct side *s = side_new(FIRST_CAPACITY);

		if (!s)
			return -ENOMEM;
		atomic_store(&ix->side[i], s);
	}
	return 0;
}

void index_fini(struct index *ix)
{
	struct side *next;

	for (int i = 0; i < 2; i++) {
		struct side *s = atomic_load(&ix->side[i]);

		if (s)
			pool_unmap(s, s->size);
	}
	for (struct side *s = ix->retired; s; s = next) {
		next = s->retired;
		pool_unmap(s, s->size);
	}
}

/* How many entries begin at or before the address. */
static size_t search(const struct side *s, uint64_t addr)
{
	const _Atomic uint64_t *base = s->start;
	size_t n = atomic_load_explicit(&s->n, memory_order_acquire);

	if (!n)
		return 0;
	while (n > 1) {
		const size_t half = n / 2;

		base += atomic_load_explicit(&base[half], memory_order_acquire) <= addr ? half : 0;
		n -= half;
	}
	return (size_t)(base - s->start) +
	       (atomic_load_explicit(base, memory_order_acquire) <= addr);
}

struct entry *index_find(const struct index *ix, uint64_t addr)
{
	for (;;) {
		const uint64_t version = atomic_load(&ix->version);
		const struct side *s = atomic_load(&ix->side[version & 1]);
		const size_t n = search(s, addr);
		struct entry *e =
			n ? atomic_load_explicit(&s->entry[n - 1], memory_order_acquire) : NULL;

		if (__builtin_expect(atomic_load(&ix->version) == version, 1))
			return e;
	}
}

/* ---- for threads that have the lock ---------------------------------------------------------- */

static struct side *read_side(const struct index *ix)
{
	return atomic_load(&ix->side[atomic_load(&ix->version) & 1]);
}

static struct side *write_side(const struct index *ix)
{
	return atomic_load(&ix->side[~atomic_load(&ix->version) & 1]);
}

size_t index_count(const struct index *ix)
{
	return atomic_load(&read_side(ix)->n);
}

struct entry *index_at(const struct index *ix, size_t i)
{
	return atomic_load_explicit(&read_side(ix)->entry[i], memory_order_relaxed);
}

size_t index_place(const struct index *ix, uint64_t addr)
{
	const size_t n = search(read_side(ix), addr);

	return n && entry_end(index_at(ix, n - 1)) > addr ? n - 1 : n;
}

/* With release, so that a reader who sees what is written sees the version before it. */
static void put(struct side *s, size_t i, struct entry *e)
{
	atomic_store_explicit(&s->start[i], e->r.start, memory_order_release);
	atomic_store_explicit(&s->entry[i], e, memory_order_release);
}

static void copy(struct side *to, size_t at, const struct side *from, size_t i, size_t j)
{
	for (; i < j; i++, at++) {
		atomic_store_explicit(&to->start[at],
				      atomic_load_explicit(&from->start[i], memory_order_relaxed),
				      memory_order_release);
		atomic_store_explicit(&to->entry[at],
				      atomic_load_explicit(&from->entry[i], memory_order_relaxed),
				      memory_order_release);
	}
}

/*
 * Both sides get twice the room. The one that is read keeps its content: a reader who is still in
 * the smaller one, which nobody writes any more, finds there what this version is.
 */
static int grow(struct index *ix)
{
	struct side *from = read_side(ix);
	const size_t n = atomic_load(&from->n);

	for (int i = 0; i < 2; i++) {
		struct side *larger = side_new(2 * from->capacity);
		struct side *old = atomic_load(&ix->side[i]);

		if (!larger)
			return -ENOMEM;
		copy(larger, 0, from, 0, n);
		atomic_store(&larger->n, n);
		old->retired = ix->retired;
		ix->retired = old;
		atomic_store(&ix->side[i], larger);
	}
	ix->same = n;
	return 0;
}

int index_splice(struct index *ix, size_t i, size_t j, struct entry *add)
{
	const size_t n = index_count(ix);
	const size_t left = n - (j - i) + (add ? 1 : 0);
	const struct side *from;
	struct side *to;
	size_t same;

	if (left > atomic_load(&ix->side[0])->capacity ||
	    left > atomic_load(&ix->side[1])->capacity) {
		int err = grow(ix);

		if (err)
			return err;
	}
	from = read_side(ix);
	to = write_side(ix);
	same = min64(ix->same, i);
	copy(to, same, from, same, i);
	if (add)
		put(to, i, add);
	copy(to, i + (add ? 1 : 0), from, j, n);
	atomic_store_explicit(&to->n, left, memory_order_release);
	ix->same = i;
	atomic_fetch_add(&ix->version, 1);
	return 0;
}

void index_sweep(struct index *ix)
{
	const struct side *from = read_side(ix);
	const size_t n = atomic_load(&from->n);
	struct side *to = write_side(ix);
	size_t left = 0;

	for (size_t i = 0; i < n; i++) {
		struct entry *e = index_at(ix, i);

		if (e->indexed)
			put(to, left++, e);
	}
	atomic_store_explicit(&to->n, left, memory_order_release);
	ix->same = 0;
	atomic_fetch_add(&ix->version, 1);
}
