// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Stories of symbols over releases. */
#include "history/history.h"
#include "base/grow.h"
#include "text/export.h"

#include <string.h>

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The symbols of A that B lacks.  Return: 0 or -ENOMEM. */
static int only_in(const struct summary *a, const struct summary *b,
		   const struct summary_symbol ***out, uint32_t *n)
{
	size_t count = 0, cap = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		if (summary_find(b, summary_str(a, a->symbols[i].name_str)))
			continue;
		if (grow_room(*out, count, cap))
			return -ENOMEM;
		(*out)[count++] = &a->symbols[i];
	}
	*n = (uint32_t)count;
	return 0;
}

static int collect_names(struct history *h)
{
	size_t all = 0, unique = 0;

	for (uint32_t r = 0; r < h->n; r++)
		all += h->summaries[r]->n;
	h->names = calloc(all + 1, sizeof(*h->names));
	if (!h->names)
		return -ENOMEM;
	all = 0;
	for (uint32_t r = 0; r < h->n; r++)
		for (uint32_t i = 0; i < h->summaries[r]->n; i++)
			h->names[all++] =
				summary_str(h->summaries[r], h->summaries[r]->symbols[i].name_str);
	qsort(h->names, all, sizeof(*h->names), compare_names);
	for (size_t i = 0; i < all; i++)
		if (!unique || strcmp(h->names[unique - 1], h->names[i]))
			h->names[unique++] = h->names[i];
	h->n_names = (uint32_t)unique;
	return 0;
}

int history_new(const struct release *releases, const struct summary **summaries, uint32_t n,
		struct history *out)
{
	struct history h = { .releases = releases, .summaries = summaries, .n = n };
	int err = collect_names(&h);

	h.turnover = calloc(n + 1, sizeof(*h.turnover));
	if (!h.turnover)
		err = -ENOMEM;
	for (uint32_t r = 1; !err && r < n; r++) {
		struct turnover *t = &h.turnover[r];

		err = only_in(summaries[r - 1], summaries[r], &t->gone, &t->n_gone);
		if (!err)
			err = only_in(summaries[r], summaries[r - 1], &t->come, &t->n_come);
	}
	if (err)
		history_free(&h);
	else
		*out = h;
	return err;
}

void history_free(struct history *h)
{
	for (uint32_t r = 0; h->turnover && r < h->n; r++) {
		free(h->turnover[r].gone);
		free(h->turnover[r].come);
	}
	free(h->turnover);
	free(h->names);
	*h = (struct history){ 0 };
}

static int add_change(struct story *s, enum change_kind kind, uint32_t from, const char *before,
		      const char *after)
{
	int err = grow_room(s->changes, s->n_changes, s->c_changes);

	if (!err)
		s->changes[s->n_changes++] =
			(struct change){ kind, from, NO_RELEASE, before, after };
	return err;
}

static void end_change(struct story *s, enum change_kind kind, uint32_t release)
{
	for (size_t i = 0; i < s->n_changes; i++)
		if (s->changes[i].kind == kind && s->changes[i].to == NO_RELEASE)
			s->changes[i].to = release;
}

static const struct summary_symbol *at(const struct history *h, const char *name, uint32_t r)
{
	return r < h->n ? summary_find(h->summaries[r], name) : NULL;
}

/* Has it moved? Then none of the old files exports it now. */
static bool moved(const struct summary *a, const struct summary_symbol *x, const struct summary *b,
		  const struct summary_symbol *y)
{
	const char *p = summary_str(a, x->paths_str);

	for (uint32_t i = 0; i < x->n_paths; i++, p += strlen(p) + 1)
		if (summary_exports_in(b, y, p))
			return false;
	return x->n_paths && y->n_paths;
}

static int compare_with_before(const struct history *h, struct story *s, uint32_t r,
			       const struct summary *before, const struct summary_symbol *x,
			       const struct summary_symbol *y)
{
	const struct summary *now = h->summaries[r];
	int err = 0;

	if (x->licence != y->licence)
		err = add_change(s, CHANGE_LICENCE, r, licence_name(x->licence),
				 licence_name(y->licence));
	if (!err && moved(before, x, now, y))
		err = add_change(s, CHANGE_MOVE, r, summary_str(before, x->paths_str),
				 summary_str(now, y->paths_str));
	return err;
}

