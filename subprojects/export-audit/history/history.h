/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef HISTORY_H
#define HISTORY_H

/*
 * From what each release exports to the story of each symbol.  No I/O.
 *
 * A merge window is counted for each release that follows, so a symbol first exported
 * in v6.1 and first consumed in v6.2 was consumed in the following window.
 */

#include "git/repo.h"
#include "graph/summary.h"

#define NO_RELEASE UINT32_MAX

/* The symbols that one release exports and its neighbour does not. */
struct turnover {
	const struct summary_symbol **gone, **come;
	uint32_t n_gone, n_come;
};

struct history {
	const struct release *releases;
	const struct summary **summaries; /* one a release, borrowed */
	uint32_t n;
	const char **names; /* sorted, of all symbols ever exported */
	uint32_t n_names;
	struct turnover *turnover; /* one a release, from the one before; the first is empty */
};

/* The arrays are borrowed.  Return: 0 or -ENOMEM. */
int history_new(const struct release *releases, const struct summary **summaries, uint32_t n,
		struct history *out);
void history_free(struct history *h);

enum change_kind {
	CHANGE_UNCONSUMED, /* lost its last consumer in FROM, had one again in TO */
	CHANGE_UNEXPORTED, /* gone in FROM, back in TO */
	CHANGE_LICENCE,    /* in FROM; before and after are licences */
	CHANGE_MOVE,       /* in FROM; before and after are paths */
};

struct change {
	enum change_kind kind;
	uint32_t from, to; /* releases; to: NO_RELEASE when it lasts */
	const char *before, *after;
};

/* Releases are indexes; NO_RELEASE: never. */
struct story {
	const char *name;
	const struct summary *summary; /* of the last release that exports it */
	const struct summary_symbol *last;
	const char *path; /* where it was last exported */
	uint32_t exported;
	bool exported_earlier; /* the first release looked at has it: it may be older */
	uint32_t consumed;     /* first release with a consumer */
	const char *consumer;  /* in that release */
	uint32_t removed;
	uint32_t idle;     /* first release of the spell without consumer that lasts at the end */
	unsigned int late; /* windows between export and first consumer, beyond the deadline */
	unsigned int overdue; /* windows without consumer at the end, beyond the deadline */
	bool candidate; /* for a revert: still exported, overdue, and no verdict is undecided */
	const char *renamed_to, *renamed_from;
	struct change *changes;
	size_t n_changes, c_changes;
};

/* DEADLINE: how many windows may follow before there is a consumer.  Return: 0 or -ENOMEM. */
int history_story(const struct history *h, uint32_t name, unsigned int deadline, struct story *out);
void story_free(struct story *s);

#endif
