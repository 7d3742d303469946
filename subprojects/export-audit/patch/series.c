// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Series from commits; trailers. */
#include "patch/series.h"
#include "base/complain.h"
#include "base/grow.h"
#include "mail/mbox.h"
#include "patch/past.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void series_free(struct series *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].id);
		free(s->v[i].subject);
		free(s->v[i].name);
		free(s->v[i].address);
	}
	for (size_t i = 0; i < s->n_trailers; i++) {
		free(s->trailers[i].kind);
		free(s->trailers[i].name);
		free(s->trailers[i].address);
	}
	free(s->v);
	free(s->trailers);
	*s = (struct series){ 0 };
}

static int add_trailer(struct series *s, const char *kind, size_t kind_len, const char *value,
		       size_t len)
{
	struct trailer t = { 0 };
	int err = grow_room(s->trailers, s->n_trailers, s->c_trailers);

	if (!err)
		err = mbox_person(value, len, &t.name, &t.address);
	if (err)
		return err;
	t.kind = strndup(kind, kind_len);
	if (!t.kind) {
		free(t.name);
		free(t.address);
		return -ENOMEM;
	}
	for (char *p = t.kind; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	s->trailers[s->n_trailers++] = t;
	return 0;
}

/* Kernel messages have them in any paragraph, not only in the last one. */
int series_add_trailers(struct series *s, const char *text, size_t len)
{
	const char *end = text + len;
	int err = 0;

	for (const char *l = text; !err && l < end;) {
		const char *nl = memchr(l, '\n', (size_t)(end - l)), *e = nl ? nl : end, *p = l;

		while (p < e && (isalpha((unsigned char)*p) || *p == '-'))
			p++;
		if (p < e && *p == ':' && p - l > 3 && !strncasecmp(p - 3, "-by", 3))
			err = add_trailer(s, l, (size_t)(p - l), p + 1, (size_t)(e - p - 1));
		l = nl ? nl + 1 : end;
	}
	return err;
}

static char *copy(const char *s)
{
	return strdup(s ? s : "");
}

static int parent_tree(struct repo *r, git_commit *c, git_oid *tree)
{
	git_commit *parent;

	if (!git_commit_parentcount(c)) {
		*tree = (git_oid){ 0 };
		return 0;
	}
	if (git_commit_parent(&parent, c, 0))
		return repo_complain(r, "a commit cannot be read");
	*tree = *git_commit_tree_id(parent);
	git_commit_free(parent);
	return 0;
}

/* BEFORE: the tree that it is compared with, or NULL: that of its first parent. */
static int add_commit(struct repo *r, struct series *s, const git_oid *id, const git_oid *before)
{
	char hex[GIT_OID_HEXSZ + 1];
	struct patch *p = NULL;
	git_commit *c;
	int err;

	if (git_commit_lookup(&c, r->git, id))
		return repo_complain(r, "a commit cannot be read");
	err = grow_room(s->v, s->n, s->cap);
	if (!err) {
		const char *message = git_commit_message(c);

		p = &s->v[s->n++];
		git_oid_tostr(hex, sizeof(hex), id);
		*p = (struct patch){ .id = copy(hex),
				     .subject = copy(git_commit_summary(c)),
				     .name = copy(git_commit_author(c)->name),
				     .address = copy(git_commit_author(c)->email),
				     .after = *git_commit_tree_id(c) };
		if (!p->id || !p->subject || !p->name || !p->address)
			err = -ENOMEM;
		if (!err && message)
			err = series_add_trailers(s, message, strlen(message));
	}
	if (err == -ENOMEM)
		complain("out of memory");
	else if (before)
		p->before = *before;
	else
		err = parent_tree(r, c, &p->before);
	git_commit_free(c);
	return err;
}

static int walk(struct repo *r, struct series *s, const git_oid *base, const git_oid *head)
{
	git_revwalk *w;
	git_oid id;
	int err = 0;

	if (git_revwalk_new(&w, r->git))
		return repo_complain(r, "its commits cannot be walked");
	git_revwalk_sorting(w, GIT_SORT_TOPOLOGICAL | GIT_SORT_REVERSE);
	if (git_revwalk_push(w, head) || git_revwalk_hide(w, base))
		err = repo_complain(r, "its commits cannot be walked");
	while (!err) {
		int next = git_revwalk_next(&id, w);

		if (next == GIT_ITEROVER)
			break;
		err = next ? repo_complain(r, "its commits cannot be walked")
			   : add_commit(r, s, &id, NULL);
	}
	git_revwalk_free(w);
	return err;
}

static int range_ends(struct repo *r, const char *range, git_oid *base, git_oid *head)
{
	const char *dots = strstr(range, "..");
	char *left;
	int err;

	if (!dots || dots == range || dots[2] == '.') {
		complain("'%s' is not a range BASE..HEAD", range);
		return -EINVAL;
	}
	left = strndup(range, (size_t)(dots - range));
	if (!left) {
		complain("out of memory");
		return -ENOMEM;
	}
	err = repo_commit(r, left, base);
	if (!err)
		err = repo_commit(r, dots[2] ? dots + 2 : "HEAD", head);
	free(left);
	return err;
}

/*
 * Reads both histories as far as they are there. If they do not meet, only the two trees are known.
 */
static int walk_shallow(struct repo *r, struct series *s, const git_oid *base, const git_oid *head,
			const char *range)
{
	struct past old, new = { 0 };
	int err = past_read(r, base, NULL, &old);

	if (!err)
		err = past_read(r, head, &old, &new);
	s->base = new.met ? new.newest : *base;
	if (!err)
		err = repo_tree_of(r, &s->base, &s->before);
	for (size_t i = 0; !err && new.met &&i < new.n; i++)
		if (!new.cut[i])
			err = add_commit(r, s, &new.v[i], NULL);
	if (!err && !new.met &&new.n) {
		fprintf(stderr,
			"export-audit: warning: %s is a shallow clone, in which the two ends of %s "
			"have "
			"nothing in common; their trees are compared\n",
			r->name, range);
		err = add_commit(r, s, head, &s->before);
	}
	past_free(&old);
	past_free(&new);
	return err;
}

static int walk_whole(struct repo *r, struct series *s, const git_oid *base, const git_oid *head,
		      const char *range)
{
	int err;

	if (git_merge_base(&s->base, r->git, base, head)) {
		complain("the two ends of %s have no common history", range);
		return -EINVAL;
	}
	err = repo_tree_of(r, &s->base, &s->before);
	return err ? err : walk(r, s, &s->base, head);
}

int series_of_range(struct repo *r, const char *range, struct series *out)
{
	git_oid base, head;
	int err = range_ends(r, range, &base, &head);

	*out = (struct series){ 0 };
	if (err)
		return err;
	err = repo_tree_of(r, &head, &out->after);
	if (!err)
		err = r->shallow ? walk_shallow(r, out, &base, &head, range)
				 : walk_whole(r, out, &base, &head, range);
	if (!err && !out->n) {
		complain("%s has no commits", range);
		err = -EINVAL;
	}
	if (err)
		series_free(out);
	return err;
}
