/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Lines of a file under /proc, read without stdio and without the heap. */
#ifndef LIB_BASE_LINES_H
#define LIB_BASE_LINES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct lines {
	int fd;
	off_t at;     /* where the next read begins; the descriptor's own position is not changed */
	size_t start; /* where the next line begins in buf */
	size_t filled;
	int err; /* -errno of a read that failed */
	char buf[8192];
};

void lines_init(struct lines *l, int fd);
/* The next line without its newline, cut at sizeof(buf) - 1; NULL at the end or on an error. */
char *lines_next(struct lines *l);

/* Reads an unsigned number at *p, hexadecimal or decimal, and moves *p behind it. */
uint64_t lines_hex(char **p);
uint64_t lines_decimal(char **p);

#endif
