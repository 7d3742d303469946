/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What getdents64 writes, to list a folder without the heap. */
#ifndef LIB_BASE_DIRENT_H
#define LIB_BASE_DIRENT_H

#include <stdint.h>

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

/* The number that the name begins with; 0 if it begins with none. */
static inline int dirent_number(const struct linux_dirent64 *d)
{
	int n = 0;

	for (const char *p = d->d_name; *p >= '0' && *p <= '9'; p++)
		n = 10 * n + (*p - '0');
	return n;
}

#endif
