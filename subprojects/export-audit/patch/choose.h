/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CHOOSE_H
#define CHOOSE_H

/*
 * Which mails of a mailbox are the patches of its newest series, and which belong to it otherwise.
 */

#include "mail/mbox.h"
#include "mail/subject.h"

enum mail_role {
	MAIL_OTHER, /* of an older version, or sent twice */
	MAIL_TALK,  /* cover letter, reply: its trailers count */
	MAIL_PATCH
};

struct chosen {
	const struct mail *mail;
	struct subject subject;
	enum mail_role role;
	const char *text, *diff; /* message and diff of a patch, in the body of the mail */
};

struct choice {
	struct chosen *v; /* patches in their order, among the rest */
	size_t n, n_patches;
};

/*
 * M is borrowed until choice_free().  Return: 0; -EINVAL after a complaint, in which NAME is the
 * mailbox; -ENOMEM.
 */
int choice_make(const struct mbox *m, const char *name, struct choice *out);
void choice_free(struct choice *c);

#endif
