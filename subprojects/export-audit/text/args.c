// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Arguments of a macro. */
#include "text/args.h"

static struct arg trimmed(const char *s, const char *end)
{
	while (s < end && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\\' || *s == '\r'))
		s++;
	while (end > s && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' ||
			   end[-1] == '\\' || end[-1] == '\r'))
		end--;
	return (struct arg){ s, (size_t)(end - s) };
}

size_t split_args(const char *s, size_t len, struct arg *args, size_t max)
{
	const char *end = s + len, *start = s;
	size_t n = 0;
	int depth = 0;
	char quote = 0;

	for (; s < end; s++) {
		if (quote) {
			if (*s == '\\' && s + 1 < end)
				s++;
			else if (*s == quote)
				quote = 0;
		} else if (*s == '"' || *s == '\'') {
			quote = *s;
		} else if (*s == '(' || *s == '{' || *s == '[') {
			depth++;
		} else if (*s == ')' || *s == '}' || *s == ']') {
			depth--;
		} else if (*s == ',' && !depth) {
			if (n < max)
				args[n] = trimmed(start, s);
			n++;
			start = s + 1;
		}
	}
	if (n < max)
		args[n] = trimmed(start, end);
	n++;
	return n < max ? n : max;
}

bool is_word(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] != '_' && s[i] != '$' && !(s[i] >= '0' && s[i] <= '9') &&
		    !(s[i] >= 'a' && s[i] <= 'z') && !(s[i] >= 'A' && s[i] <= 'Z'))
			return false;
	return len > 0;
}

bool is_identifier(const char *s, size_t len)
{
	return is_word(s, len) && !(*s >= '0' && *s <= '9');
}
