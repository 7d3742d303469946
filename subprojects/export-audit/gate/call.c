// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Parameters of functions, and arguments of their calls. */
#include "gate/shape.h"
#include "gate/walk.h"

#include <string.h>

static size_t arguments(const char *open, const char *end, struct arg *args)
{
	size_t n = split_args(open + 1, (size_t)(end - open) - 2, args, SHAPE_ARGS);

	if (n == 1 && (!args[0].len || (args[0].len == 4 && !memcmp(args[0].s, "void", 4))))
		return 0;
	return n;
}

/* Annotations, "__must_hold(x)", may stand between the parameters and the body. */
static bool body_follows(const char *p)
{
	for (p = walk_blanks(p); is_word_char(*p); p = walk_blanks(p)) {
		while (is_word_char(*p))
			p++;
		p = walk_blanks(p);
		if (*p == '(')
			p = walk_closed(p);
		if (!p)
			return false;
	}
	return *p == '{';
}

bool shape_parameters(const struct shape *s, const char *name, struct arg *args, size_t *n)
{
	struct walk w = { s->code, s->code, 0 };
	size_t len, want = strlen(name);
	const char *word, *end;

	while ((len = walk_word(&w, &word))) {
		const char *open = walk_blanks(w.p);

		if (w.depth || len != want || memcmp(word, name, len) || *open != '(')
			continue;
		end = walk_closed(open);
		if (!end)
			return false;
		if (body_follows(end)) {
			*n = arguments(open, end, args);
			return true;
		}
		w.p = end;
	}
	return false;
}

bool shape_call(const struct shape *s, const char *name, struct shape_at *at, struct arg *args,
		size_t *n)
{
	struct walk w = { s->code, s->code + at->at, at->depth };
	size_t len, want = strlen(name);
	const char *word, *end;

	while ((len = walk_word(&w, &word))) {
		const char *open = walk_blanks(w.p);

		if (!w.depth || len != want || memcmp(word, name, len) || *open != '(')
			continue;
		end = walk_closed(open);
		if (!end)
			return false;
		*n = arguments(open, end, args);
		*at = (struct shape_at){ (size_t)(open - s->code), w.depth };
		return true;
	}
	return false;
}
