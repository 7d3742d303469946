// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Opening repositories, reading trees and blobs. */
#include "repo.h"

#include "command.h"
#include "grow.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define MAX_DEPTH 64 /* of directories; the deepest kernel tree has 13 */

int repo_complain(const struct repo *r, const char *what)
{
	const git_error *e = git_error_last();

	complain("%s: %s: %s", r->name, what, e && e->message ? e->message : "unknown error");
	return -EIO;
}

static void start_git(void)
{
	git_libgit2_init();
	/* Blobs are read once, a checkout of another user is only read, zlib checks each object. */
	git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
}

int repo_open(const char *name, struct repo *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct repo r = { .name = name };

	pthread_once(&once, start_git);
	if (access(name, F_OK)) {
		complain("%s: %s", name, strerror(errno));
		return -ENOENT;
	}
	if (git_repository_open_ext(&r.git, name, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL)) {
		complain("%s is not a git repository that can be read", name);
		return -EINVAL;
	}
	if (git_repository_is_shallow(r.git)) {
		complain("%s is a shallow clone, its history is cut off; git fetch --unshallow "
			 "completes it",
			 name);
		git_repository_free(r.git);
		return -EINVAL;
	}
	r.path = strdup(git_repository_path(r.git));
	if (!r.path) {
		git_repository_free(r.git);
		complain("out of memory");
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void repo_close(struct repo *r)
{
	git_repository_free(r->git);
	free(r->path);
	*r = (struct repo){ 0 };
}

int repo_commit(struct repo *r, const char *name, git_oid *commit)
{
	git_object *o = NULL, *c = NULL;

	if (git_revparse_single(&o, r->git, name)) {
		complain("%s has no commit or tag '%s'", r->name, name);
		return -ENOENT;
	}
	if (git_object_peel(&c, o, GIT_OBJECT_COMMIT)) {
		complain("'%s' in %s is not a commit", name, r->name);
		git_object_free(o);
		return -EINVAL;
	}
	*commit = *git_object_id(c);
	git_object_free(c);
	git_object_free(o);
	return 0;
}

int repo_tree_of(struct repo *r, const git_oid *commit, git_oid *tree)
{
	git_commit *c;

	if (git_commit_lookup(&c, r->git, commit))
		return repo_complain(r, "a commit cannot be read");
	*tree = *git_commit_tree_id(c);
	git_commit_free(c);
	return 0;
}

static int add_name(struct tree_files *t, const char *dir, size_t dirlen, const char *name,
		    size_t *at)
{
	size_t len = strlen(name), need = t->names_n + dirlen + len + 1;

	if (need > t->names_cap) {
		size_t cap = need * 2 + 4096;
		char *p = realloc(t->names, cap);

		if (!p)
			return -ENOMEM;
		t->names = p;
		t->names_cap = cap;
	}
	*at = t->names_n;
	memcpy(t->names + *at, dir, dirlen);
	memcpy(t->names + *at + dirlen, name, len + 1);
	t->names_n = need;
	return 0;
}

struct walk {
	struct repo *repo;
	struct tree_files *out;
	char dir[4096];
};

static int walk_tree(struct walk *w, const git_oid *id, size_t dirlen, unsigned int depth);

/* Paths are offsets until the walk is over, for the names move. */
static int walk_file(struct walk *w, const git_tree_entry *e, size_t dirlen)
{
	struct tree_files *t = w->out;
	enum blob_kind kind;
	size_t at;

	if (add_name(t, w->dir, dirlen, git_tree_entry_name(e), &at) ||
	    grow_room(t->v, t->n, t->cap))
		return -ENOMEM;
	kind = blob_kind(t->names + at);
	if (kind == BLOB_SKIP) {
		t->names_n = at;
		return 0;
	}
	t->v[t->n++] = (struct tree_file){ (char *)(uintptr_t)at, *git_tree_entry_id(e), kind };
	return 0;
}

static int walk_dir(struct walk *w, const git_tree_entry *e, size_t dirlen, unsigned int depth)
{
	const char *name = git_tree_entry_name(e);
	size_t len = strlen(name);

	if (depth >= MAX_DEPTH || dirlen + len + 2 > sizeof(w->dir)) {
		complain("%s: directories nest too deeply at %s", w->repo->name, w->dir);
		return -EINVAL;
	}
	memcpy(w->dir + dirlen, name, len);
	w->dir[dirlen + len] = '/';
	return walk_tree(w, git_tree_entry_id(e), dirlen + len + 1, depth + 1);
}

static int walk_tree(struct walk *w, const git_oid *id, size_t dirlen, unsigned int depth)
{
	git_tree *tree;
	int err = 0;

	if (git_tree_lookup(&tree, w->repo->git, id))
		return repo_complain(w->repo, "a tree cannot be read");
	for (size_t i = 0; !err && i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *e = git_tree_entry_byindex(tree, i);

		switch (git_tree_entry_filemode(e)) {
		case GIT_FILEMODE_TREE:
			err = walk_dir(w, e, dirlen, depth);
			break;
		case GIT_FILEMODE_BLOB:
		case GIT_FILEMODE_BLOB_EXECUTABLE:
			err = walk_file(w, e, dirlen);
			break;
		default: /* links and submodules */
			break;
		}
	}
	git_tree_free(tree);
	return err;
}

int repo_list(struct repo *r, const git_oid *tree, struct tree_files *out)
{
	struct walk w = { .repo = r, .out = out };
	int err;

	*out = (struct tree_files){ 0 };
	err = walk_tree(&w, tree, 0, 0);
	for (size_t i = 0; i < out->n; i++)
		out->v[i].path = out->names + (uintptr_t)out->v[i].path;
	if (err == -ENOMEM)
		complain("out of memory");
	if (err)
		tree_files_free(out);
	return err;
}

void tree_files_free(struct tree_files *t)
{
	free(t->v);
	free(t->names);
	*t = (struct tree_files){ 0 };
}

int repo_lookup(struct repo *r, const git_oid *tree, const char *path, git_oid *id)
{
	git_tree_entry *e = NULL;
	git_tree *t;
	int err;

	if (git_oid_is_zero(tree))
		return -ENOENT;
	if (git_tree_lookup(&t, r->git, tree))
		return repo_complain(r, "a tree cannot be read");
	err = git_tree_entry_bypath(&e, t, path);
	if (err == GIT_ENOTFOUND || (!err && git_tree_entry_type(e) != GIT_OBJECT_BLOB))
		err = -ENOENT;
	else if (err)
		err = repo_complain(r, "a tree cannot be read");
	else
		*id = *git_tree_entry_id(e);
	git_tree_entry_free(e);
	git_tree_free(t);
	return err;
}

int repo_read(struct repo *r, const git_oid *id, char **data, size_t *len)
{
	git_blob *b;

	if (git_blob_lookup(&b, r->git, id))
		return repo_complain(r, "a file cannot be read");
	*len = (size_t)git_blob_rawsize(b);
	*data = malloc(*len + 1);
	if (*data) {
		memcpy(*data, git_blob_rawcontent(b), *len);
		(*data)[*len] = 0;
	} else {
		complain("out of memory");
	}
	git_blob_free(b);
	return *data ? 0 : -ENOMEM;
}