static int see_consumer(const struct history *h, struct story *s, uint32_t r,
			const struct summary_symbol *sym, const struct summary_symbol *before)
{
	if (sym->verdict == VERDICT_CONSUMED) {
		end_change(s, CHANGE_UNCONSUMED, r);
		s->idle = NO_RELEASE;
		if (s->consumed == NO_RELEASE) {
			s->consumed = r;
			s->consumer = summary_str(h->summaries[r], sym->consumer_str);
		}
		return 0;
	}
	if (sym->verdict == VERDICT_UNDECIDED) {
		s->idle = NO_RELEASE;
		return 0;
	}
	if (s->idle == NO_RELEASE)
		s->idle = r;
	if (before && before->verdict == VERDICT_CONSUMED)
		return add_change(s, CHANGE_UNCONSUMED, r, NULL, NULL);
	return 0;
}

/* The symbol is exported in release R; PREV was the last release before it that did so. */
static int see(const struct history *h, struct story *s, uint32_t r, uint32_t prev,
	       const struct summary_symbol *sym)
{
	const struct summary_symbol *before = NULL;
	int err = 0;

	if (prev == NO_RELEASE) {
		s->exported = r;
		s->exported_earlier = r == 0;
	} else {
		before = at(h, s->name, prev);
		err = compare_with_before(h, s, r, h->summaries[prev], before, sym);
	}
	if (s->removed != NO_RELEASE) {
		end_change(s, CHANGE_UNEXPORTED, r);
		s->removed = NO_RELEASE;
		s->idle = NO_RELEASE;
		before = NULL;
	}
	if (!err)
		err = see_consumer(h, s, r, sym, before);
	s->summary = h->summaries[r];
	s->last = sym;
	s->path = summary_str(s->summary, sym->paths_str);
	return err;
}

static unsigned int windows(const struct history *h, uint32_t from, uint32_t to)
{
	return h->releases[to].window - h->releases[from].window;
}

static unsigned int beyond(unsigned int n, unsigned int deadline)
{
	return n > deadline ? n - deadline : 0;
}

static void judge(const struct history *h, struct story *s, unsigned int deadline)
{
	if (s->consumed != NO_RELEASE)
		s->late = beyond(windows(h, s->exported, s->consumed), deadline);
	if (s->removed == NO_RELEASE && s->idle != NO_RELEASE)
		s->overdue = beyond(windows(h, s->idle, h->n - 1), deadline);
	s->candidate = s->overdue > 0;
}

/* The only one of the symbols of S in V that PATH exports; NULL when none or several. */
static const char *only_one(const struct summary *s, const struct summary_symbol *const *v,
			    uint32_t n, const char *path)
{
	const char *found = NULL;

	for (uint32_t i = 0; i < n; i++) {
		if (!summary_exports_in(s, v[i], path))
			continue;
		if (found)
			return NULL;
		found = summary_str(s, v[i]->name_str);
	}
	return found;
}

/* Renamed in R: PATH lost exactly one export and got exactly one. */
static bool renamed(const struct history *h, uint32_t r, const char *path, const char **from,
		    const char **to)
{
	const struct turnover *t = &h->turnover[r];

	*from = only_one(h->summaries[r - 1], t->gone, t->n_gone, path);
	*to = *from ? only_one(h->summaries[r], t->come, t->n_come, path) : NULL;
	return *to;
}

static void find_renames(const struct history *h, struct story *s)
{
	const char *from, *to, *first;

	if (s->removed != NO_RELEASE && renamed(h, s->removed, s->path, &from, &to))
		s->renamed_to = to;
	if (s->exported == 0)
		return;
	first = summary_str(h->summaries[s->exported], at(h, s->name, s->exported)->paths_str);
	if (renamed(h, s->exported, first, &from, &to))
		s->renamed_from = from;
}

int history_story(const struct history *h, uint32_t name, unsigned int deadline, struct story *out)
{
	struct story s = { .name = h->names[name],
			   .exported = NO_RELEASE,
			   .consumed = NO_RELEASE,
			   .removed = NO_RELEASE,
			   .idle = NO_RELEASE };
	uint32_t prev = NO_RELEASE;
	int err = 0;

	for (uint32_t r = 0; !err && r < h->n; r++) {
		const struct summary_symbol *sym = at(h, s.name, r);

		if (sym) {
			err = see(h, &s, r, prev, sym);
			prev = r;
		} else if (prev != NO_RELEASE && s.removed == NO_RELEASE) {
			s.removed = r;
			end_change(&s, CHANGE_UNCONSUMED, r);
			err = add_change(&s, CHANGE_UNEXPORTED, r, NULL, NULL);
		}
	}
	if (err) {
		story_free(&s);
		return err;
	}
	judge(h, &s, deadline);
	find_renames(h, &s);
	*out = s;
	return 0;
}

void story_free(struct story *s)
{
	free(s->changes);
	s->changes = NULL;
}
