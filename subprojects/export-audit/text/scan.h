/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef SCAN_H
#define SCAN_H

/* From the bytes of one file to its facts. */

#include "text/blob.h"
#include "text/kind.h"

struct blob_scanner; /* scratch memory, reused from file to file; one a thread */

int blob_scanner_new(struct blob_scanner **out);
void blob_scanner_free(struct blob_scanner *s);

/*
 * Scans one file. Never fails on content, only with -ENOMEM, -EFBIG (over 256 MiB) or
 * -EINVAL (BLOB_SKIP). *out is the caller's, to be freed with free().
 */
int blob_scan(struct blob_scanner *s, enum blob_kind kind, const void *data, size_t len,
	      struct blob **out);

#endif
