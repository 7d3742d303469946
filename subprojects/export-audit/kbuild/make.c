// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A small make: expansion of text. */

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kbuild/make.h"

#define DEPTH_LIMIT 24
#define BUDGET (32u << 20) /* nouveau, the greediest Makefile of 6.12, takes 6 MiB */

struct text {
	char *s;
	size_t n, cap;
	bool oom;
};

static void put(struct text *t, const char *s, size_t n)
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

static void expand(struct make *m, const char *s, size_t n, struct text *out);

static const char *find_n(const struct make *m, const char *name, size_t n)
{
	for (size_t i = 0; i < m->n_vars; i++)
		if (!strncmp(m->vars[i].name, name, n) && !m->vars[i].name[n])
			return m->vars[i].value;
	return NULL;
}

const char *make_get(const struct make *m, const char *name)
{
	return find_n(m, name, strlen(name));
}

/* Work done, in bytes: what asks for too much is left as it is. */
static bool spend(struct make *m, size_t n)
{
	if (m->budget < n)
		m->budget = 0;
	else
		m->budget -= n;
	return m->budget > 0;
}

static int set(struct make *m, const char *name, const char *value, bool append)
{
	struct make_var *v = NULL;
	char *joined;

	for (size_t i = 0; !v && i < m->n_vars; i++)
		if (!strcmp(m->vars[i].name, name))
			v = &m->vars[i];
	if (!v && m->n_vars == m->cap_vars) {
		size_t cap = m->cap_vars ? m->cap_vars * 2 : 64;
		struct make_var *vars = realloc(m->vars, cap * sizeof(*vars));

		if (!vars)
			return -ENOMEM;
		m->vars = vars;
		m->cap_vars = cap;
	}
	if (!v) {
		v = &m->vars[m->n_vars];
		*v = (struct make_var){ strdup(name), strdup("") };
		m->n_vars++;
		if (!v->name || !v->value)
			return -ENOMEM;
	}
	if (!spend(m, strlen(v->value) + strlen(value)))
		return 0;
	joined = malloc(strlen(v->value) + strlen(value) + 2);
	if (!joined)
		return -ENOMEM;
	*joined = 0;
	if (append && *v->value)
		strcat(strcpy(joined, v->value), " ");
	strcat(joined, value);
	free(v->value);
	v->value = joined;
	return 0;
}

/* Next word of *s; its length, 0 at the end. */
static size_t word(const char **s)
{
	const char *p = *s + strspn(*s, " \t\n");

	*s = p;
	return strcspn(p, " \t\n");
}

