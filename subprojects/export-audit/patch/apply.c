// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Applies a diff file by file, then makes the tree with all changes. */
#include "patch/apply.h"
#include "base/grow.h"
#include "base/span.h"
#include "patch/hunk.h"
#include "patch/section.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MODE_LINK_TO_COMMIT 0160000u
#define MODE_FILE 0100644u

/* The new content of a path. */
struct change {
	char *path;
	git_oid id;
	uint32_t mode; /* 0: it goes */
};

struct patching {
	struct repo *repo;
	const git_oid *before;
	struct change *v; /* a path may have two entries: adding it wins over removing it */
	size_t n, cap;
	char *why;
};

const char *diff_find(const char *s, size_t len)
{
	const char *end = s + len;

	for (; s < end; s = span_line_end(s, end))
		if (section_starts(s, end))
			return s;
	return NULL;
}

__attribute__((format(printf, 2, 3))) static int refuse(struct patching *p, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(p->why, APPLY_WHY, format, ap);
	va_end(ap);
	return -EINVAL;
}

static int add(struct patching *p, const char *path, const git_oid *id, uint32_t mode)
{
	if (grow_room(p->v, p->n, p->cap))
		return -ENOMEM;
	p->v[p->n] = (struct change){ .path = strdup(path), .mode = mode };
	if (id)
		p->v[p->n].id = *id;
	return p->v[p->n++].path ? 0 : -ENOMEM;
}

/* Has this diff changed or removed the path already? */
static const struct change *changed(const struct patching *p, const char *path)
{
	for (size_t i = p->n; i--;)
		if (!strcmp(p->v[i].path, path))
			return &p->v[i];
	return NULL;
}

/* Return: 1 and what the path is in the tree before; 0: nothing; -errno after a complaint. */
static int look_up(struct patching *p, const char *path, git_oid *id, uint32_t *mode)
{
	git_tree_entry *e = NULL;
	git_tree *t;
	int err;

	if (git_tree_lookup(&t, p->repo->git, p->before))
		return repo_complain(p->repo, "a tree cannot be read");
	err = git_tree_entry_bypath(&e, t, path);
	git_tree_free(t);
	if (err)
		return 0;
	*id = *git_tree_entry_id(e);
	*mode = (uint32_t)git_tree_entry_filemode_raw(e);
	git_tree_entry_free(e);
	return *mode != GIT_FILEMODE_TREE;
}

/*
 * Finds the file that a section starts from. A second section for a file starts from the result of
 * the first.
 */
static int source(struct patching *p, const struct section *s, git_oid *id, uint32_t *mode)
{
	const struct change *c = changed(p, s->old_path);
	bool same = s->new_path && !strcmp(s->old_path, s->new_path);
	int found;

	if (c && same && c->mode) {
		*id = c->id;
		*mode = c->mode;
		return 0;
	}
	found = look_up(p, s->old_path, id, mode);
	if (found < 0)
		return found;
	return found ? 0 : refuse(p, "there is no file %s in the tree", s->old_path);
}

static int write_text(struct patching *p, const struct image *i, git_oid *id)
{
	size_t len;
	char *text = image_text(i, &len);
	int err = 0;

	if (!text)
		return -ENOMEM;
	if (git_blob_create_from_buffer(id, p->repo->git, text, len))
		err = repo_complain(p->repo, "a patched file cannot be kept");
	free(text);
	return err;
}

/* *ID, the file before, becomes the file after; S->end moves behind the hunks. */
static int patch_text(struct patching *p, struct section *s, const char *end, git_oid *id)
{
	struct image i;
	char *text = NULL;
	size_t len = 0;
	int err = git_oid_is_zero(id) ? 0 : repo_read(p->repo, id, &text, &len);

	if (!err)
		err = image_new(text ? text : "", len, &i);
	if (err) {
		free(text);
		return err;
	}
	if (s->hunks)
		err = image_apply(&i, s->hunks, end, &s->end);
	if (err == -EINVAL)
		refuse(p, "%s: %s", s->new_path ? s->new_path : s->old_path, i.why);
	if (!err && s->new_path)
		err = write_text(p, &i, id);
	else if (!err && i.n && s->hunks)
		err = refuse(p, "%s is not empty when it is removed", s->old_path);
	image_free(&i);
	free(text);
	return err;
}

/* libgit2 knows the encoding of binary changes. */
static int patch_binary(struct patching *p, struct section *s, const char *end, git_oid *id)
{
	git_diff *diff = NULL;
	git_tree *tree = NULL;
	git_index *index = NULL;
	const git_index_entry *e = NULL;
	int err = 0;

	for (s->end = span_line_end(s->end, end); s->end < end && !section_starts(s->end, end);)
		s->end = span_line_end(s->end, end);
	if (!s->new_path)
		return 0;
	if (!git_diff_from_buffer(&diff, s->start, (size_t)(s->end - s->start)) &&
	    !git_tree_lookup(&tree, p->repo->git, p->before) &&
	    !git_apply_to_tree(&index, p->repo->git, tree, diff, NULL))
		e = git_index_get_bypath(index, s->new_path, 0);
	if (e)
		*id = e->id;
	else
		err = refuse(p, "%s: its change is binary and cannot be applied", s->new_path);
	git_index_free(index);
	git_tree_free(tree);
	git_diff_free(diff);
	return err;
}

