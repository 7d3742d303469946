// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Which consumer of a symbol a message names as the module that needs it. The resolver knows that
 * there is one; the Makefiles beside the consumers tell well enough which.
 */
#include "gate/gate.h"
#include "text/source.h"

#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 4     /* of objects made of objects */
#define MAX_WORDS 10000 /* that are looked at for one: lists may name each other, many times */

static const char *makefile(const struct gate *g, const char *dir, size_t n, const char *name)
{
	const struct blob *b;
	char path[4096];
	uint32_t at;

	if (snprintf(path, sizeof(path), "%.*s%s", (int)n, dir, name) >= (int)sizeof(path))
		return NULL;
	at = file_find(g->head.facts, g->head.n, path);
	if (at == UINT32_MAX)
		return NULL;
	b = g->head.facts[at].blob;
	return blob_str(b, b->text_str);
}

/*
 * The variable that the words at P are assigned to: the start of the line, or of the first of
 * several lines that a \ joins.
 */
static const char *variable(const char *text, const char *p)
{
	const char *line = p;

	for (;;) {
		while (line > text && line[-1] != '\n')
			line--;
		if (line - text < 2 || line[-2] != '\\')
			break;
		line--;
	}
	return line + strspn(line, " \t");
}

static bool is_end(char c)
{
	return !c || strchr(" \t\n\r\\)", c);
}

/* How far one look has come. */
struct look {
	const char *text;
	unsigned int words;
};

static bool in_lists(struct look *l, const char *stem, size_t n, int depth);

/* The Makefile lists the object at AT: does that make it part of a module? */
static bool in_list(struct look *l, const char *at, int depth)
{
	const char *name = variable(l->text, at), *dash;
	size_t n = strcspn(name, " \t:+=\n");

	if (!strncmp(name, "obj-", 4) || !strncmp(name, "lib-", 4))
		return !((n == 5 && strchr("yn", name[4])) || n == 4);
	dash = memrchr(name, '-', n);
	return !dash || depth == MAX_DEPTH || in_lists(l, name, (size_t)(dash - name), depth + 1);
}

/* True, too, where there are too many lists to tell. */
static bool in_lists(struct look *l, const char *stem, size_t n, int depth)
{
	const char *text = l->text;
	bool found = false;

	for (const char *p = text; (p = memmem(p, strlen(p), stem, n)); p += n) {
		if ((p > text && !strchr(" \t=\n", p[-1])) || strncmp(p + n, ".o", 2) ||
		    !is_end(p[n + 2]))
			continue;
		found = true;
		if (++l->words > MAX_WORDS || in_list(l, p, depth))
			return true;
	}
	return !found;
}

static bool may_be_module(const struct gate *g, const char *path)
{
	const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
	const char *const names[] = { "Makefile", "Kbuild" };
	size_t n = strcspn(stem, ".");

	for (int i = 0; i < 2; i++) {
		struct look l = { makefile(g, path, (size_t)(stem - path), names[i]), 0 };

		if (l.text && !in_lists(&l, stem, n, 0))
			return false;
	}
	return true;
}

const char *gate_modular(const struct gate *g, const struct graph_symbol *s)
{
	if (s->modular == VERDICT_UNCONSUMED || !s->n_consumers)
		return NULL;
	for (uint32_t i = 0; i < s->n_consumers; i++)
		if (may_be_module(g, g->head.facts[s->consumers[i]].path))
			return g->head.facts[s->consumers[i]].path;
	return g->head.facts[s->consumers[0]].path;
}
