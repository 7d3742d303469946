/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * libhmm-watch.so, by which a process that may loads the kernel's programs itself. libhmm does not
 * depend on what loads them.
 */
#ifndef LIB_MM_PLUG_IN_H
#define LIB_MM_PLUG_IN_H

#include "watchd/loader.h"

/* Has the process what loading takes: CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN? */
bool plug_in_may_load(void);
/*
 * Loads, and watches the calling process. flags: WATCH_LOAD_*. 0; -ELIBACC: libhmm-watch.so is not
 * installed, or lacks a library; -errno of watch_open_self(). The plug-in stays loaded, so `sites`
 * is valid for ever.
 */
int plug_in_open(unsigned int flags, size_t log_bytes, struct watch_fds *fds,
		 const struct watch_site **sites, size_t *n);

#endif
