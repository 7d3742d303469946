/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* uring-copy: a file copied through io_uring, block by block, with several blocks on their way. */
#ifndef URING_COPY_H
#define URING_COPY_H

#include <stdbool.h>
#include <stdint.h>
#include "cache.h"

enum copy_mode {
	MODE_CACHE,    /* fixed buffers from the cache */
	MODE_REGISTER, /* registered for each block, and unregistered */
	MODE_PLAIN,    /* no fixed buffers */
};

struct copy {
	enum copy_mode mode;
	bool fresh;         /* each block gets a mapping of its own, as malloc gives large blocks */
	uint64_t block;     /* bytes */
	unsigned int depth; /* blocks on their way */
	int from;
	int to; /* -1: read only */
	uint64_t size;
	/* out */
	uint64_t bytes;
	double seconds;
	uint64_t fixed; /* operations with a fixed buffer */
	uint64_t plain;
	struct uring_cache_stats cache;
};

/* 0 or -errno. */
int copy_run(struct copy *copy);

/* Figures beside their baselines, as a table or a JSON array. Returns an exit status. */
int measure(bool json);

double now_seconds(void);

#endif
