/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Memory that comes and goes: each way in which a program gives the pages of a buffer back and has
 * other pages at the same address afterwards. What was registered before the change is stale after
 * it. And data that tells of which round it is.
 */
#ifndef VM_TESTS_RDMA_CHANGE_H
#define VM_TESTS_RDMA_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	char *addr;
	size_t len;
};

struct change {
	const char *name;
	/* Makes the buffer, of buffer->len bytes. */
	void (*make)(struct buffer *buffer);
	/* Puts other pages at the buffer's address; malloc may choose another address. */
	void (*remap)(struct buffer *buffer);
	void (*drop)(struct buffer *buffer);
};

/* Ends with one that has no name. */
extern const struct change changes[];

/* Whether the list, names with commas between them or "all", has this change. */
bool change_is_wanted(const struct change *change, const char *list);

/*
 * Rounds between two changes. Several, because a monitor may let a cache keep memory only after its
 * second use; an odd number, because even rounds send from the memory and odd ones receive into it.
 */
#define CHANGE_USES 5

/* A change where it is due. What comes next uses the memory at once. */
static inline bool change_is_due(unsigned round)
{
	return round && round % CHANGE_USES == 0;
}

/* Fills the buffer with the data of a round. */
void buffer_fill(const struct buffer *buffer, uint64_t round);
/* How many bytes are not those of this round. */
size_t buffer_differs(const struct buffer *buffer, uint64_t round);

/* Prints why and ends the program with status 1. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
