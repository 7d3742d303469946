// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Series from a mailbox: the patches are applied to trees that exist only in memory. */
#include "series.h"

#include "command.h"
#include "grow.h"
#include "mbox.h"

#include <ctype.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <stdio.h>
#include <string.h>

#define MAX_MBOX (256u << 20)

static int read_stream(FILE *f, char **text, size_t *len)
{
	size_t cap = 1 << 16;

	*text = malloc(cap);
	*len = 0;
	while (*text) {
		size_t n = fread(*text + *len, 1, cap - *len, f);

		*len += n;
		if (!n)
			return ferror(f) ? -EIO : 0;
		if (*len == cap) {
			char *p = cap < MAX_MBOX ? realloc(*text, cap *= 2) : NULL;

			if (!p)
				return -EFBIG;
			*text = p;
		}
	}
	return -ENOMEM;
}

static int read_mbox(const char *name, struct mbox *out)
{
	bool is_stdin = !strcmp(name, "-");
	FILE *f = is_stdin ? stdin : fopen(name, "r");
	char *text = NULL;
	size_t len = 0;
	int err;

	if (!f) {
		err = errno;
		complain("%s: %s", name, strerror(err));
		return -err;
	}
	err = read_stream(f, &text, &len);
	if (!is_stdin)
		fclose(f);
	if (!err)
		err = mbox_parse(text, len, out);
	if (err == -EINVAL)
		complain("%s is not a mailbox", name);
	else if (err)
		complain("%s cannot be read: %s", name, strerror(-err));
	free(text);
	return err;
}

/* The diff of a mail, without the signature that format-patch appends; NULL: it has none. */
static const char *find_diff(const struct mail *m, size_t *len)
{
	const char *d =
		!strncmp(m->body, "diff --git ", 11) ? m->body : strstr(m->body, "\ndiff --git ");
	const char *end = m->body + m->len;

	if (!d)
		return NULL;
	d += *d == '\n';
	for (const char *p = d; (p = strstr(p, "\n-- \n")); p++)
		end = p + 1;
	*len = (size_t)(end - d);
	return d;
}

/* What is before the diff, and in it before the "---" line, is the message. */
static size_t message_len(const struct mail *m)
{
	const char *e = strstr(m->body, "\n---\n");
	size_t len;
	const char *d = find_diff(m, &len);

	if (e && (!d || e < d))
		return (size_t)(e - m->body) + 1;
	return d ? (size_t)(d - m->body) : m->len;
}

/* The number N of "[PATCH v2 N/M]"; 0 when the subject has none. */
static unsigned int patch_number(const char *subject)
{
	const char *end = *subject == '[' ? strchr(subject, ']') : NULL;
	unsigned int n, of;

	if (!end)
		return 0;
	for (const char *p = subject; p < end; p++)
		if (*p == ' ' && sscanf(p, " %u/%u]", &n, &of) == 2)
			return n;
	return 0;
}

/* Archives hand mails out in any order; the numbers, where all have one, decide. */
static void sort_patches(struct mbox *m)
{
	for (size_t i = 0; i < m->n; i++) {
		size_t len;

		if (find_diff(&m->v[i], &len) && !patch_number(m->v[i].subject))
			return;
	}
	for (size_t i = 1; i < m->n; i++)
		for (size_t j = i;
		     j && patch_number(m->v[j].subject) < patch_number(m->v[j - 1].subject); j--) {
			struct mail t = m->v[j];

			m->v[j] = m->v[j - 1];
			m->v[j - 1] = t;
		}
}

/* Writes of this repository handle go to memory from now on. */
static int write_to_memory(struct repo *r)
{
	git_odb_backend *mem;
	git_odb *odb;
	int err = 0;

	if (git_repository_odb(&odb, r->git))
		return repo_complain(r, "its objects cannot be read");
	if (git_mempack_new(&mem) || git_odb_add_backend(odb, mem, 999))
		err = repo_complain(r, "no place for objects in memory");
	git_odb_free(odb);
	return err;
}

