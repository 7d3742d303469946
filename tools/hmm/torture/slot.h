/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * slot: a piece of address space that is torn apart. Each has a kind of memory, a fixed address,
 * and PAGES stamped pages, `stride` apart. Mappings come and go; the oracle knows which stamp is
 * current.
 */
#ifndef TOOLS_HMM_TORTURE_SLOT_H
#define TOOLS_HMM_TORTURE_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <hmm/types.h>

#define PAGES 4
#define OBJECTS 3 /* a translation that is two mappings old still shows another object */

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
 * What is known of one page. A stamp is issued before the operation that brings it; `done` and
 * `effect` say below which stamp a page is certainly gone:
 * done: the call that removed it has returned (what the caller of munmap may rely on)
 * effect: somebody has seen the change take effect, though the call may still be blocked in the
 *event (what a validated use must refuse for everyone else); never below done
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
	bool checked; /* used with hmm_range_check() and all checks only: gets changes without
			 events */
	uint64_t base;
	uint64_t len;
	uint64_t stride;
	uint64_t away; /* where mappings are moved to */
	uint64_t lead; /* bytes that slot_map_at() maps along below */
	unsigned int object;
	struct object objects[OBJECTS];
	_Atomic uint64_t epoch;  /* odd while an operation is under way */
	_Atomic uint64_t issued; /* the newest stamp */
	_Atomic uint64_t
		denied; /* odd while the mapping is read-only and nobody told the library */
	_Atomic uint32_t
		held; /* slot_held_bit(): translations that users took, until an operation */
	const char *_Atomic history[4]; /* operations by stamp, for the text of a finding */
	struct page_oracle page[PAGES];
};

const char *kind_name(enum kind kind);
enum hmm_vma_kind kind_vma(enum kind kind);
bool kind_shared(enum kind kind); /* memory is an object with an alias */

int slot_create(struct slot *slot, unsigned int id, enum kind kind, bool checked);
void slot_destroy(struct slot *slot);

uint64_t slot_page(const struct slot *slot, unsigned int i);
/* Below all slots, and below whatever else the program maps: nothing is ever there. */
uint64_t slot_lowest(void);

static inline uint32_t slot_held_bit(unsigned int user, unsigned int page)
{
	return 1U << (user * PAGES + page);
}

/*
 * Map the slot afresh, with the content that stamp stands for where it can be there from the first
 * instant (shared objects), else zero. @over: over what is there, else only into a hole. -EEXIST:
 * somebody was first.
 */
int slot_map(struct slot *slot, bool over, bool raw, uint64_t stamp);
/* The same at another address. */
int slot_map_at(struct slot *slot, uint64_t addr, bool over, bool raw, uint64_t stamp);
/* Objects have a spare page behind the slot's. */
uint64_t slot_object_len(const struct slot *slot);

/* The stamp that an address shows now, by a read that cannot crash: 0; -errno. */
int slot_peek(uint64_t addr, uint64_t *word);

/* libc or the system call itself */
int tort_munmap(bool raw, uint64_t addr, uint64_t len);
int64_t tort_mmap(bool raw, uint64_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off);
int64_t tort_mremap(bool raw, uint64_t old, uint64_t old_len, uint64_t len, int flags, uint64_t to);
int tort_madvise(bool raw, uint64_t addr, uint64_t len, int advice);

#endif
