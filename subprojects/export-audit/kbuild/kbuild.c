// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Composite objects out of the Makefiles of a tree. */
#include "kbuild/kbuild.h"
#include "kbuild/lists.h"
#include "kbuild/make.h"
#include "kbuild/members.h"
#include "kbuild/path.h"
#include "text/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct units {
	uint32_t own; /* the unit of a file in no composite object */
	uint32_t *ids, n;
};

struct namespace
{
	char *dir, *name;
	bool below; /* subdir-ccflags-y */
};

struct kbuild {
	const struct source_file *files;
	uint32_t n_files, n_units;
	struct units *units;
	struct namespace *ns;
	uint32_t n_ns;
	const struct kconfig *kconfig;
	struct built *built;
	bool added; /* the Makefile being read is of a tree that was added */
};

static int add_unit(struct units *u, uint32_t id)
{
	uint32_t *ids;

	for (uint32_t i = 0; i < u->n; i++)
		if (u->ids[i] == id)
			return 0;
	ids = realloc(u->ids, (u->n + 1) * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	u->ids = ids;
	ids[u->n++] = id;
	return 0;
}

uint32_t kbuild_units(const struct kbuild *k, uint32_t file, const uint32_t **units)
{
	const struct units *u = &k->units[file];

	*units = u->n ? u->ids : &u->own;
	return u->n ? u->n : 1;
}

int kbuild_join(struct kbuild *k, uint32_t file, uint32_t includer)
{
	const uint32_t *ids;
	uint32_t n = kbuild_units(k, includer, &ids);
	int err = 0;

	if (file == includer)
		return 0;
	for (uint32_t i = 0; !err && i < n; i++)
		err = add_unit(&k->units[file], ids[i]);
	return err;
}

static const char *include_text(void *priv, const char *path)
{
	struct kbuild *k = priv;
	uint32_t i = file_find(k->files, k->n_files, path);

	if (i == UINT32_MAX || k->files[i].blob->kind != BLOB_MAKE)
		return NULL;
	return blob_str(k->files[i].blob, k->files[i].blob->text_str);
}

static bool has_word(const char *list, const char *w, size_t n)
{
	for (const char *p = list; p && (p = strstr(p, w)); p += n)
		if ((p == list || p[-1] == ' ' || p[-1] == '\t') &&
		    (!p[n] || p[n] == ' ' || p[n] == '\t'))
			return true;
	return false;
}

struct composite {
	struct kbuild *k;
	const struct make *m;
	uint32_t unit;
	int depth;
	/* how deep each list of members was when it was read, 0 for not at all */
	unsigned char *read;
};

static int add_members(struct composite *c, const char *stem, size_t n);

static int add_object(struct composite *c, const char *w, size_t n)
{
	static const char *const suffixes[] = { ".c", ".S", ".rs", ".c_shipped" };
	char object[512], path[1024];
	int err = 0;

	if (n < 3 || n >= sizeof(object) - 12 || strncmp(w + n - 2, ".o", 2))
		return 0;
	err = c->depth < 6 ? add_members(c, w, n - 2) : 0;
	for (size_t i = 0; !err && i < 4; i++) {
		uint32_t file;

		memcpy(object, w, n - 2);
		strcpy(object + n - 2, suffixes[i]);
		make_path(c->m->dir, object, path, sizeof(path));
		file = file_find(c->k->files, c->k->n_files, path);
		if (file != UINT32_MAX)
			err = add_unit(&c->k->units[file], c->unit);
	}
	return err;
}

static int add_members(struct composite *c, const char *stem, size_t n)
{
	int err = 0;

	c->depth++;
	for (size_t i = 0; !err && i < c->m->n_vars; i++) {
		const struct make_var *v = &c->m->vars[i];
		size_t k;

		if (strncmp(v->name, stem, n) || v->name[n] != '-' ||
		    kbuild_composite_stem(v->name) != n)
			continue;
		/* Lists may name each other, many times. What was read less deep has it all. */
		if (c->read[i] && c->read[i] <= c->depth)
			continue;
		c->read[i] = (unsigned char)c->depth;
		for (const char *w = v->value; !err && *(w += strspn(w, " \t")); w += k) {
			k = strcspn(w, " \t");
			err = add_object(c, w, k);
		}
	}
	c->depth--;
	return err;
}

static bool listed(const struct make *m, const char *stem, size_t n)
{
	char object[512];

	if (n + 3 > sizeof(object))
		return false;
	memcpy(object, stem, n);
	strcpy(object + n, ".o");
	for (size_t i = 0; i < m->n_vars; i++)
		if (kbuild_top_list(m->vars[i].name) && has_word(m->vars[i].value, object, n + 2))
			return true;
	return false;
}

static int add_namespace(struct kbuild *k, const struct make *m)
{
	static const char *const vars[] = { "ccflags-y", "subdir-ccflags-y" };

	for (int i = 0; i < 2; i++) {
		const char *v = make_get(m, vars[i]),
			   *at = v ? strstr(v, "-DDEFAULT_SYMBOL_NAMESPACE=") : NULL;
		struct namespace *ns;
		size_t n;

		if (!at)
			continue;
		at += 27;
		at += strspn(at, "'\"\\");
		n = strcspn(at, "'\"\\ \t");
		ns = realloc(k->ns, (k->n_ns + 1) * sizeof(*ns));
		if (!ns)
			return -ENOMEM;
		k->ns = ns;
		ns[k->n_ns] = (struct namespace){ strdup(m->dir), strndup(at, n), i == 1 };
		if (!ns[k->n_ns].dir || !ns[k->n_ns].name)
			return -ENOMEM;
		k->n_ns++;
	}
	return 0;
}

const char *kbuild_namespace(const struct kbuild *k, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	for (uint32_t i = 0; i < k->n_ns; i++) {
		size_t d = strlen(k->ns[i].dir);

		if (d <= n && !strncmp(k->ns[i].dir, path, d) &&
		    (d == n || (k->ns[i].below && path[d] == '/')))
			return k->ns[i].name;
	}
	return NULL;
}

static char option(void *priv, const char *name, size_t len)
{
	const struct kbuild *k = priv;
	char v = kconfig_value(k->kconfig, name, len);

	return v == 'n' && k->added ? 'm' : v;
}

/* Kbuild.in is what configure makes a Kbuild of. */
static bool of_kbuild(const char *base)
{
	return !strcmp(base, "Makefile") || !strcmp(base, "Kbuild") || !strcmp(base, "Kbuild.in");
}

/* The files of automake and autoconf say nothing about the kernel. */
static bool of_autotools(const char *base)
{
	const char *dot = strrchr(base, '.');

	return dot && (!strcmp(dot, ".am") || !strcmp(dot, ".in"));
}

/* The units of the Makefile's modules. */
static int add_composites(struct kbuild *k, const struct make *m)
{
	unsigned char *read = calloc(m->n_vars ? m->n_vars : 1, 1);
	int err = read ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < m->n_vars; i++) {
		size_t n = kbuild_composite_stem(m->vars[i].name);
		struct composite c = { .k = k, .m = m, .unit = k->n_units, .read = read };
		bool first = n > 0;

		for (size_t j = 0; first && j < i; j++) /* one unit for all lists of a stem */
			first = kbuild_composite_stem(m->vars[j].name) != n ||
				strncmp(m->vars[j].name, m->vars[i].name, n);
		if (!first || !listed(m, m->vars[i].name, n))
			continue;
		k->n_units++;
		memset(read, 0, m->n_vars);
		err = add_members(&c, m->vars[i].name, n);
	}
	free(read);
	return err;
}

