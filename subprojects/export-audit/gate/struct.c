// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Structures, their members, and where members are read or written. */
#include "gate/shape.h"
#include "gate/walk.h"

#include <string.h>

bool shape_struct(const struct shape *s, size_t *at, struct arg *tag, struct arg *body)
{
	struct walk w = { s->code, s->code + *at, 0 };
	const char *word, *end;
	size_t len;

	while ((len = walk_word(&w, &word))) {
		const char *p = walk_blanks(w.p);

		if (len != 6 || memcmp(word, "struct", 6) || !is_word_char(*p))
			continue;
		*tag = (struct arg){ p, 0 };
		while (is_word_char(p[tag->len]))
			tag->len++;
		w.p = p + tag->len;
		p = walk_blanks(w.p);
		end = *p == '{' ? walk_closed(p) : NULL;
		if (!end)
			continue;
		*body = (struct arg){ p + 1, (size_t)(end - p) - 2 };
		*at = (size_t)(end - s->code);
		return true;
	}
	return false;
}

/* The name that "type *name[3]", "name : 4" or "(*name)(type)" declares; len 0 if none is seen. */
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
			while (j + k < n && is_word_char(s[j + k]))
				k++;
			return (struct arg){ s + j, k };
		}
		if (s[i] == '[' || s[i] == ':' || s[i] == '=')
			break;
		while (i + k < n && is_word_char(s[i + k]))
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
	p = walk_blanks(p);
	while (*p == '[') {
		p = walk_closed(p);
		if (!p)
			return false;
		p = walk_blanks(p);
	}
	if (p[0] == '=')
		return p[1] != '=';
	if ((p[0] == '+' && p[1] == '+') || (p[0] == '-' && p[1] == '-'))
		return true;
	return p[0] && strchr("+-*/|&^%", p[0]) && p[1] == '=';
}

/* From the member at p back to the start of the expression, as "a->b[i].member". */
static const char *expression_start(const char *start, const char *p)
{
	int depth = 0;

	while (p > start) {
		char c = p[-1];

		depth += c == ')' || c == ']';
		depth -= c == '(' || c == '[';
		if (depth < 0 || (!depth && !is_word_char(c) && c != '.' && c != '>' && c != '-' &&
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
	while ((len = walk_word(&w, &word))) {
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
		if ((p == text->s || !is_word_char(p[-1])) &&
		    (p + len == end || !is_word_char(p[len])))
			return true;
	}
	return false;
}
