// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads the lists of a Makefile, and the lists that their members name. */
#include "kbuild/members.h"
#include "base/grow.h"
#include "kbuild/lists.h"
#include "kbuild/path.h"
#include "kbuild/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_LIMIT 6
#define WORDS 100000u /* that are looked at in one Makefile; 6.12 needs 1,000 at most */

static int add_module(struct built *b, struct state *s, const char *name, size_t n)
{
	for (uint32_t i = s->modules; i; i = b->modules[i - 1].next)
		if (strlen(b->modules[i - 1].name) == n && !memcmp(b->modules[i - 1].name, name, n))
			return 0;
	if (grow_room(b->modules, b->n_modules, b->c_modules))
		return -ENOMEM;
	b->modules[b->n_modules] = (struct module){ s->modules, strndup(name, n) };
	if (!b->modules[b->n_modules].name)
		return -ENOMEM;
	s->modules = (uint32_t)++b->n_modules;
	return 0;
}

/* One list being read: what it makes, and the module that its members are parts of. */
struct list {
	struct built *b;
	const struct make *m;
	uint32_t how, folder;
	const char *module;
	size_t module_len;
	int depth;
};

static int members(const struct list *l, const char *stem, size_t n);

static uint32_t source_of(const struct list *l, const char *w, size_t n, const char *suffix)
{
	char object[512], path[1024];

	if (n >= sizeof(object) - 12)
		return UINT32_MAX;
	memcpy(object, w, n);
	strcpy(object + n, suffix);
	make_path(l->m->dir, object, path, sizeof(path));
	return file_find(l->b->files, l->b->n_files, path);
}

static int add_source(const struct list *l, uint32_t file)
{
	struct state *s = &l->b->states[file];
	char dir[512];

	s->listed = true;
	s->how |= (uint8_t)l->how;
	if (l->how & (BUILT_IN | BUILT_MODULE)) {
		s->several |= s->folder && s->folder != l->folder;
		s->folder = l->folder;
	}
	snprintf(dir, sizeof(dir), "%s/", l->m->dir);
	if (!strncmp(dir, "arch/", 5) && s->arches != UINT64_MAX)
		s->arches |= arches_of(&l->b->arches, dir);
	return l->how & BUILT_MODULE ? add_module(l->b, s, l->module, l->module_len) : 0;
}

static int descend(const struct list *l, const char *w, size_t n)
{
	char word[512], path[1024];

	if (n >= sizeof(word))
		return 0;
	memcpy(word, w, n);
	word[n] = 0;
	make_path(l->m->dir, word, path, sizeof(path));
	return folders_descend(l->b->folders, l->folder, path, l->how & (BUILT_IN | BUILT_MODULE));
}

static int add_object(const struct list *l, const char *w, size_t n)
{
	static const char *const suffixes[] = { ".c", ".S", ".rs", ".c_shipped", ".S_shipped" };
	struct list in = *l;
	int err = 0;

	if (n && w[n - 1] == '/' && !l->module)
		return descend(l, w, n);
	if (n < 3 || strncmp(w + n - 2, ".o", 2))
		return 0;
	n -= 2;
	l->b->any = true;
	folders_lists(l->b->folders, l->folder);
	if (!in.module) {
		in.module_len = n;
		in.module = w;
		for (size_t i = 0; i < n; i++)
			if (w[i] == '/') {
				in.module = w + i + 1;
				in.module_len = n - i - 1;
			}
	}
	if (++in.depth < DEPTH_LIMIT)
		err = members(&in, w, n);
	for (size_t i = 0; !err && i < 5; i++) {
		uint32_t file = source_of(&in, w, n, suffixes[i]);

		if (file != UINT32_MAX)
			err = add_source(&in, file);
	}
	return err;
}

static int objects(const struct list *l, const char *value)
{
	size_t k;
	int err = 0;

	for (const char *w = value; !err && *(w += strspn(w, " \t")); w += k) {
		k = strcspn(w, " \t");
		if (l->b->words++ > WORDS)
			break;
		err = add_object(l, w, k);
	}
	return err;
}

