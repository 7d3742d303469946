/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef DEVICES_SEALED_INTERNAL_H
#define DEVICES_SEALED_INTERNAL_H

#include <hmm/devmem.h>
#include <hmm/mm.h>
#include <hmm/notifier.h>
#include <hmm/range.h>
#include <hmm/sealed.h>
#include <pthread.h>
#include "link.h"

/* One look at a range: a large page, or what there is of it. */
#define LOOK_BYTES (2ULL << 20)
#define LOOK_PAGES (LOOK_BYTES >> HMM_PAGE_SHIFT)

struct hmm_sealed {
	struct hmm_mm *mm;
	struct hmm_devmem *devmem;
	uint64_t bytes;
	uint64_t base; /* where the region begins in this process */
	enum hmm_sealed_policy policy;
	pid_t program;
	_Atomic bool ends; /* everything may come home */
	/*
	 * Of marks that are set: a look that is still true under it is of the pages whose marks are
	 * set. Another page that comes there is copied in afterwards, which takes its mark away.
	 */
	pthread_mutex_t marks_lock;
	_Atomic uint8_t *allowed; /* for each HMM_PAGE_SIZE of the region: may it come home? */
	struct link link;
};

/* Where pages of a range are. */
struct walker {
	struct hmm_sealed *sealed;
	struct hmm_range range;
	uint64_t timeout_ns;
	uint64_t deadline; /* UINT64_MAX: none */
	uint64_t pfns[LOOK_PAGES];
};

/* sealed.c: says that the holder has ended, if it has. Returns err. */
int sealed_answer(struct hmm_sealed *s, int err);

/* walk.c. 0 or -errno. *w is the caller's until walker_close(). */
int walker_open(struct hmm_sealed *s, uint64_t start, uint64_t end, uint64_t timeout_ns,
		struct walker **w);
void walker_close(struct walker *w);
/* Where the block of `at` ends, or the range. */
uint64_t walker_block(uint64_t at, uint64_t end);
/* Looks at [start, end), at most a block. */
int walker_look(struct walker *w, uint64_t start, uint64_t end);
/* It has come further. */
void walker_progress(struct walker *w);
/* May not one more look be taken? */
bool walker_is_late(const struct walker *w);
/* Is what was seen still true? With link.lock held it stays true for the holder. */
bool walker_holds(const struct walker *w);
/* The offset of an address that was looked at in the holder's memory. False: it is not there. */
bool walker_offset(const struct walker *w, uint64_t at, uint64_t *offset);

/* A thread that is cancelled while it has a lock would keep it. */
static inline int cancel_off(void)
{
	int old;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	return old;
}

static inline void cancel_back(int old)
{
	pthread_setcancelstate(old, NULL);
}

#endif