static int update_tree(struct repo *r, git_tree *tree, git_diff *diff, git_index *index,
		       git_oid *after)
{
	size_t n = git_diff_num_deltas(diff), used = 0;
	git_tree_update *u = calloc(n * 2 + 1, sizeof(*u));
	int err = 0;

	if (!u)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const git_diff_delta *d = git_diff_get_delta(diff, i);
		const git_index_entry *e = git_index_get_bypath(index, d->new_file.path, 0);

		if (d->status == GIT_DELTA_DELETED || d->status == GIT_DELTA_RENAMED)
			u[used++] = (git_tree_update){ .action = GIT_TREE_UPDATE_REMOVE,
						       .path = d->old_file.path };
		if (d->status != GIT_DELTA_DELETED && e)
			u[used++] = (git_tree_update){ .action = GIT_TREE_UPDATE_UPSERT,
						       .id = e->id,
						       .filemode = e->mode,
						       .path = d->new_file.path };
	}
	if (git_tree_create_updated(after, r->git, tree, used, u))
		err = -EIO;
	free(u);
	return err;
}

static int apply(struct repo *r, const char *text, size_t len, const git_oid *before,
		 git_oid *after)
{
	git_diff *diff = NULL;
	git_tree *tree = NULL;
	git_index *index = NULL;
	int err = -EINVAL;

	if (!git_diff_from_buffer(&diff, text, len) && !git_tree_lookup(&tree, r->git, before) &&
	    !git_apply_to_tree(&index, r->git, tree, diff, NULL))
		err = update_tree(r, tree, diff, index, after);
	git_index_free(index);
	git_tree_free(tree);
	git_diff_free(diff);
	return err;
}

/* The subject without its [PATCH ...]. */
static const char *plain_subject(const char *s)
{
	while (*s == '[' && strchr(s, ']')) {
		s = strchr(s, ']') + 1;
		while (isspace((unsigned char)*s))
			s++;
	}
	return s;
}

/* A first line "From: Name <address>" names the author of a mail sent by someone else. */
static int author(const struct mail *m, struct patch *p)
{
	if (!strncmp(m->body, "From: ", 6))
		return mbox_person(m->body + 6, strcspn(m->body + 6, "\n"), &p->name, &p->address);
	p->name = strdup(m->name);
	p->address = strdup(m->address);
	return p->name && p->address ? 0 : -ENOMEM;
}

static int add_patch(struct repo *r, struct series *s, const struct mail *m, const char *diff,
		     size_t len)
{
	struct patch *p;
	char id[32];
	int err;

	if (grow_room(s->v, s->n, s->cap))
		return -ENOMEM;
	p = &s->v[s->n];
	*p = (struct patch){ .before = s->after, .subject = strdup(plain_subject(m->subject)) };
	snprintf(id, sizeof(id), "patch %zu", ++s->n);
	p->id = strdup(id);
	if (!p->id || !p->subject || author(m, p))
		return -ENOMEM;
	err = apply(r, diff, len, &p->before, &p->after);
	if (err) {
		const git_error *e = git_error_last();

		complain("%s (\"%s\") does not apply: %s", p->id, p->subject,
			 e && e->message ? e->message : "it is not a diff");
		return -EINVAL;
	}
	s->after = p->after;
	return 0;
}

static int add_mails(struct repo *r, struct series *s, const struct mbox *m)
{
	int err = 0;

	for (size_t i = 0; !err && i < m->n; i++) {
		const struct mail *mail = &m->v[i];
		size_t len;
		const char *diff = find_diff(mail, &len);

		err = series_add_trailers(s, mail->body, message_len(mail));
		if (!err && diff)
			err = add_patch(r, s, mail, diff, len);
	}
	if (err == -ENOMEM)
		complain("out of memory");
	return err;
}

int series_of_mbox(struct repo *r, const char *mbox, const char *base, struct series *out)
{
	struct mbox m;
	int err;

	*out = (struct series){ 0 };
	err = repo_commit(r, base, &out->base);
	if (!err)
		err = repo_tree_of(r, &out->base, &out->before);
	if (err)
		return err;
	out->after = out->before;
	err = read_mbox(mbox, &m);
	if (err)
		return err;
	sort_patches(&m);
	err = write_to_memory(r);
	if (!err)
		err = add_mails(r, out, &m);
	mbox_free(&m);
	if (!err && !out->n) {
		complain("%s has no patches", mbox);
		err = -EINVAL;
	}
	if (err)
		series_free(out);
	return err;
}
