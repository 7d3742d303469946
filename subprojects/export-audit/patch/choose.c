// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A mailbox of an archive has whole threads: several versions of a series in any order, with cover
 * letters, replies, patches proposed in replies, and mails that came twice.
 */
#include "patch/choose.h"
#include "base/complain.h"
#include "patch/apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "-- >8 --": the text above it is talk about the patch below. */
static const char *below_scissors(const char *body)
{
	for (const char *l = body; l; l = strchr(l, '\n') ? strchr(l, '\n') + 1 : NULL) {
		size_t n = strcspn(l, "\n"), marks = strspn(l, "-><8% \t");

		if (n > 7 && marks >= n && !memcmp(l, "--", 2) &&
		    (memmem(l, n, ">8", 2) || memmem(l, n, "8<", 2) || memmem(l, n, "%<", 2) ||
		     memmem(l, n, ">%", 2)))
			return l[n] ? l + n + 1 : NULL;
	}
	return NULL;
}

static void look_at(struct chosen *c, const struct mail *m)
{
	const char *below, *diff;

	*c = (struct chosen){ .mail = m, .role = MAIL_TALK };
	subject_parse(m->subject, &c->subject);
	c->diff = diff_find(m->body, m->len);
	below = c->diff ? below_scissors(m->body) : NULL;
	diff = below ? diff_find(below, m->len - (size_t)(below - m->body)) : NULL;
	c->text = diff ? below : m->body;
	if (diff)
		c->diff = diff;
}

static bool is_candidate(const struct chosen *c)
{
	return c->diff && !c->subject.reply && (!c->subject.of || c->subject.n);
}

static void drop_repeated(struct choice *c)
{
	for (size_t i = 0; i < c->n; i++)
		for (size_t k = 0; k < i && *c->v[i].mail->id; k++)
			if (!strcmp(c->v[i].mail->id, c->v[k].mail->id))
				c->v[i].role = MAIL_OTHER;
}

/*
 * The newest version that has a patch or a cover letter; 0 if there is none. Mails without PATCH in
 * the subject count only if no mail has it.
 */
static unsigned int newest(const struct choice *c, bool *named)
{
	unsigned int version = 0;

	*named = false;
	for (size_t i = 0; i < c->n; i++)
		*named |= is_candidate(&c->v[i]) && c->v[i].subject.patch;
	for (size_t i = 0; i < c->n; i++) {
		const struct subject *s = &c->v[i].subject;

		if (s->reply || (*named && !s->patch) || (!c->v[i].diff && !s->of))
			continue;
		if (s->version > version)
			version = s->version;
	}
	return version;
}

static void left_out(const struct chosen *c, const char *why)
{
	fprintf(stderr, "export-audit: warning: \"%s\" is left out: %s\n", c->mail->subject, why);
}

static void pick(struct choice *c, unsigned int version, bool named)
{
	bool numbered = false;

	for (size_t i = 0; i < c->n; i++) {
		struct chosen *m = &c->v[i];

		if (m->role == MAIL_OTHER)
			continue;
		if (version && m->subject.version != version &&
		    (m->subject.patch || !m->subject.reply))
			m->role = MAIL_OTHER;
		else if (is_candidate(m) && (m->subject.patch || !named))
			m->role = MAIL_PATCH;
		numbered |= m->role == MAIL_PATCH && m->subject.of;
	}
	for (size_t i = 0; numbered && i < c->n; i++)
		if (c->v[i].role == MAIL_PATCH && !c->v[i].subject.of) {
			left_out(&c->v[i], "it has no number in the series");
			c->v[i].role = MAIL_OTHER;
		}
}

/* Patches are sorted by number; patches without one keep the order of the mailbox. */
static int compare(const void *a, const void *b)
{
	const struct chosen *x = a, *y = b;
	bool numbers = x->role == MAIL_PATCH && y->role == MAIL_PATCH;

	if (numbers && x->subject.n != y->subject.n)
		return x->subject.n < y->subject.n ? -1 : 1;
	return x->mail < y->mail ? -1 : x->mail > y->mail;
}

static int count(struct choice *c, const char *name, unsigned int *of)
{
	*of = 0;
	for (size_t i = 0; i < c->n; i++) {
		const struct chosen *m = &c->v[i];

		if (m->role == MAIL_PATCH && *of && m->subject.of != *of) {
			complain("%s has two series of the same version, one of %u patches and one "
				 "of %u",
				 name, *of, m->subject.of);
			return -EINVAL;
		}
		if (m->role == MAIL_PATCH)
			*of = m->subject.of;
		c->n_patches += m->role == MAIL_PATCH;
	}
	return 0;
}

/* Is each number from 1 to OF there, and once? */
static int check_numbers(const struct choice *c, const char *name, unsigned int of)
{
	unsigned int next = 1;

	for (size_t i = 0; of && i < c->n; i++) {
		unsigned int n = c->v[i].subject.n;

		if (c->v[i].role != MAIL_PATCH)
			continue;
		if (n < next || n > of) {
			complain("%s has two patches %u/%u", name, n, of);
			return -EINVAL;
		}
		if (n > next)
			break;
		next++;
	}
	if (!of || next > of)
		return 0;
	complain("%s is not complete: patch %u/%u is not in it", name, next, of);
	return -EINVAL;
}

/* A patch in a reply counts if the mailbox has no other patch. */
static bool pick_reply(struct choice *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].role == MAIL_TALK && c->v[i].diff &&
		    c->v[i].text != c->v[i].mail->body) {
			c->v[i].role = MAIL_PATCH;
			c->v[i].subject.of = 0;
			c->n_patches++;
			return true;
		}
	return false;
}

int choice_make(const struct mbox *m, const char *name, struct choice *out)
{
	unsigned int of, version;
	bool named;
	int err;

	*out = (struct choice){ .v = calloc(m->n + 1, sizeof(*out->v)), .n = m->n };
	if (!out->v)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++)
		look_at(&out->v[i], &m->v[i]);
	drop_repeated(out);
	version = newest(out, &named);
	pick(out, version, named);
	qsort(out->v, out->n, sizeof(*out->v), compare);
	err = count(out, name, &of);
	if (!err)
		err = check_numbers(out, name, of);
	if (!err && !out->n_patches && !pick_reply(out)) {
		complain("%s has no patches", name);
		err = -EINVAL;
	}
	if (err)
		choice_free(out);
	return err;
}

void choice_free(struct choice *c)
{
	free(c->v);
	*c = (struct choice){ 0 };
}
