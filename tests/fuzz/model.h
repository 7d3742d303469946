/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * model: what must be mapped, readable and writable in a piece of address space, page by page,
 * beside the real thing. Every change is made to both.
 */
#ifndef TESTS_FUZZ_MODEL_H
#define TESTS_FUZZ_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#define MODEL_PAGES 64
#define PAGE 4096UL

struct model_page {
	bool mapped;
	bool shared;      /* a page of the memfd, else anonymous */
	int prot;         /* PROT_* */
	uint64_t content; /* its first word */
	uint64_t
		/* Changes whenever a translation of the page must not be found valid any more. */
		version;
};

struct model {
	uint64_t base;
	int fd;
	bool exact; /* what takes permission away is told, too */
	uint64_t clock;
	uint64_t in_file[MODEL_PAGES];
	struct model_page page[MODEL_PAGES];
};

int model_init(struct model *m);
void model_fini(struct model *m);
uint64_t model_addr(const struct model *m, unsigned int i);

/* Pages [lo, hi). 0 or -errno of the system call, which the model does not expect to fail. */
int model_map(struct model *m, unsigned int lo, unsigned int hi, bool shared, int prot);
int model_unmap(struct model *m, unsigned int lo, unsigned int hi);
int model_protect(struct model *m, unsigned int lo, unsigned int hi, int prot);
int model_discard(struct model *m, unsigned int lo, unsigned int hi);
int model_move(struct model *m, unsigned int from, unsigned int to);
void model_store(struct model *m, unsigned int i, uint64_t word);

/* Is memory what the model says? The first page that is not; MODEL_PAGES if all are. */
unsigned int model_check(const struct model *m);

#endif
