// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lines.h"

struct line {
	uint64_t key; /* its first 8 bytes, big-endian: most comparisons end here */
	const char *text;
	size_t length; /* without the '\n' */
};

static uint64_t key_of(const char *text, size_t length)
{
	uint64_t key = 0;

	memcpy(&key, text, length < sizeof(key) ? length : sizeof(key));
	return be64toh(key);
}

static int compare_text(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, a_length < b_length ? a_length : b_length);

	return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare(const void *pa, const void *pb)
{
	const struct line *a = pa, *b = pb;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	return compare_text(a->text, a->length, b->text, b->length);
}

int64_t lines_sort(const char *src, size_t size, char *dst)
{
	const char *end = src + size;
	struct line *lines;
	size_t n = 0, i = 0;

	for (const char *p = src; p < end; p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1)
		n++;
	lines = malloc((n ? n : 1) * sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	for (const char *p = src; p < end; i++) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		lines[i] = (struct line){ key_of(p, (size_t)(stop - p)), p, (size_t)(stop - p) };
		p = stop + 1;
	}
	qsort(lines, n, sizeof(*lines), compare);
	for (i = 0; i < n; i++) {
		memcpy(dst, lines[i].text, lines[i].length + 1);
		dst += lines[i].length + 1;
	}
	free(lines);
	return (int64_t)n;
}

void lines_merge(const char *a, size_t a_size, const char *b, size_t b_size, char *dst)
{
	const char *a_end = a + a_size, *b_end = b + b_size;

	while (a < a_end && b < b_end) {
		size_t a_length = (size_t)((const char *)memchr(a, '\n', (size_t)(a_end - a)) - a);
		size_t b_length = (size_t)((const char *)memchr(b, '\n', (size_t)(b_end - b)) - b);

		if (compare_text(a, a_length, b, b_length) <= 0) {
			memcpy(dst, a, a_length + 1);
			dst += a_length + 1;
			a += a_length + 1;
		} else {
			memcpy(dst, b, b_length + 1);
			dst += b_length + 1;
			b += b_length + 1;
		}
	}
	memcpy(dst, a, (size_t)(a_end - a));
	memcpy(dst + (a_end - a), b, (size_t)(b_end - b));
}
