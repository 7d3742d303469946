/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef KIND_H
#define KIND_H

/* What a file is by its path, relative to the root of a kernel tree. */

enum blob_kind {
	BLOB_SKIP,   /* not to be read at all */
	BLOB_C,      /* translation unit, or a .c that others include */
	BLOB_HEADER, /* .h and other included text */
	BLOB_ASM,    /* .S and linker scripts */
	BLOB_RUST,
	BLOB_MAKE,    /* Makefile, Kbuild and included fragments: kept as text */
	BLOB_KCONFIG, /* kept as text */
};

/* Which kind a path (relative to the root of a kernel tree) is; BLOB_SKIP: do not read it. */
enum blob_kind blob_kind(const char *path);

#endif
