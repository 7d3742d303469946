// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Text to code, and what can be seen in code by counting braces. */
#include "gate/shape.h"
#include "text/args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool word_char(char c)
{
	return is_word(&c, 1);
}

struct copy {
	const char *p, *end;
	char *out;
};

/* The comment, string or character constant at p, in short; false: there is none. */
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

/* Up to the end of the line or, of a directive, of those that continue it. */
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

/* The line that was just copied: what a macro stands for goes behind everything, the rest goes. */
static void set_aside(char *line, struct copy *c, struct copy *macros)
{
	char *p = line + strspn(line, " \t#"), *end = c->out - 1;

	c->out = line;
	if (strncmp(p, "define", 6) || !blank(p[6]))
		return;
	p += 6 + strspn(p + 6, " \t");
	while (p < end && word_char(*p))
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

/* A walk over words; a brace in the first column ends everything, whatever the count says. */
struct walk {
	const char *start, *p;
	int depth;
};

static size_t next_word(struct walk *w, const char **word)
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
		while (word_char(w->p[n]))
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

static const char *skip_blanks(const char *p)
{
	while (blank(*p))
		p++;
	return p;
}

/* Behind the bracket that closes the one at p; NULL: there is none. */
static const char *closed(const char *p)
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
	for (p = skip_blanks(p); word_char(*p); p = skip_blanks(p)) {
		while (word_char(*p))
			p++;
		p = skip_blanks(p);
		if (*p == '(')
			p = closed(p);
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

	while ((len = next_word(&w, &word))) {
		const char *open = skip_blanks(w.p);

		if (w.depth || len != want || memcmp(word, name, len) || *open != '(')
			continue;
		end = closed(open);
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

	while ((len = next_word(&w, &word))) {
		const char *open = skip_blanks(w.p);

		if (!w.depth || len != want || memcmp(word, name, len) || *open != '(')
			continue;
		end = closed(open);
		if (!end)
			return false;
		*n = arguments(open, end, args);
		*at = (struct shape_at){ (size_t)(open - s->code), w.depth };
		return true;
	}
	return false;
}

bool shape_struct(const struct shape *s, size_t *at, struct arg *tag, struct arg *body)
{
	struct walk w = { s->code, s->code + *at, 0 };
	const char *word, *end;
	size_t len;

	while ((len = next_word(&w, &word))) {
		const char *p = skip_blanks(w.p);

		if (len != 6 || memcmp(word, "struct", 6) || !word_char(*p))
			continue;
		*tag = (struct arg){ p, 0 };
		while (word_char(p[tag->len]))
			tag->len++;
		w.p = p + tag->len;
		p = skip_blanks(w.p);
		end = *p == '{' ? closed(p) : NULL;
		if (!end)
			continue;
		*body = (struct arg){ p + 1, (size_t)(end - p) - 2 };
		*at = (size_t)(end - s->code);
		return true;
	}
	return false;
}

/* The name that "type *name[3]", "name : 4" or "(*name)(type)" declares; len 0: none is seen. */
static struct arg declared(const char *s, size_t n)
{
	struct arg none = { s, 0 }, last = none;
	size_t words = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		if (s[i] == '(') {
			size_t j = i + 1 + strspn(s + i + 1, " \t\n*");

			if (s[i + 1 + strspn(s + i + 1, " \t\n")] != '*')
				return none; /* a macro declares it */
			while (j + k < n && word_char(s[j + k]))
				k++;
			return (struct arg){ s + j, k };
		}
		if (s[i] == '[' || s[i] == ':' || s[i] == '=')
			break;
		while (i + k < n && word_char(s[i + k]))
			k++;
		if (!k)
			continue;
		if (k < 2 || memcmp(s + i, "__", 2)) /* annotations come last */
			last = (struct arg){ s + i, k };
		words++;
		i += k - 1;
	}
	return words ? last : none;
}

/* The end of the declarator at P: a comma, a semicolon or a brace outside of brackets. */
static const char *declarator_end(const char *p, const char *end)
{
	int depth = 0;

	for (; p < end; p++) {
		depth += *p == '(' || *p == '[';
		depth -= *p == ')' || *p == ']';
		if (!depth && (*p == ',' || *p == ';' || *p == '{' || *p == '}'))
			break;
	}
	return p;
}

bool shape_member(const struct arg *body, size_t *at, struct arg *name)
{
	const char *p = body->s + *at, *end = body->s + body->len;

	while (p < end) {
		const char *stop = declarator_end(p, end);

		*name = (struct arg){ p, 0 };
		if (stop < end && *stop != '{')
			*name = declared(p, (size_t)(stop - p));
		p = stop + 1;
		*at = (size_t)(p - body->s);
		if (name->len)
			return true;
	}
	return false;
}

static bool assigned(const char *p)
{
	p = skip_blanks(p);
	while (*p == '[') {
		p = closed(p);
		if (!p)
			return false;
		p = skip_blanks(p);
	}
	if (p[0] == '=')
		return p[1] != '=';
	if ((p[0] == '+' && p[1] == '+') || (p[0] == '-' && p[1] == '-'))
		return true;
	return p[0] && strchr("+-*/|&^%", p[0]) && p[1] == '=';
}

/* From the member back to the start of "a->b[i].member". */
static const char *expression_start(const char *start, const char *p)
{
	int depth = 0;

	while (p > start) {
		char c = p[-1];

		depth += c == ')' || c == ']';
		depth -= c == '(' || c == '[';
		if (depth < 0 || (!depth && !word_char(c) && c != '.' && c != '>' && c != '-' &&
				  c != ')' && c != ']' && c != '(' && c != '['))
			break;
		p--;
	}
	return p;
}

void shape_access(const struct shape *s, const struct arg *member, struct access *out)
{
	struct walk w = { s->code, s->code, 0 };
	const char *word;
	size_t len;

	*out = (struct access){ 0 };
	while ((len = next_word(&w, &word))) {
		const char *before = word;

		if (len != member->len || memcmp(word, member->s, len) || word < s->code + 2 ||
		    !(word[-1] == '.' || (word[-1] == '>' && word[-2] == '-')))
			continue;
		before = expression_start(s->code, word);
		if (before > s->code && before[-1] == '&' &&
		    (before - 1 == s->code || before[-2] != '&')) {
			out->reads++;
			out->writes++;
		} else if (assigned(w.p)) {
			out->writes++;
		} else {
			out->reads++;
		}
	}
}

bool shape_has(const struct arg *text, const char *word, size_t len)
{
	for (const char *p = text->s, *end = text->s + text->len; p + len <= end; p++) {
		p = memmem(p, (size_t)(end - p), word, len);
		if (!p)
			return false;
		if ((p == text->s || !word_char(p[-1])) && (p + len == end || !word_char(p[len])))
			return true;
	}
	return false;
}