static int read_makefile(struct kbuild *k, uint32_t file)
{
	const char *path = k->files[file].path, *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	struct make m = { .include = include_text, .option = option, .priv = k };
	char *dir;
	int err = of_kbuild(base) || !of_autotools(base) ? built_words(k->built, file) : 0;

	k->added = path_is_added(path);
	if (err || !of_kbuild(base))
		return err; /* it is evaluated where a Makefile includes it */
	dir = strndup(path, slash ? (size_t)(slash - path) : 0);
	if (!dir)
		return -ENOMEM;
	err = make_init(&m, dir);
	err = err ? err
		  : make_eval(&m, blob_str(k->files[file].blob, k->files[file].blob->text_str));
	err = err ? err : add_composites(k, &m);
	err = err ? err : add_namespace(k, &m);
	err = err ? err : members_read(k->built, &m);
	make_fini(&m);
	free(dir);
	return err;
}

int kbuild_read(const struct source_file *files, uint32_t n_files, const struct kconfig *kconfig,
		struct built *built, struct kbuild **out)
{
	struct kbuild *k = calloc(1, sizeof(*k));
	int err = 0;

	if (!k)
		return -ENOMEM;
	k->files = files;
	k->kconfig = kconfig;
	k->built = built;
	k->n_files = k->n_units = n_files;
	k->units = calloc(n_files ? n_files : 1, sizeof(*k->units));
	if (!k->units)
		err = -ENOMEM;
	for (uint32_t i = 0; !err && i < n_files; i++)
		k->units[i].own = i;
	for (uint32_t i = 0; !err && i < n_files; i++)
		if (files[i].blob->kind == BLOB_MAKE)
			err = read_makefile(k, i);
	if (err) {
		kbuild_free(k);
		return err;
	}
	*out = k;
	return 0;
}

void kbuild_free(struct kbuild *k)
{
	if (!k)
		return;
	for (uint32_t i = 0; k->units && i < k->n_files; i++)
		free(k->units[i].ids);
	for (uint32_t i = 0; i < k->n_ns; i++) {
		free(k->ns[i].dir);
		free(k->ns[i].name);
	}
	free(k->units);
	free(k->ns);
	free(k);
}
