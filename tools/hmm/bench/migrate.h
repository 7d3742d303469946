/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Device memory, and the kernel's own calls beside it. */
#ifndef TOOLS_HMM_BENCH_MIGRATE_H
#define TOOLS_HMM_BENCH_MIGRATE_H

#include "bench.h"

/* Memory that moves, and where to: by the library, or bare. */
struct moves {
	struct hmm_mm *mm;
	struct hmm_devmem *devmem;
	char *ours;
	char *theirs;
	char *frames; /* of the bare side */
	size_t bytes;
	int uffd;
};

/* migrate_raw.c. bytes: a multiple of 2 MiB. 0; -ENODATA: no huge pages; or -errno. */
int moves_open(struct moves *m, size_t bytes, bool huge);
void moves_close(struct moves *m);
/* Moves by UFFDIO_MOVE, at most 2 MiB a call. False: it failed. */
bool raw_move(int uffd, char *to, const char *from, size_t bytes);
/* Copies by UFFDIO_COPY, and discards the pages again. */
bool raw_copy(int uffd, char *to, const char *from, size_t bytes);
/* A thread that answers each touch with the page of `frames`, until *stop. */
struct raw_answerer {
	const struct moves *moves;
	volatile bool stop;
};
void *raw_answer(void *answerer);
/* migrate_copies.c: a row. 0 or -errno. huge: of huge pages. */
int bench_migrate_copies(struct bench *b, const char *name, bool huge, uint32_t flags);
/* migrate_around.c: a row each. 0 or -errno. */
int bench_migrate_stream(struct bench *b);
int bench_migrate_memory(struct bench *b);

#endif
