// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A small make: reads the lines of a Makefile. */
#include "kbuild/make.h"
#include "kbuild/evaluate.h"
#include "kbuild/path.h"
#include "kbuild/words.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET (32u << 20) /* nouveau, the greediest Makefile of 6.12, takes 6 MiB */

static bool list_name(const char *name)
{
	size_t n = strlen(name);
	const char *dash = strrchr(name, '-');

	return dash && (size_t)(dash - name) + 1 <= n &&
	       (!dash[1] || !strcmp(dash, "-objs") || strspn(dash + 1, "ymn") == strlen(dash + 1));
}

static int include(struct make *m, const char *rest, size_t n)
{
	char *paths = make_expanded(m, rest, n), path[1024], one[1024];
	int err = 0;
	size_t k;

	if (!paths)
		return -ENOMEM;
	for (const char *w = paths; !err && (k = words_next(&w)); w += k) {
		const char *text;

		if (k >= sizeof(one))
			continue;
		memcpy(one, w, k);
		one[k] = 0;
		make_path(m->dir, one, path, sizeof(path));
		text = m->include && m->depth < MAKE_DEPTH / 2 ? m->include(m->priv, path) : NULL;
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
			return 0; /* two words: this is a rule or a conditional */
	}
	end = s + op + strspn(s + op, ":+?");
	if (*end != '=')
		return 0;
	append = s[op] == '+';
	name = make_expanded(m, s, op);
	if (!name)
		return -ENOMEM;
	n = strcspn(name, " \t");
	name[n] = 0;
	value = end + 1 + strspn(end + 1, " \t");
	/* a list keeps the words of all branches; ":=" is expanded now, "=" later */
	append |= list_name(name);
	if (s[op] == ':' || append) {
		char *now = make_expanded(m, value, strlen(value));

		err = now ? make_set(m, name, now, append) : -ENOMEM;
		free(now);
	} else {
		err = s[op] == '?' && make_get(m, name) ? 0 : make_set(m, name, value, false);
	}
	free(name);
	return err;
}

int make_eval(struct make *m, const char *text)
{
	struct words t = { 0 };
	int err = 0;

	while (!err && *text && m->budget) {
		size_t n = strcspn(text, "\n");
		bool more = n && text[n - 1] == '\\';
		const char *hash = memchr(text, '#', n);

		if (hash)
			more = false;
		words_put(&t, text, hash ? (size_t)(hash - text) : more ? n - 1 : n);
		text += n + (text[n] == '\n');
		if (more && *text) {
			words_put(&t, " ", 1);
			continue;
		}
		if (t.s && t.n < (1u << 20) && make_spend(m, t.n + 16))
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
	err = make_set(m, "src", rooted, false);
	err = err ? err : make_set(m, "obj", rooted, false);
	err = err ? err : make_set(m, "srctree", "/", false);
	err = err ? err : make_set(m, "SRCARCH", arch, false);
	return err ? err : make_set(m, "ARCH", arch, false);
}

void make_fini(struct make *m)
{
	for (size_t i = 0; i < m->n_vars; i++) {
		free(m->vars[i].name);
		free(m->vars[i].value);
	}
	free(m->vars);
}
