/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The process's side of hmm-watchd (watchd/protocol.h). */
#ifndef LIB_PROVIDER_WATCHD_H
#define LIB_PROVIDER_WATCHD_H

#include "watchd/loader.h"

#include <stdbool.h>

/* The longest that watchd_connect() takes. */
#define WATCHD_WAIT_NS 1000000000ULL

/* Where hmm-watchd listens: HMM_WATCHD of the environment, unless the program is setuid. */
const char *watchd_path(void);

/* May somebody listen there, whom this process may ask? Does not change errno. */
bool watchd_listens(const char *path);

/*
 * Asks hmm-watchd to watch the calling process's address space. *log_bytes: how large the log
 * should be, a power of two, or 0; then how large it is. flags: of struct watchd_hello. All that
 * hmm-watchd sends is doubted: wrong descriptors are closed.
 *
 * On success *conn is the connection, which the caller holds while it wants to be watched, and
 * `sites` a table that is valid for ever. All five descriptors are close-on-exec. The caller is
 * between opening_begin() and opening_end(), and takes them with ownfd_take() there; maps of BPF
 * have no inode of their own. On failure nothing is open.
 *
 * Uses no heap, raises no signal, and does not change errno. Takes at most WATCHD_WAIT_NS. The
 * caller has held off cancellation.
 *
 * -ENOENT, -ECONNREFUSED, -EACCES: nobody listens there, or this user may not ask; -ENAMETOOLONG;
 * -ETIME: no answer in time; -ECONNRESET: the connection ended before the answer came; -EPROTO: an
 * answer that makes no sense, or descriptors that are not what they should be; -EPROTONOSUPPORT:
 * hmm-watchd is too old or too new; -EDQUOT, -ENOSPC: as many spaces are watched as may be, of this
 * user or of all; -EMFILE, -ENFILE: no descriptors are left; -ENOMEM; other errors of struct
 * watchd_reply, socket(2) or connect(2).
 */
int watchd_connect(const char *path, uint32_t flags, size_t *log_bytes, struct watch_fds *fds,
		   int *conn, const struct watch_site **sites, size_t *n);

/*
 * Has the connection ended: has hmm-watchd died, or ended the watch? The log stays right either
 * way: in the first case the programs stay attached, in the second `ended` is set before. One
 * system call. A poll() of several descriptors sees POLLHUP.
 */
bool watchd_gone(int conn);

#endif
