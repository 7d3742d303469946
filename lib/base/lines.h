/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Lines of a file under /proc, read without stdio and without the heap. */
#ifndef LIB_BASE_LINES_H
#define LIB_BASE_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct lines {
	int fd;
	off_t at;     /* of the next read; the descriptor's own position is left alone */
	size_t start; /* of the next line in buf */
	size_t filled;
	char buf[8192];
};

void lines_init(struct lines *l, int fd);
/* The next line without its newline, cut at sizeof(buf) - 1; NULL at the end or on an error. */
char *lines_next(struct lines *l);

/* Unsigned number in hexadecimal or decimal at *p, which is moved behind it. */
uint64_t lines_hex(char **p);
uint64_t lines_decimal(char **p);

#endif
