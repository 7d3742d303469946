// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Lists of words. */
#include "kbuild/words.h"

#include <stdlib.h>
#include <string.h>

void words_put(struct words *t, const char *s, size_t n)
{
	if (t->n + n + 1 > t->cap) {
		size_t cap = (t->n + n + 1) * 2;
		char *grown = realloc(t->s, cap);

		if (!grown) {
			t->oom = true;
			return;
		}
		t->s = grown;
		t->cap = cap;
	}
	memcpy(t->s + t->n, s, n);
	t->n += n;
	t->s[t->n] = 0;
}

size_t words_next(const char **s)
{
	const char *p = *s + strspn(*s, " \t\n");

	*s = p;
	return strcspn(p, " \t\n");
}

void words_add(struct words *out, const char *s, size_t n)
{
	if (out->n)
		words_put(out, " ", 1);
	words_put(out, s, n);
}

/* "a%b" against a word: where % matches, or NULL. */
static const char *stem(const char *pattern, const char *w, size_t n, size_t *len)
{
	const char *percent = strchr(pattern, '%');
	size_t pre = percent ? (size_t)(percent - pattern) : strlen(pattern);
	size_t post = percent ? strlen(percent + 1) : 0;

	if (n < pre + post || strncmp(pattern, w, pre) || (!percent && n != pre) ||
	    (percent && strncmp(percent + 1, w + n - post, post)))
		return NULL;
	*len = n - pre - post;
	return w + pre;
}

void words_patsubst(const char *from, const char *to, const char *list, struct words *out)
{
	size_t n, len;

	for (const char *w = list; (n = words_next(&w)); w += n) {
		const char *st = stem(from, w, n, &len), *percent = strchr(to, '%');

		if (!st) {
			words_add(out, w, n);
		} else if (!percent) {
			words_add(out, to, strlen(to));
		} else {
			words_add(out, to, (size_t)(percent - to));
			words_put(out, st, len);
			words_put(out, percent + 1, strlen(percent + 1));
		}
	}
}

void words_subst(const char *from, const char *to, const char *s, struct words *out)
{
	size_t n = strlen(from);

	while (*s) {
		const char *hit = n ? strstr(s, from) : NULL;

		words_put(out, s, hit ? (size_t)(hit - s) : strlen(s));
		if (!hit)
			break;
		words_put(out, to, strlen(to));
		s = hit + n;
	}
}

void words_affix(const char *fix, const char *list, bool before, struct words *out)
{
	size_t n;

	for (const char *w = list; (n = words_next(&w)); w += n) {
		words_add(out, before ? fix : w, before ? strlen(fix) : n);
		words_put(out, before ? w : fix, before ? n : strlen(fix));
	}
}

void words_filter(const char *patterns, const char *list, bool want, struct words *out)
{
	size_t n, k, len;
	char one[256];

	for (const char *w = list; (n = words_next(&w)); w += n) {
		bool hit = false;

		for (const char *p = patterns; (k = words_next(&p)); p += k) {
			if (k >= sizeof(one))
				continue;
			memcpy(one, p, k);
			one[k] = 0;
			hit |= stem(one, w, n, &len) != NULL;
		}
		if (hit == want)
			words_add(out, w, n);
	}
}
