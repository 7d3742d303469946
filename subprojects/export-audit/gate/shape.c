// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The text of a file without comments, strings and preprocessor lines. */
#include "gate/shape.h"
#include "gate/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct copy {
	const char *p, *end;
	char *out;
};

/* Shortens a comment, string or character constant at p; false if there is none. */
static bool copy_opaque(struct copy *c)
{
	const char *p = c->p, *close;

	if (c->end - p > 1 && p[0] == '/' && p[1] == '*') {
		close = memmem(p + 2, (size_t)(c->end - p - 2), "*/", 2);
		c->p = close ? close + 2 : c->end;
		*c->out++ = ' ';
		return true;
	}
	if (c->end - p > 1 && p[0] == '/' && p[1] == '/') {
		close = memchr(p, '\n', (size_t)(c->end - p));
		c->p = close ? close : c->end;
		return true;
	}
	if (*p != '"' && *p != '\'')
		return false;
	for (close = p + 1; close < c->end && *close != *p && *close != '\n'; close++)
		if (*close == '\\' && close + 1 < c->end)
			close++;
	c->p = close < c->end ? close + 1 : c->end;
	*c->out++ = *p;
	*c->out++ = *p;
	return true;
}

/* Copies to the end of the line; a directive to the end of the lines that continue it. */
static void copy_line(struct copy *c, bool directive)
{
	while (c->p < c->end) {
		if (copy_opaque(c))
			continue;
		if (*c->p == '\n') {
			*c->out++ = '\n';
			c->p++;
			return;
		}
		if (directive && *c->p == '\\' && c->p + 1 < c->end && c->p[1] == '\n') {
			c->p += 2;
			*c->out++ = ' ';
			continue;
		}
		*c->out++ = *c->p ? *c->p : ' ';
		c->p++;
	}
}

/* Removes the line that was copied last. If it defines a macro, the body is kept in MACROS. */
static void set_aside(char *line, struct copy *c, struct copy *macros)
{
	char *p = line + strspn(line, " \t#"), *end = c->out - 1;

	c->out = line;
	if (strncmp(p, "define", 6) || !is_blank(p[6]))
		return;
	p += 6 + strspn(p + 6, " \t");
	while (p < end && is_word_char(*p))
		p++;
	if (p < end && *p == '(')
		while (p < end && *p++ != ')')
			;
	memcpy(macros->out, "{", 1);
	memcpy(macros->out + 1, p, (size_t)(end - p));
	memcpy(macros->out + 1 + (end - p), "\n}\n", 3);
	macros->out += end - p + 4;
}

int shape_new(const char *text, size_t len, struct shape *out)
{
	/* a line of a macro gets longer by the braces, and strings by a quote at most */
	char *code = malloc(len * 2 + 16), *aside = malloc(len * 3 + 16);
	struct copy c = { text, text + len, code }, macros = { .out = aside };

	if (!code || !aside) {
		free(code);
		free(aside);
		return -ENOMEM;
	}
	while (c.p < c.end) {
		const char *first = c.p;
		char *line = c.out;

		while (first < c.end && (*first == ' ' || *first == '\t'))
			first++;
		copy_line(&c, first < c.end && *first == '#');
		if (first < c.end && *first == '#') {
			if (c.out == line || c.out[-1] != '\n')
				*c.out++ = '\n';
			*c.out = 0;
			set_aside(line, &c, &macros);
		}
	}
	*c.out++ = '\n';
	out->code = realloc(code, (size_t)(c.out - code) + (size_t)(macros.out - aside) + 1);
	if (!out->code) {
		free(code);
		free(aside);
		return -ENOMEM;
	}
	code = out->code + (c.out - code);
	memcpy(code, aside, (size_t)(macros.out - aside));
	code[macros.out - aside] = 0;
	free(aside);
	return 0;
}

void shape_free(struct shape *s)
{
	free(s->code);
	s->code = NULL;
}
