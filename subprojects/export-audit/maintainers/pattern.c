// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The two pattern languages of MAINTAINERS: F:/X: globs and N: expressions. */
#include "maintainers/pattern.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* One [set] at *p against c; leaves *p behind the set.  A set without end is a literal '['. */
static bool match_set(const char **p, char c)
{
	const char *s = *p + 1;
	bool invert = *s == '^', hit = false;

	if (invert)
		s++;
	for (const char *start = s; *s && (*s != ']' || s == start); s++) {
		if (s[1] == '-' && s[2] && s[2] != ']') {
			hit |= c >= s[0] && c <= s[2];
			s += 2;
		} else {
			hit |= *s == c;
		}
	}
	if (!*s) {
		(*p)++;
		return c == '[';
	}
	*p = s + 1;
	return hit != invert;
}

/*
 * Is PATTERN satisfied by some prefix of S?  get_maintainer turns '*' into ".*"
 * and anchors only the start, so '*' crosses slashes (the caller compares their
 * number) and what follows the match is free.
 */
static bool match_prefix(const char *p, const char *s)
{
	const char *star = NULL, *resume = NULL;

	while (*p) {
		bool ok = false;

		if (*p == '*') {
			star = ++p;
			resume = s;
			continue;
		}
		if (*s) {
			const char *before = p;

			if (*p == '[') {
				ok = match_set(&p, *s);
			} else {
				ok = *p == '?' || *p == *s;
				p++;
			}
			if (!ok)
				p = before;
		}
		if (ok) {
			s++;
		} else {
			if (!star || !*resume)
				return false;
			p = star;
			s = ++resume;
		}
	}
	return true;
}

static size_t count_slashes(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += *s == '/';
	return n;
}

bool pattern_matches(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);

	if (!len || !match_prefix(pattern, path))
		return false;
	if (pattern[len - 1] == '/' || strstr(pattern, "**"))
		return true;
	/* The script asks the file system whether the value is a directory; a path below it tells
	 * the same. */
	if (!strncmp(path, pattern, len) && path[len] == '/')
		return true;
	return count_slashes(pattern) == count_slashes(path);
}

int pattern_depth(const char *pattern)
{
	size_t len = strlen(pattern);

	if (pattern[0] == '*')
		return -1;
	return (int)count_slashes(pattern) + (pattern[len - 1] != '/');
}

void regex_literal(const char *re, char out[PATTERN_LITERAL])
{
	size_t best = 0, run = 0;
	const char *start = re;

	out[0] = 0;
	if (strpbrk(re, "|(\\"))
		return;
	for (;; re++) {
		bool optional = *re && strchr("*?{", *re);

		if (*re && !strchr("*?{+.[^$", *re)) {
			if (!run++)
				start = re;
			continue;
		}
		if (optional && run)
			run--;
		if (run > best && run < PATTERN_LITERAL) {
			best = run;
			memcpy(out, start, run);
			out[run] = 0;
		}
		run = 0;
		if (!*re)
			return;
		if (*re == '[') {
			re += re[1] == '^' ? 2 : 1;
			re += *re ? 1 + strcspn(re + 1, "]") : 0;
		} else if (*re == '{') {
			re += strcspn(re, "}");
		}
		if (!*re)
			return;
	}
}

char *regex_from_perl(const char *s)
{
	char *out = malloc(strlen(s) * 3 + 1), *o = out;
	bool set = false;

	for (; out && *s; s++) {
		if (isspace((unsigned char)*s))
			continue;
		if (s[0] == '\\' && s[1] == 'd') {
			o = stpcpy(o, set ? "0-9" : "[0-9]");
			s++;
			continue;
		}
		if (s[0] == '\\' && s[1] && !set)
			*o++ = *s++;
		else if (*s == '[')
			set = true;
		else if (*s == ']')
			set = false;
		*o++ = *s;
	}
	if (out)
		*o = 0;
	return out;
}
