// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Parts of a text. */
#include "base/span.h"

#include <string.h>

const char *span_line_end(const char *s, const char *end)
{
	const char *nl = memchr(s, '\n', (size_t)(end - s));

	return nl ? nl + 1 : end;
}

bool span_starts(const char *s, const char *end, const char *with)
{
	size_t n = strlen(with);

	return (size_t)(end - s) >= n && !memcmp(s, with, n);
}
