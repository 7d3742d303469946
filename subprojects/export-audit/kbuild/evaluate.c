// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Expansion of references and of the functions of make. */
#include "kbuild/evaluate.h"
#include "kbuild/words.h"

#include <stdlib.h>
#include <string.h>

static void expand(struct make *m, const char *s, size_t n, struct words *out);

static void foreach (struct make *m, const char *var, const char *list, const char *body,
		     size_t len, struct words * out)
{
	size_t n;

	for (const char *w = list; (n = words_next(&w)); w += n) {
		char *value = strndup(w, n);

		if (!value || make_set(m, var, value, false))
			out->oom = true;
		free(value);
		words_put(out, " ", 1);
		expand(m, body, len, out);
	}
}

/* Arguments of a function, unexpanded: at most three, the last one takes the rest. */
static size_t split(const char *s, size_t n, const char **args, size_t *lens, size_t max)
{
	size_t count = 0, start = 0;
	int depth = 0;

	for (size_t i = 0; i < n; i++) {
		depth += s[i] == '(' || s[i] == '{';
		depth -= s[i] == ')' || s[i] == '}';
		if (s[i] == ',' && !depth && count + 1 < max) {
			args[count] = s + start;
			lens[count++] = i - start;
			start = i + 1;
		}
	}
	args[count] = s + start;
	lens[count++] = n - start;
	return count;
}

char *make_expanded(struct make *m, const char *s, size_t n)
{
	struct words t = { 0 };

	words_put(&t, "", 0);
	expand(m, s, n, &t);
	return t.s;
}

enum function {
	F_NONE,
	F_SUBST,
	F_PATSUBST,
	F_PREFIX,
	F_SUFFIX,
	F_FILTER,
	F_FILTER_OUT,
	F_FOREACH,
	F_IF,
	F_SAME,
	F_NOTHING
};

static enum function function_of(const char *s, size_t n)
{
	static const struct {
		const char *name;
		enum function f;
	} names[] = { { "subst", F_SUBST },
		      { "patsubst", F_PATSUBST },
		      { "addprefix", F_PREFIX },
		      { "addsuffix", F_SUFFIX },
		      { "filter", F_FILTER },
		      { "filter-out", F_FILTER_OUT },
		      { "foreach", F_FOREACH },
		      { "if", F_IF },
		      { "or", F_IF },
		      { "and", F_IF },
		      { "sort", F_SAME },
		      { "strip", F_SAME },
		      { "firstword", F_SAME },
		      { "notdir", F_NOTHING },
		      { "dir", F_NOTHING },
		      { "wildcard", F_NOTHING },
		      { "shell", F_NOTHING },
		      { "call", F_NOTHING },
		      { "eval", F_NOTHING },
		      { "info", F_NOTHING },
		      { "error", F_NOTHING },
		      { "warning", F_NOTHING },
		      { "lastword", F_SAME } };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(names[i].name, s, n) && !names[i].name[n])
			return names[i].f;
	return F_NONE;
}

