/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Stamps of a file: a file whose stamp differs has changed. */
#ifndef LIB_KERNEL_STAMP_H
#define LIB_KERNEL_STAMP_H

#include <stdbool.h>
#include <stdint.h>

struct file_stamp {
	uint64_t size;
	uint64_t blocks;
	int64_t ctime_s;
	uint32_t ctime_ns;
	/* how many bytes have blocks that other files share; 0 where file_stamp() does not look */
	uint64_t shared;
	uint64_t dev; /* which file it is the stamp of */
	uint64_t ino;
	/*
	 * The stamp was taken in the same clock tick as the change, so a second change could have
	 * the same time.
	 */
	bool racy;
};

/* 0; -errno */
int stamp_take(int fd, struct file_stamp *stamp);
bool stamp_differs(const struct file_stamp *a, const struct file_stamp *b, bool blocks);
/* Does the change time of this filesystem come from this kernel's clock? */
bool stamp_is_local(int fd);

#endif
