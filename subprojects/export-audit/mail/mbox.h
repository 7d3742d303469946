/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MBOX_H
#define MBOX_H

/* Mailboxes of patches, as git format-patch writes them and list archives hand them out. */

#include <stddef.h>

struct mail {
	char *name, *address; /* of the From: header */
	char *subject;        /* without folding and encoded words */
	char *id;             /* Message-ID, "" when it has none */
	char *body;           /* decoded, NUL-terminated, without carriage returns at line ends */
	size_t len;
	char *raw; /* the same with them, or NULL: there were none */
	size_t raw_len;
};

struct mbox {
	struct mail *v;
	size_t n, cap;
};

/* Return: 0; -ENOMEM; -EINVAL: no mail in it. */
int mbox_parse(const char *text, size_t len, struct mbox *out);
void mbox_free(struct mbox *m);

/*
 * Splits "Name <address>"; both parts are malloc()ed, a missing one is "".  Return: 0 or -ENOMEM.
 */
int mbox_person(const char *s, size_t len, char **name, char **address);

#endif