/* Neither file is there when it must not be, or missing when it has to be. */
static int check_target(struct patching *p, const struct section *s)
{
	const struct change *c;
	git_oid id;
	uint32_t mode;
	int found;

	if (!s->new_path || (s->old_path && !strcmp(s->old_path, s->new_path)))
		return 0;
	c = changed(p, s->new_path);
	if (c && !c->mode)
		return 0; /* it has gone or moved away before */
	found = c ? 1 : look_up(p, s->new_path, &id, &mode);
	if (found < 0)
		return found;
	/* two files that change places are a rename each */
	return found && !(s->old_path && !c) ? refuse(p, "%s is in the tree already", s->new_path)
					     : 0;
}

static int one_file(struct patching *p, struct section *s, const char *end)
{
	git_oid id = { 0 };
	uint32_t mode = MODE_FILE;
	int err = check_target(p, s);

	if (!err && s->old_path)
		err = source(p, s, &id, &mode);
	if (err)
		return err;
	if (s->new_mode)
		mode = s->new_mode;
	if (s->binary)
		err = patch_binary(p, s, end, &id);
	else if (mode == MODE_LINK_TO_COMMIT || s->old_mode == MODE_LINK_TO_COMMIT)
		return 0; /* another repository: the tree is judged without it */
	else if (s->hunks || !s->old_path)
		err = patch_text(p, s, end, &id);
	if (!err && s->old_path && !s->copied &&
	    (!s->new_path || strcmp(s->old_path, s->new_path) != 0))
		err = add(p, s->old_path, NULL, 0);
	if (!err && s->new_path)
		err = add(p, s->new_path, &id, mode);
	return err;
}

/* libgit2 refuses a file in the place of a folder, so removals come first. */
static int update(struct patching *p, const git_oid *from, bool coming, git_oid *to)
{
	git_tree_update *u = calloc(p->n + 1, sizeof(*u));
	git_tree *tree = NULL;
	size_t used = 0;
	int err = 0;

	if (!u)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++) {
		const struct change *c = &p->v[i];

		if (!c->mode == coming || changed(p, c->path) != c)
			continue;
		u[used++] = (git_tree_update){ .action = coming ? GIT_TREE_UPDATE_UPSERT
								: GIT_TREE_UPDATE_REMOVE,
					       .id = c->id,
					       .filemode = (git_filemode_t)c->mode,
					       .path = c->path };
	}
	if (git_tree_lookup(&tree, p->repo->git, from) ||
	    git_tree_create_updated(to, p->repo->git, tree, used, u))
		err = refuse(p, "the tree with its files cannot be made: %s",
			     git_error_last() ? git_error_last()->message : "unknown error");
	git_tree_free(tree);
	free(u);
	return err;
}

/* A path that is removed and added again is only added. */
static void settle(struct patching *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		bool comes = p->v[i].mode;

		for (size_t k = 0; k < p->n && !comes; k++)
			comes = p->v[k].mode && !strcmp(p->v[k].path, p->v[i].path);
		if (comes && !p->v[i].mode)
			free(p->v[i].path);
		else
			p->v[n++] = p->v[i];
	}
	p->n = n;
}

static int all_files(struct patching *p, const char *text, size_t len)
{
	const char *end = text + len, *s = text;
	int err = 0;

	while (!err && s < end) {
		struct section one;

		if (!section_starts(s, end)) {
			s = span_line_end(s, end);
			continue;
		}
		err = section_read(s, end, &one);
		if (err == -EINVAL)
			return refuse(p, "it is not a diff at \"%.*s\"",
				      (int)(span_line_end(s, end) - s - 1), s);
		if (err)
			break;
		err = one_file(p, &one, end);
		s = one.end;
		section_free(&one);
	}
	return err;
}

int diff_apply(struct repo *r, const git_oid *before, const char *text, size_t len, git_oid *after,
	       char why[APPLY_WHY])
{
	struct patching p = { .repo = r, .before = before, .why = why };
	git_oid without;
	int err;

	*why = 0;
	err = all_files(&p, text, len);
	if (!err && !p.n)
		err = refuse(&p, "it is not a diff");
	if (!err)
		settle(&p);
	if (!err)
		err = update(&p, before, false, &without);
	if (!err)
		err = update(&p, &without, true, after);
	for (size_t i = 0; i < p.n; i++)
		free(p.v[i].path);
	free(p.v);
	return err;
}