static void put_word(struct text *out, const char *s, size_t n)
{
	if (out->n)
		put(out, " ", 1);
	put(out, s, n);
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

static void patsubst(const char *from, const char *to, const char *list, struct text *out)
{
	size_t n, len;

	for (const char *w = list; (n = word(&w)); w += n) {
		const char *st = stem(from, w, n, &len), *percent = strchr(to, '%');

		if (!st) {
			put_word(out, w, n);
		} else if (!percent) {
			put_word(out, to, strlen(to));
		} else {
			put_word(out, to, (size_t)(percent - to));
			put(out, st, len);
			put(out, percent + 1, strlen(percent + 1));
		}
	}
}

static void subst(const char *from, const char *to, const char *s, struct text *out)
{
	size_t n = strlen(from);

	while (*s) {
		const char *hit = n ? strstr(s, from) : NULL;

		put(out, s, hit ? (size_t)(hit - s) : strlen(s));
		if (!hit)
			break;
		put(out, to, strlen(to));
		s = hit + n;
	}
}

static void affix(const char *fix, const char *list, bool before, struct text *out)
{
	size_t n;

	for (const char *w = list; (n = word(&w)); w += n) {
		put_word(out, before ? fix : w, before ? strlen(fix) : n);
		put(out, before ? w : fix, before ? n : strlen(fix));
	}
}

static void filter(const char *patterns, const char *list, bool want, struct text *out)
{
	size_t n, k, len;
	char one[256];

	for (const char *w = list; (n = word(&w)); w += n) {
		bool hit = false;

		for (const char *p = patterns; (k = word(&p)); p += k) {
			if (k >= sizeof(one))
				continue;
			memcpy(one, p, k);
			one[k] = 0;
			hit |= stem(one, w, n, &len) != NULL;
		}
		if (hit == want)
			put_word(out, w, n);
	}
}

static void foreach (struct make *m, const char *var, const char *list, const char *body,
		     size_t len, struct text * out)
{
	size_t n;

	for (const char *w = list; (n = word(&w)); w += n) {
		char *value = strndup(w, n);

		if (!value || set(m, var, value, false))
			out->oom = true;
		free(value);
		put(out, " ", 1);
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

static char *expanded(struct make *m, const char *s, size_t n)
{
	struct text t = { 0 };

	put(&t, "", 0);
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

static void call(struct make *m, enum function f, const char *s, size_t n, struct text *out)
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
			a[i] = expanded(m, raw[i], lens[i]);
	if (f == F_IF) { /* both answers; of a condition only what it would yield */
		for (size_t i = count > 1 ? 1 : 0; i < count && a[i]; i++) {
			put(out, " ", 1);
			put(out, a[i], strlen(a[i]));
		}
	} else if (f == F_SAME && a[0]) {
		put(out, a[0], strlen(a[0]));
	} else if (count > 1 && a[0] && a[1]) {
		struct text t = { 0 };

		if (f == F_SUBST && count > 2 && a[2])
			subst(a[0], a[1], a[2], &t);
		else if (f == F_PATSUBST && count > 2 && a[2])
			patsubst(a[0], a[1], a[2], &t);
		else if (f == F_PREFIX || f == F_SUFFIX)
			affix(a[0], a[1], f == F_PREFIX, &t);
		else if (f == F_FILTER || f == F_FILTER_OUT)
			filter(a[0], a[1], f == F_FILTER, &t);
		else if (f == F_FOREACH && count > 2)
			foreach (m, a[0] + strspn(a[0], " \t"), a[1], raw[2], lens[2], &t)
				;
		if (t.s)
			put(out, t.s, t.n);
		free(t.s);
	}
	for (size_t i = 0; i < 3; i++)
		free(a[i]);
}

/* $(name), $(name:a=b) or $(function args): the text between the parentheses. */
static void reference(struct make *m, const char *s, size_t n, struct text *out)
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
	name = expanded(m, s, n);
	if (!name)
		return;
	if (!strncmp(name, "CONFIG_", 7) && !make_get(m, name)) {
		size_t len = strcspn(name, ":");
		char v = name[len] || !m->option ? 'y' : m->option(m->priv, name, len);

		put(out, &v, 1);
		free(name);
		return;
	}
	colon = strchr(name, ':');
	equal = colon ? strchr(colon, '=') : NULL;
	if (colon)
		*colon = 0;
	value = make_get(m, name);
	if (value && equal) {
		struct text t = { 0 }, from = { 0 }, to = { 0 };

		*equal = 0;
		put(&from, "%", strchr(colon + 1, '%') ? 0 : 1);
		put(&from, colon + 1, strlen(colon + 1));
		put(&to, "%", strchr(equal + 1, '%') ? 0 : 1);
		put(&to, equal + 1, strlen(equal + 1));
		char *list = expanded(m, value, strlen(value));

		if (list && from.s && to.s)
			patsubst(from.s, to.s, list, &t);
		if (t.s)
			put(out, t.s, t.n);
		free(list);
		free(t.s);
		free(from.s);
		free(to.s);
	} else if (value) {
		expand(m, value, strlen(value), out);
	}
	free(name);
}

static void expand(struct make *m, const char *s, size_t n, struct text *out)
{
	if (m->depth >= DEPTH_LIMIT || !spend(m, n + out->n / 16))
		return;
	m->depth++;
	for (size_t i = 0; i < n;) {
		const char *dollar = memchr(s + i, '$', n - i);
		size_t end, depth = 0;

		put(out, s + i, dollar ? (size_t)(dollar - s) - i : n - i);
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

void make_path(const char *dir, const char *path, char *out, size_t size)
{
	size_t n = 0, k;
	const char *parts[2] = { *path == '/' ? "" : dir, path };

	*out = 0;
	for (int i = 0; i < 2; i++) {
		for (const char *p = parts[i] + strspn(parts[i], "/"); *p;
		     p += k, p += strspn(p, "/")) {
			k = strcspn(p, "/");
			if (k == 1 && *p == '.')
				continue;
			if (k == 2 && p[0] == '.' && p[1] == '.') {
				while (n && out[n - 1] != '/')
					n--;
				n -= n > 0;
				out[n] = 0;
				continue;
			}
			if (n + k + 2 > size) {
				*out = 0;
				return;
			}
			if (n)
				out[n++] = '/';
			memcpy(out + n, p, k);
			n += k;
			out[n] = 0;
		}
	}
}

static bool list_name(const char *name)
{
	size_t n = strlen(name);
	const char *dash = strrchr(name, '-');

	return dash && (size_t)(dash - name) + 1 <= n &&
	       (!dash[1] || !strcmp(dash, "-objs") || strspn(dash + 1, "ymn") == strlen(dash + 1));
}

static int include(struct make *m, const char *rest, size_t n)
{
	char *paths = expanded(m, rest, n), path[1024], one[1024];
	int err = 0;
	size_t k;

	if (!paths)
		return -ENOMEM;
	for (const char *w = paths; !err && (k = word(&w)); w += k) {
		const char *text;

		if (k >= sizeof(one))
			continue;
		memcpy(one, w, k);
		one[k] = 0;
		make_path(m->dir, one, path, sizeof(path));
		text = m->include && m->depth < DEPTH_LIMIT / 2 ? m->include(m->priv, path) : NULL;
		if (text) {
			m->depth++;
			err = make_eval(m, text);
			m->depth--;
		}
	}
	free(paths);
	return err;
}

static int line(struct make *m, char *s)
{
	size_t n = strspn(s, " \t"), op;
	char *name, *value, *end;
	bool append;
	int err;

	s += n;
	if (!strncmp(s, "include ", 8) || !strncmp(s, "-include ", 9)) {
		s = strchr(s, ' ') + 1;
		return include(m, s, strlen(s));
	}
	/* the operator, outside any $(...) of the name */
	for (op = 0, n = 0;
	     s[op] && (n || (s[op] != '=' && s[op] != ':' && s[op] != '+' && s[op] != '?')); op++) {
		n += s[op] == '(';
		n -= n && s[op] == ')';
		if (!n && (s[op] == ' ' || s[op] == '\t') && !strchr("=:+? \t", s[op + 1]))
			return 0; /* two words: a rule or a conditional */
	}
	end = s + op + strspn(s + op, ":+?");
	if (*end != '=')
		return 0;
	append = s[op] == '+';
	name = expanded(m, s, op);
	if (!name)
		return -ENOMEM;
	n = strcspn(name, " \t");
	name[n] = 0;
	value = end + 1 + strspn(end + 1, " \t");
	/* a list keeps what any branch gives it; ":=" is expanded now, the rest later */
	append |= list_name(name);
	if (s[op] == ':' || append) {
		char *now = expanded(m, value, strlen(value));

		err = now ? set(m, name, now, append) : -ENOMEM;
		free(now);
	} else {
		err = s[op] == '?' && make_get(m, name) ? 0 : set(m, name, value, false);
	}
	free(name);
	return err;
}

int make_eval(struct make *m, const char *text)
{
	struct text t = { 0 };
	int err = 0;

	while (!err && *text && m->budget) {
		size_t n = strcspn(text, "\n");
		bool more = n && text[n - 1] == '\\';
		const char *hash = memchr(text, '#', n);

		if (hash)
			more = false;
		put(&t, text, hash ? (size_t)(hash - text) : more ? n - 1 : n);
		text += n + (text[n] == '\n');
		if (more && *text) {
			put(&t, " ", 1);
			continue;
		}
		if (t.s && t.n < (1u << 20) && spend(m, t.n + 16))
			err = line(m, t.s);
		t.n = 0;
		if (t.s)
			*t.s = 0;
	}
	err = t.oom ? -ENOMEM : err;
	free(t.s);
	return err;
}

int make_init(struct make *m, const char *dir)
{
	char rooted[1024] = "/", arch[64] = "";
	size_t n;
	int err;

	m->budget = BUDGET;
	m->dir = dir;
	strncat(rooted, dir, sizeof(rooted) - 2);
	if (!strncmp(dir, "arch/", 5)) {
		n = strcspn(dir + 5, "/");
		memcpy(arch, dir + 5, n < sizeof(arch) ? n : 0);
	}
	err = set(m, "src", rooted, false);
	err = err ? err : set(m, "obj", rooted, false);
	err = err ? err : set(m, "srctree", "/", false);
	err = err ? err : set(m, "SRCARCH", arch, false);
	return err ? err : set(m, "ARCH", arch, false);
}

void make_fini(struct make *m)
{
	for (size_t i = 0; i < m->n_vars; i++) {
		free(m->vars[i].name);
		free(m->vars[i].value);
	}
	free(m->vars);
}
