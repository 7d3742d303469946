// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mail/inflate.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (256u << 20)

static int read_stream(FILE *f, char **text, size_t *len)
{
	size_t cap = 1 << 16;

	*text = malloc(cap);
	*len = 0;
	while (*text) {
		size_t n = fread(*text + *len, 1, cap - 1 - *len, f);

		*len += n;
		if (!n) {
			(*text)[*len] = 0;
			return ferror(f) ? -EIO : 0;
		}
		if (*len == cap - 1) {
			char *p = cap < MAX_TEXT ? realloc(*text, cap *= 2) : NULL;

			if (!p)
				return -EFBIG;
			*text = p;
		}
	}
	return -ENOMEM;
}

/* One gzip member, of which a file may have several; *CAP grows as it has to. */
static int member(struct libdeflate_decompressor *d, const char **in, size_t *in_len, char **out,
		  size_t *len, size_t *cap)
{
	enum libdeflate_result r;
	size_t used, made;
	char *p;

	for (;;) {
		r = libdeflate_gzip_decompress_ex(d, *in, *in_len, *out + *len, *cap - *len - 1,
						  &used, &made);
		if (r != LIBDEFLATE_INSUFFICIENT_SPACE)
			break;
		p = *cap < MAX_TEXT ? realloc(*out, *cap * 2) : NULL;
		if (!p)
			return -EFBIG;
		*out = p;
		*cap *= 2;
	}
	if (r != LIBDEFLATE_SUCCESS)
		return -EBADMSG;
	*in += used;
	*in_len -= used;
	*len += made;
	return 0;
}

static int gunzip(char **text, size_t *len)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	size_t cap = *len * 4 + 4096, n = 0, left = *len;
	char *out = malloc(cap);
	const char *in = *text;
	int err = d && out ? 0 : -ENOMEM;

	while (!err && left)
		err = member(d, &in, &left, &out, &n, &cap);
	if (d)
		libdeflate_free_decompressor(d);
	if (err) {
		free(out);
		return err;
	}
	out[n] = 0;
	free(*text);
	*text = out;
	*len = n;
	return 0;
}

int read_whole(const char *name, char **text, size_t *len)
{
	FILE *f = strcmp(name, "-") ? fopen(name, "re") : stdin;
	int err;

	*text = NULL;
	if (!f)
		return -errno;
	err = read_stream(f, text, len);
	if (f != stdin)
		fclose(f);
	if (!err && *len > 18 && !memcmp(*text, "\x1f\x8b", 2))
		err = gunzip(text, len);
	if (err) {
		free(*text);
		*text = NULL;
	}
	return err;
}
