/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The table of sites, as hmm-watchd has sent it. */
#ifndef LIB_PROVIDER_WATCH_SITES_H
#define LIB_PROVIDER_WATCH_SITES_H

#include "watchd/loader.h"
#include "watchd/protocol.h"

/*
 * Reads the table in a message of `size` bytes. The result is valid for ever; the same table is
 * kept once. -EPROTO: it makes no sense, or is yet another one after many; -ENOMEM. Takes no lock.
 */
int watch_sites_read(const struct watchd_reply *reply, size_t size, const struct watch_site **sites,
		     size_t *n);

#endif
