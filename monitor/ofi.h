/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Entries of libhmm-ofi.so for the project's own tests; programs need none. */
#ifndef MONITOR_OFI_H
#define MONITOR_OFI_H

struct fid;

/*
 * Imports the monitor into a libfabric that is linked statically, whose fi_getinfo() cannot be
 * interposed: cache is what fi_open(3) gave for "mr_cache". To be found with dlsym(3). 0; a
 * negative fi_errno.
 */
__attribute__((visibility("default"))) int libhmm_ofi_import(struct fid *cache);

#endif