/* Reads STEM-y, STEM-objs and so on. An object that is only in STEM-n is linked into nothing. */
static int members(const struct list *l, const char *stem, size_t n)
{
	int err = 0;

	for (size_t i = 0; !err && i < l->m->n_vars; i++) {
		const struct make_var *v = &l->m->vars[i];
		struct list in = *l;

		if (strncmp(v->name, stem, n) || v->name[n] != '-' ||
		    kbuild_composite_stem(v->name) != n)
			continue;
		if (!strcmp(v->name + n, "-n"))
			in.how = BUILT_NEVER;
		err = objects(&in, v->value);
	}
	return err;
}

/*
 * What the list makes, by the end of its name: "y", "m", "n". Empty: a variable was not understood.
 */
static uint32_t kind_of_list(const char *end)
{
	if (!*end)
		return BUILT_IN | BUILT_MODULE;
	if (strchr(end, 'n'))
		return BUILT_NEVER;
	return strchr(end, 'm') ? BUILT_MODULE | BUILT_IN : BUILT_IN;
}

/* Programs: "hostprogs := a", "userprogs-always-y += b"; of one source or of a-objs. */
static int programs(const struct list *l, const char *value)
{
	size_t k;
	int err = 0;

	for (const char *w = value; !err && *(w += strspn(w, " \t")); w += k) {
		uint32_t file;

		k = strcspn(w, " \t");
		file = source_of(l, w, k, ".c");
		if (file != UINT32_MAX)
			err = add_source(l, file);
		err = err ? err : members(l, w, k);
	}
	return err;
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

static int add_wrap(struct built *b, uint32_t file, const char *name, size_t n)
{
	if (grow_room(b->wraps, b->n_wraps, b->c_wraps))
		return -ENOMEM;
	b->wraps[b->n_wraps] = (struct wrap){ file, strndup(name, n) };
	return b->wraps[b->n_wraps++].name ? 0 : -ENOMEM;
}

/* A --wrap among the flags of the linker holds for each object that the Makefile lists. */
static int wraps_of(struct built *b, const struct make *m, const char *flags)
{
	int err = 0;

	for (const char *p = flags; !err && (p = strstr(p, "-wrap")); p++) {
		const char *name = p + 5 + strspn(p + 5, "=, \t");
		size_t n = strcspn(name, " \t,");

		for (size_t i = 0; !err && n && p[5] && i < m->n_vars; i++) {
			const char *list = m->vars[i].name;
			size_t k;

			if (!kbuild_top_list(list) && !kbuild_composite_stem(list))
				continue;
			for (const char *w = m->vars[i].value; !err && *(w += strspn(w, " \t"));
			     w += k) {
				struct list l = { .b = b, .m = m };
				uint32_t file;

				k = strcspn(w, " \t");
				if (b->words++ > WORDS)
					return 0;
				file = k > 2 ? source_of(&l, w, k - 2, ".c") : UINT32_MAX;
				if (file != UINT32_MAX)
					err = add_wrap(b, file, name, n);
			}
		}
	}
	return err;
}

int members_read(struct built *b, const struct make *m)
{
	uint32_t folder = folders_add(b->folders, m->dir);
	int err = folder ? 0 : -ENOMEM;

	b->words = 0;
	for (size_t i = 0; !err && i < m->n_vars; i++) {
		const struct make_var *v = &m->vars[i];
		struct list l = { .b = b, .m = m, .folder = folder };

		if (kbuild_top_list(v->name)) {
			l.how = kind_of_list(v->name + 4);
			err = objects(&l, v->value);
		} else if (!strcmp(v->name, "extra-y")) {
			l.how = BUILT_IN;
			err = objects(&l, v->value);
		} else if (starts(v->name, "hostprogs") || starts(v->name, "userprogs") ||
			   starts(v->name, "host-progs")) {
			l.how = BUILT_PROGRAM;
			err = programs(&l, v->value);
		}
		if (!err && strcasestr(v->name, "ldflags"))
			err = wraps_of(b, m, v->value);
	}
	return err;
}
