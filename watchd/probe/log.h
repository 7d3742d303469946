/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* A simple reader of a watched space's log, for programs that look at it from one thread. */
#ifndef WATCHD_PROBE_LOG_H
#define WATCHD_PROBE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/abi/watch.h"
#include "watchd/loader.h"

struct probe_log {
	struct watch_fds fds;
	size_t bytes;
	volatile uint64_t *consumed; /* the consumer's page */
	const volatile uint64_t *produced;
	const char *data;
	const volatile struct watch_space *space;
	const volatile struct watch_global *global;
	uint32_t slot;
};

/* Opens the calling process's own space. flags: WATCH_OPEN_*. 0 or -errno. */
int probe_log_open(struct watch_loader *loader, size_t bytes, unsigned int flags,
		   struct probe_log *log);
/* Maps what the descriptors are. */
int probe_log_map(struct probe_log *log, size_t bytes);
/* The next record; false: there is none, or it is not complete. */
bool probe_log_next(struct probe_log *log, struct watch_record *record);
/* Whether nothing was told since all was read, by loads alone. */
bool probe_log_quiet(const struct probe_log *log);

const char *probe_kind(unsigned int kind);

#endif
