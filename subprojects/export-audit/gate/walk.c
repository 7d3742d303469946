// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Walks over code. */
#include "gate/walk.h"
#include "text/args.h"

bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

bool is_word_char(char c)
{
	return is_word(&c, 1);
}

size_t walk_word(struct walk *w, const char **word)
{
	for (; *w->p; w->p++) {
		size_t n = 0;

		if (*w->p == '{') {
			w->depth++;
		} else if (*w->p == '}') {
			w->depth -= w->depth > 0;
			if (w->p == w->start || w->p[-1] == '\n')
				w->depth = 0;
		}
		while (is_word_char(w->p[n]))
			n++;
		if (!n)
			continue;
		*word = w->p;
		w->p += n;
		if (!(**word >= '0' && **word <= '9'))
			return n;
		w->p--;
	}
	return 0;
}

const char *walk_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

const char *walk_closed(const char *p)
{
	int depth = 0;

	for (; *p; p++) {
		depth += *p == '(' || *p == '{' || *p == '[';
		depth -= *p == ')' || *p == '}' || *p == ']';
		if (!depth)
			return p + 1;
	}
	return NULL;
}
