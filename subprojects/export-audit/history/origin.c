// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "history/origin.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct search {
	struct harvest *h;
	const char *path, *name;
	bool as_text;    /* a macro makes the export: look for the name itself */
	git_oid last_id; /* a blob that has it */
};

static bool blob_exports(const struct blob *b, const char *name)
{
	const struct blob_export *e = BLOB_ARRAY(b, blob_export, exports);

	for (uint32_t i = 0; i < b->n_exports; i++)
		if (!strcmp(blob_str(b, e[i].name_str), name))
			return true;
	return false;
}

static bool word_char(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

static bool text_has(const char *text, size_t len, const char *name)
{
	size_t n = strlen(name);
	const char *p = text;

	while ((p = memmem(p, len - (size_t)(p - text), name, n))) {
		if ((p == text || !word_char(p[-1])) && !word_char(p[n]))
			return true;
		p += n;
	}
	return false;
}

/* Return: 1 if the path of the tree has it, 0 if not, or -errno. */
static int has(struct search *s, const git_oid *tree)
{
	const struct blob *b;
	git_oid id;
	char *text;
	size_t len;
	int err;

	err = repo_lookup(s->h->repo, tree, s->path, &id);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (git_oid_equal(&id, &s->last_id))
		return 1;
	if (s->as_text) {
		err = repo_read(s->h->repo, &id, &text, &len);
		if (!err) {
			err = text_has(text, len, s->name);
			free(text);
		}
	} else {
		err = harvest_blob(s->h, s->path, &id, &b);
		if (!err)
			err = blob_exports(b, s->name);
	}
	if (err == 1)
		s->last_id = id;
	return err;
}

/* Return: 1 and *at is the first parent that has it; 0: none; or -errno. */
static int step(struct search *s, git_oid *at)
{
	git_commit *c, *parent;
	int found = 0;

	if (git_commit_lookup(&c, s->h->repo->git, at))
		return repo_complain(s->h->repo, "a commit cannot be read");
	for (unsigned int i = 0; !found && i < git_commit_parentcount(c); i++) {
		if (git_commit_parent(&parent, c, i)) {
			found = s->h->repo->shallow
					? /* it may be older than what is there */
					-ENOENT
					: repo_complain(s->h->repo, "a commit cannot be read");
			break;
		}
		found = has(s, git_commit_tree_id(parent));
		if (found == 1)
			*at = *git_commit_id(parent);
		git_commit_free(parent);
	}
	git_commit_free(c);
	return found;
}

int origin_find(struct harvest *h, const git_oid *start, const char *path, const char *name,
		git_oid *commit)
{
	struct search s = { .h = h, .path = path, .name = name };
	git_oid tree;
	int ret = repo_tree_of(h->repo, start, &tree);

	if (ret)
		return ret;
	ret = has(&s, &tree);
	if (ret == 0) {
		s.as_text = true;
		ret = has(&s, &tree);
	}
	if (ret <= 0)
		return ret ? ret : -ENOENT;
	*commit = *start;
	do
		ret = step(&s, commit);
	while (ret == 1);
	return ret;
}

int origin_exports(struct harvest *h, const git_oid *tree, const char *path, const char *name)
{
	struct search s = { .h = h, .path = path, .name = name };

	return has(&s, tree);
}

int origin_find_since(struct harvest *h, const struct release *v, size_t n, const git_oid *start,
		      const char *path, const char *name, git_oid *commit)
{
	const git_oid *from = start;

	while (n && origin_exports(h, &v[n - 1].tree, path, name) == 1)
		from = &v[--n].commit;
	return origin_find(h, from, path, name, commit);
}

char *origin_quote(struct repo *r, const git_oid *commit)
{
	char hex[13], *out = NULL;
	const char *subject;
	git_commit *c;

	git_oid_tostr(hex, sizeof(hex), commit);
	if (git_commit_lookup(&c, r->git, commit))
		return strdup(hex);
	subject = git_commit_summary(c);
	if (asprintf(&out, "%s (\"%s\")", hex, subject ? subject : "") < 0)
		out = NULL;
	git_commit_free(c);
	return out;
}
