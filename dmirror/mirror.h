/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The device's view of the program: a notifier over the whole space and a page table. The device
 * reaches memory through the entries of that table alone.
 */
#ifndef DMIRROR_MIRROR_H
#define DMIRROR_MIRROR_H

#include "abi.h"
#include "device.h"

#include <hmm/hmm.h>

#include <stdatomic.h>

/* How long a walk may come no further. */
#define FAULT_NS 1000000000ULL
/* Pages of the program that a walk asks for at a time. */
#define BLOCK_PAGES 512

struct exclusive;

struct mirror {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *notifier;
	struct hmm_ptable *table;
	struct device *device;
	uint64_t page_size; /* the machine's */
	_Atomic uint64_t flags;
	pthread_mutex_t lock; /* guards exclusives */
	struct exclusive *exclusives;
};

int mirror_init(struct mirror *m, struct hmm_mm *mm, struct device *device);
void mirror_fini(struct mirror *m);
/* Carries out a command whose range is sound. 0 or -errno. */
int mirror_command(struct mirror *m, unsigned long request, struct dmirror_command *cmd);

/* access.c: what the device reads and writes */

struct access {
	struct mirror *m;
	struct hmm_engine *engine;
	uint64_t start, end;
	uint64_t at; /* everything below was copied */
	char *bounce;
	uint64_t *pfns; /* BLOCK_PAGES words */
	int prot;
	uint64_t timeout;
	uint64_t faults;
	unsigned int vanished;
};

int access_init(struct access *a, struct mirror *m, uint64_t start, uint64_t end, int prot);
void access_fini(struct access *a);
/* Copies up to @end what the page table has. -ENOENT: the page at a->at is missing in it. */
int access_copy(struct access *a, uint64_t end);
/* Copies everything, faulting in what is missing. */
int access_run(struct access *a);
uint64_t access_pages(const struct access *a);
/* Hands what was read to the program. */
int access_give(const struct access *a, uint64_t ptr);
/* In a section: copies one page by an entry. -ENOENT: the entry does not permit that. */
int access_page(const struct access *a, uint64_t addr, uint64_t entry);

/* fault.c */

/* Faults in [start, end) and installs it. Copies at once what may be used only once. */
int fault_range(struct access *a, uint64_t start, uint64_t end);
/* Installs those pages of the whole range that are in the device's memory. */
int fault_device_pages(struct access *a);

/* migrate.c */

int command_to_device(struct mirror *m, struct dmirror_command *cmd);
int command_to_system(struct mirror *m, struct dmirror_command *cmd);

/* exclusive.c */

int exclusive_take(struct mirror *m, struct dmirror_command *cmd);
/* -EPERM: the device has a page of the range exclusively. */
int exclusive_check(struct mirror *m, const struct dmirror_command *cmd);
void exclusive_fini(struct mirror *m);

/* snapshot.c */

int snapshot(struct mirror *m, struct dmirror_command *cmd);

/* zero.c */

/* Writes for each page of [start, end) whether it is the kernel's shared zero page. */
int zero_pages(const struct mirror *m, uint64_t start, uint64_t end, bool *zero);

#endif
