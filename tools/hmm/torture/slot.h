/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * slot: a piece of address space whose mappings the hostile threads change. Each slot has a kind of
 * memory, a fixed address, and PAGES stamped pages, `stride` apart. The oracle knows which stamp of
 * each page is current.
 */
#ifndef TOOLS_HMM_TORTURE_SLOT_H
#define TOOLS_HMM_TORTURE_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <hmm/types.h>

#define PAGES 4
#define OBJECTS 3 /* so that a translation that is two mappings old still shows another object */

enum kind {
	KIND_ANON,
	KIND_THP,
	KIND_SHMEM,
	KIND_PRIVATE, /* a private mapping of a memfd */
	KIND_SYSV,
	KIND_FILE,
	KIND_BRK,
	KIND_STACK, /* grows down */
	KIND_WIDE,  /* anonymous, at the end of a mapping that takes long to discard */
	KIND_NR,
};

/* What a slot of shared memory or of a file maps, and the device's second mapping of it. */
struct object {
	int fd;    /* or -1 */
	int shmid; /* or -1 */
	uint64_t inode;
	char *alias;
};

/*
 * What is known of one page. A stamp is issued before the operation that brings it. Content with a
 * stamp below `done` or `effect` is certainly gone:
 *	done	the call that removed it has returned, so the caller of munmap may rely on it
 *	effect	a thread has seen the change take effect. The call may still wait until its event
 *		is read, but a validated use must refuse the content. Never below done
 */
struct page_oracle {
	_Atomic uint64_t current;
	_Atomic uint64_t done;
	_Atomic uint64_t effect;
};

struct slot {
	unsigned int id;
	enum kind kind;
	uint32_t vma; /* enum hmm_vma_kind, as the library sees it: a file may lie on tmpfs */
	/* used with hmm_range_check() and all checks only, so it gets changes without events */
	bool checked;
	uint64_t base;
	uint64_t len;
	uint64_t stride;
	uint64_t away; /* where operations move its mappings to */
	uint64_t lead; /* how many bytes slot_map_at() maps below the slot together with it */
	unsigned int object;
	struct object objects[OBJECTS];
	_Atomic uint64_t epoch;  /* odd while an operation is under way */
	_Atomic uint64_t issued; /* the newest stamp */
	/* odd while the mapping is read-only and the library was not told */
	_Atomic uint64_t denied;
	/* bits of slot_held_bit(): translations that users have taken since the last operation */
	_Atomic uint32_t held;
	/* names of operations by stamp, for the text of a finding */
	const char *_Atomic history[4];
	struct page_oracle page[PAGES];
};

const char *kind_name(enum kind kind);
enum hmm_vma_kind kind_vma(enum kind kind);
bool kind_shared(enum kind kind); /* its memory is an object with an alias */

int slot_create(struct slot *slot, unsigned int id, enum kind kind, bool checked);
void slot_destroy(struct slot *slot);

uint64_t slot_page(const struct slot *slot, unsigned int i);
/* An address below all slots and all other mappings of the program. */
uint64_t slot_lowest(void);

static inline uint32_t slot_held_bit(unsigned int user, unsigned int page)
{
	return 1U << (user * PAGES + page);
}

/*
 * Maps the slot anew. A shared object has the content of `stamp` from the first instant, other
 * memory is zero. @over: replaces what is mapped there; otherwise it is only mapped into a hole.
 * -EEXIST: another thread has mapped something first.
 */
int slot_map(struct slot *slot, bool over, bool raw, uint64_t stamp);
/* The same at another address. */
int slot_map_at(struct slot *slot, uint64_t addr, bool over, bool raw, uint64_t stamp);
/* Size of the slot's objects, which have a spare page behind the slot's. */
uint64_t slot_object_len(const struct slot *slot);

/* Reads the word at an address without a fault if nothing is mapped there. 0; -errno. */
int slot_peek(uint64_t addr, uint64_t *word);

/* raw: makes the system call itself instead of calling libc. */
int tort_munmap(bool raw, uint64_t addr, uint64_t len);
int64_t tort_mmap(bool raw, uint64_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off);
int64_t tort_mremap(bool raw, uint64_t old, uint64_t old_len, uint64_t len, int flags, uint64_t to);
int tort_madvise(bool raw, uint64_t addr, uint64_t len, int advice);

#endif
