/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Stamps of a file: what tells that it has changed. */
#ifndef LIB_KERNEL_STAMP_H
#define LIB_KERNEL_STAMP_H

#include <stdbool.h>
#include <stdint.h>

struct file_stamp {
	uint64_t size;
	uint64_t blocks;
	int64_t ctime_s;
	uint32_t ctime_ns;
	uint64_t shared; /* bytes whose blocks other files share, where that is looked at */
	uint64_t dev;    /* whose it is */
	uint64_t ino;
	/* Taken in the clock tick of the change: a second change could bear the same time. */
	bool racy;
};

/* 0; -errno */
int stamp_take(int fd, struct file_stamp *stamp);
bool stamp_differs(const struct file_stamp *a, const struct file_stamp *b, bool blocks);
/* Does the change time of this filesystem come from this kernel's clock? */
bool stamp_is_local(int fd);

#endif
