// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void lines_init(struct lines *l, int fd)
{
	l->fd = fd;
	l->at = 0;
	l->start = 0;
	l->filled = 0;
	l->err = 0;
}

static ssize_t fill(struct lines *l)
{
	ssize_t n;

	memmove(l->buf, l->buf + l->start, l->filled - l->start);
	l->filled -= l->start;
	l->start = 0;
	do {
		n = pread(l->fd, l->buf + l->filled, sizeof(l->buf) - 1 - l->filled, l->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		l->err = -errno;
	if (n > 0) {
		l->filled += (size_t)n;
		l->at += n;
	}
	return n;
}

char *lines_next(struct lines *l)
{
	for (;;) {
		char *line = l->buf + l->start;
		char *nl = memchr(line, '\n', l->filled - l->start);

		if (nl) {
			*nl = 0;
			l->start = (size_t)(nl + 1 - l->buf);
			return line;
		}
		if (l->start == 0 && l->filled == sizeof(l->buf) - 1)
			l->filled /= 2; /* no name is that long: cut the line */
		if (fill(l) <= 0)
			return NULL;
	}
}

uint64_t lines_hex(char **p)
{
	uint64_t v = 0;

	for (;; (*p)++) {
		char c = **p;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return v;
	}
}

uint64_t lines_decimal(char **p)
{
	uint64_t v = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++)
		v = v * 10 + (uint64_t)(**p - '0');
	return v;
}
