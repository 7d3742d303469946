/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef RULES_H
#define RULES_H

/* What a series is held to. A profile switches every rule; each can be switched again. */

#include <stdbool.h>

enum rule {
	RULE_GPL,           /* a new export is EXPORT_SYMBOL_GPL */
	RULE_CONSUMER,      /* ... and consumed in the series, or that many windows later */
	RULE_FUNCTIONALITY, /* so is new functionality behind an old export */
	RULE_NEEDED,        /* what a module needs stays exported */
	RULE_ORPHANED,      /* advice only: an export that loses its last consumer */
	RULE_STALE,   /* nothing new beside exports older than that many windows without one */
	RULE_ACK,     /* the consumer's maintainer has acked, reviewed or signed off */
	RULE_NACK,    /* ... and not nacked */
	RULE_OVERDUE, /* advice only: exports overdue by that many windows, to be reverted */
	RULES
};

struct rules {
	const char *profile;
	bool on[RULES];
	unsigned int deadline[RULES]; /* in merge windows, for the rules that have one */
};

const char *rule_name(enum rule r);
bool rule_has_deadline(enum rule r);

/* Return: 0; -EINVAL, quietly: there is no such profile. */
int rules_profile(struct rules *r, const char *name);
/* "NAME=on", "NAME=off" or "NAME=WINDOWS".  Return: 0; -EINVAL, after a complaint. */
int rules_set(struct rules *r, const char *setting);

#endif
