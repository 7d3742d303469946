/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * UCX's registration cache (ucs_rcache) as a peer. The cache is the same in both; the monitor is
 * what the process was started with.
 */
#ifndef TOOLS_STALE_DEMO_UCX_CACHE_H
#define TOOLS_STALE_DEMO_UCX_CACHE_H

#include "peer.h"

/* UCX's own: it patches libc. The process must have neither libhmm-ucx.so nor a hook mode. */
extern const struct peer ucx_hooks;
/* libhmm's: the process was started with LD_PRELOAD=libhmm-ucx.so, which keeps UCX from hooking. */
extern const struct peer ucx_libhmm;

#endif
