// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Bytes that are not printable UTF-8 become question marks. */
#include "base/clean.h"

#include <string.h>

/* Length of the UTF-8 sequence at s; 0 if it is none or a control character. */
static size_t utf8(const unsigned char *s)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;

	if (s[0] < 0x20 || s[0] == 0x7f)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void clean_text(const char *s, char *out, size_t size)
{
	size_t at = 0;

	while (*s) {
		size_t n = utf8((const unsigned char *)s);

		if (at + (n ? n : 1) >= size)
			break;
		if (n)
			memcpy(out + at, s, n);
		else
			out[at] = '?';
		at += n ? n : 1;
		s += n ? n : 1;
	}
	out[at] = 0;
}
