// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Series from a mailbox: the patches are applied to trees that exist only in memory. */
#include "base/complain.h"
#include "base/grow.h"
#include "mail/inflate.h"
#include "patch/apply.h"
#include "patch/choose.h"
#include "patch/series.h"

#include <ctype.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <stdio.h>
#include <string.h>

static int read_mbox(const char *name, struct mbox *out)
{
	char *text;
	size_t len;
	int err = read_whole(name, &text, &len);

	if (!err)
		err = mbox_parse(text, len, out);
	if (err == -EINVAL)
		complain("%s is not a mailbox", name);
	else if (err == -EBADMSG)
		complain("%s is damaged: it cannot be unpacked", name);
	else if (err)
		complain("%s cannot be read: %s", name, strerror(-err));
	free(text);
	return err;
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
	else
		r->memory = mem;
	git_odb_free(odb);
	return err;
}

/* The message is the text before the diff and before a "---" line. */
static size_t message_len(const struct chosen *c)
{
	const char *e = strstr(c->text, "\n---\n");

	if (e && (!c->diff || e < c->diff))
		return (size_t)(e - c->text) + 1;
	return c->diff ? (size_t)(c->diff - c->text) : strlen(c->text);
}

/* A first line "From: Name <address>" names the author of a mail sent by someone else. */
static int author(const struct chosen *c, struct patch *p)
{
	const char *s = c->text + strspn(c->text, "\n");

	if (!strncmp(s, "From: ", 6))
		return mbox_person(s + 6, strcspn(s + 6, "\n"), &p->name, &p->address);
	p->name = strdup(c->mail->name);
	p->address = strdup(c->mail->address);
	return p->name && p->address ? 0 : -ENOMEM;
}

/* In some diffs carriage returns are part of the file; in others a mailer added them. */
static int apply(struct repo *r, const struct chosen *c, struct patch *p, char why[APPLY_WHY])
{
	const struct mail *m = c->mail;
	const char *raw = m->raw ? diff_find(m->raw, m->raw_len) : NULL;

	if (raw && c->text == m->body &&
	    !diff_apply(r, &p->before, raw, m->raw_len - (size_t)(raw - m->raw), &p->after, why))
		return 0;
	return diff_apply(r, &p->before, c->diff, m->len - (size_t)(c->diff - m->body), &p->after,
			  why);
}

static int add_patch(struct repo *r, struct series *s, const struct chosen *c)
{
	char id[32], why[APPLY_WHY];
	struct patch *p;
	int err;

	if (grow_room(s->v, s->n, s->cap))
		return -ENOMEM;
	p = &s->v[s->n];
	*p = (struct patch){ .before = s->after, .subject = strdup(c->subject.plain) };
	snprintf(id, sizeof(id), "patch %zu", ++s->n);
	p->id = strdup(id);
	if (!p->id || !p->subject || author(c, p))
		return -ENOMEM;
	err = apply(r, c, p, why);
	if (err == -EINVAL)
		complain("%s (\"%s\") does not apply: %s", p->id, p->subject, why);
	s->after = p->after;
	return err;
}

static int add_mails(struct repo *r, struct series *s, const struct choice *c)
{
	int err = 0;

	for (size_t i = 0; !err && i < c->n; i++) {
		const struct chosen *m = &c->v[i];

		if (m->role != MAIL_OTHER)
			err = series_add_trailers(s, m->text, message_len(m));
		if (!err && m->role == MAIL_PATCH)
			err = add_patch(r, s, m);
	}
	if (err == -ENOMEM)
		complain("out of memory");
	return err;
}

/*
 * "base-commit: 0123..." in one of the mails of the series, as format-patch --base writes; NULL:
 * none.
 */
static const char *base_commit(const struct choice *c, char hex[GIT_OID_HEXSZ + 1])
{
	for (size_t i = 0; i < c->n; i++) {
		const char *s = c->v[i].mail->body;

		if (c->v[i].role == MAIL_OTHER || c->v[i].subject.reply)
			continue;
		for (s = !strncmp(s, "base-commit: ", 13) ? s : strstr(s, "\nbase-commit: "); s;
		     s = strstr(s + 1, "\nbase-commit: ")) {
			size_t n;

			s += *s == '\n';
			n = strspn(s + 13, "0123456789abcdef");
			if (n < 7 || n > GIT_OID_HEXSZ)
				continue;
			memcpy(hex, s + 13, n);
			hex[n] = 0;
			return hex;
		}
	}
	return NULL;
}

static int find_base(struct repo *r, const char *base, const struct choice *c, const char *mbox,
		     struct series *out)
{
	char hex[GIT_OID_HEXSZ + 1];
	git_object *o = NULL;
	int err;

	if (!base && !(base = base_commit(c, hex))) {
		complain("%s does not say what it is based on (base-commit:), so --base has to",
			 mbox);
		return -EINVAL;
	}
	if (base == hex && git_revparse_single(&o, r->git, hex)) {
		complain("%s is based on commit %s, which %s does not have; fetch it, or name "
			 "another "
			 "one with --base",
			 mbox, hex, r->name);
		return -ENOENT;
	}
	git_object_free(o);
	err = repo_commit(r, base, &out->base);
	if (!err)
		err = repo_tree_of(r, &out->base, &out->before);
	out->after = out->before;
	return err;
}

int series_of_mbox(struct repo *r, const char *mbox, const char *base, struct series *out)
{
	struct choice c = { 0 };
	struct mbox m;
	int err = read_mbox(mbox, &m);

	*out = (struct series){ 0 };
	if (err)
		return err;
	err = choice_make(&m, mbox, &c);
	if (err == -ENOMEM)
		complain("out of memory");
	if (!err)
		err = find_base(r, base, &c, mbox, out);
	if (!err)
		err = write_to_memory(r);
	if (!err)
		err = add_mails(r, out, &c);
	choice_free(&c);
	mbox_free(&m);
	if (err)
		series_free(out);
	return err;
}
