/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Descriptors of a log that another process has sent. */
#ifndef LIB_PROVIDER_WATCH_FDS_H
#define LIB_PROVIDER_WATCH_FDS_H

#include "watchd/loader.h"

#define WATCH_FDS_NONE ((struct watch_fds){ -1, -1, -1, -1 })

/*
 * Are they what they should be: maps of BPF of the right kinds and sizes, the global one frozen,
 * and a Unix socket? Instead of each map a memfd will do that can never become shorter: it is as
 * safe to load from, and tests have no BPF. 0; -EPROTO; -EMFILE and the like: this cannot be told.
 */
int watch_fds_check(const struct watch_fds *fds, size_t log_bytes);

#endif