static void call(struct make *m, enum function f, const char *s, size_t n, struct words *out)
{
	const char *raw[3];
	size_t lens[3], count;
	char *a[3] = { NULL, NULL, NULL };

	if (f == F_NOTHING)
		return;
	count = split(s, n, raw, lens,
		      f == F_SAME                                                            ? 1
		      : f == F_PREFIX || f == F_SUFFIX || f == F_FILTER || f == F_FILTER_OUT ? 2
											     : 3);
	for (size_t i = 0; i < count; i++)
		if (f != F_FOREACH || i < 2)
			a[i] = make_expanded(m, raw[i], lens[i]);
	if (f == F_IF) { /* takes both answers; a sole argument is an answer, too */
		for (size_t i = count > 1 ? 1 : 0; i < count && a[i]; i++) {
			words_put(out, " ", 1);
			words_put(out, a[i], strlen(a[i]));
		}
	} else if (f == F_SAME && a[0]) {
		words_put(out, a[0], strlen(a[0]));
	} else if (count > 1 && a[0] && a[1]) {
		struct words t = { 0 };

		if (f == F_SUBST && count > 2 && a[2])
			words_subst(a[0], a[1], a[2], &t);
		else if (f == F_PATSUBST && count > 2 && a[2])
			words_patsubst(a[0], a[1], a[2], &t);
		else if (f == F_PREFIX || f == F_SUFFIX)
			words_affix(a[0], a[1], f == F_PREFIX, &t);
		else if (f == F_FILTER || f == F_FILTER_OUT)
			words_filter(a[0], a[1], f == F_FILTER, &t);
		else if (f == F_FOREACH && count > 2)
			foreach (m, a[0] + strspn(a[0], " \t"), a[1], raw[2], lens[2], &t)
				;
		if (t.s)
			words_put(out, t.s, t.n);
		free(t.s);
	}
	for (size_t i = 0; i < 3; i++)
		free(a[i]);
}

/* $(name), $(name:a=b) or $(function args): the text between the parentheses. */
static void reference(struct make *m, const char *s, size_t n, struct words *out)
{
	size_t head = strcspn(s, " \t,:)$");
	enum function f =
		head < n && (s[head] == ' ' || s[head] == '\t') ? function_of(s, head) : F_NONE;
	char *name, *colon, *equal;
	const char *value;

	if (f != F_NONE) {
		head += strspn(s + head, " \t");
		call(m, f, s + head, n > head ? n - head : 0, out);
		return;
	}
	name = make_expanded(m, s, n);
	if (!name)
		return;
	if (!strncmp(name, "CONFIG_", 7) && !make_get(m, name)) {
		size_t len = strcspn(name, ":");
		char v = name[len] || !m->option ? 'y' : m->option(m->priv, name, len);

		words_put(out, &v, 1);
		free(name);
		return;
	}
	colon = strchr(name, ':');
	equal = colon ? strchr(colon, '=') : NULL;
	if (colon)
		*colon = 0;
	value = make_get(m, name);
	if (value && equal) {
		struct words t = { 0 }, from = { 0 }, to = { 0 };

		*equal = 0;
		words_put(&from, "%", strchr(colon + 1, '%') ? 0 : 1);
		words_put(&from, colon + 1, strlen(colon + 1));
		words_put(&to, "%", strchr(equal + 1, '%') ? 0 : 1);
		words_put(&to, equal + 1, strlen(equal + 1));
		char *list = make_expanded(m, value, strlen(value));

		if (list && from.s && to.s)
			words_patsubst(from.s, to.s, list, &t);
		if (t.s)
			words_put(out, t.s, t.n);
		free(list);
		free(t.s);
		free(from.s);
		free(to.s);
	} else if (value) {
		expand(m, value, strlen(value), out);
	}
	free(name);
}

static void expand(struct make *m, const char *s, size_t n, struct words *out)
{
	if (m->depth >= MAKE_DEPTH || !make_spend(m, n + out->n / 16))
		return;
	m->depth++;
	for (size_t i = 0; i < n;) {
		const char *dollar = memchr(s + i, '$', n - i);
		size_t end, depth = 0;

		words_put(out, s + i, dollar ? (size_t)(dollar - s) - i : n - i);
		if (!dollar)
			break;
		i = (size_t)(dollar - s) + 1;
		if (i >= n)
			break;
		if (s[i] != '(' && s[i] != '{') {
			i++;
			continue;
		}
		for (end = i; end < n; end++) {
			depth += s[end] == '(' || s[end] == '{';
			if ((s[end] == ')' || s[end] == '}') && !--depth)
				break;
		}
		if (end >= n)
			break;
		{ /* a terminated copy: the parts are looked at with string functions */
			char *inner = strndup(s + i + 1, end - i - 1);

			if (inner)
				reference(m, inner, end - i - 1, out);
			free(inner);
		}
		i = end + 1;
	}
	m->depth--;
}
