// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Opening repositories, reading trees and blobs. */
#include "git/repo.h"
#include "base/complain.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

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
	r.shallow = git_repository_is_shallow(r.git);
	r.path = strdup(git_repository_path(r.git));
	if (!r.path) {
		git_repository_free(r.git);
		complain("out of memory");
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

int repo_want_history(const struct repo *r)
{
	if (!r->shallow)
		return 0;
	complain("%s is a shallow clone, its history is cut off; git fetch --unshallow "
		 "completes it",
		 r->name);
	return -EINVAL;
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
