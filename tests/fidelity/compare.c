// SPDX-License-Identifier: GPL-2.0
/*
 * compare: what two targets say of the same sample. Each difference that is right is here with its
 * reason; any other is a bug.
 */
#include "compare.h"

#include <errno.h>
#include <fnmatch.h>
#include <stddef.h>

/* Differences that are known and right. Patterns; the first that matches explains. */
static const struct {
	const char *kind, *state;
	unsigned int requests; /* bits: 1 snapshot, 2 read, 4 write */
	const char *why;
} explanations[] = {
	{ "hugetlb, private", "*", 3,
	  "the page is this process's alone, and of such a page hugetlb makes no copy: the "
	  "kernel's next write fault would set the permission and change nothing else" },
	{ "vvar", "*", 7,
	  "the kernel looks at the flags of the VMA; libhmm takes no special mapping at all, with "
	  "the same error" },
};

static const char why_less[] = "nothing readable says whether a present entry is writable; libhmm "
			       "says less than the kernel, never more";

static bool same(const struct entry *a, const struct entry *b)
{
	unsigned int tell = ENTRY_VALID | ENTRY_WRITE | ENTRY_ERROR;

	return (a->flags & tell) == (b->flags & tell) &&
	       (!(a->flags & ENTRY_VALID) || a->order == b->order);
}

/* The kernel's entry but for permission to write. */
static bool less(const struct entry *kernel, const struct entry *libhmm)
{
	struct entry e = *libhmm;

	e.flags |= kernel->flags & ENTRY_WRITE;
	return same(kernel, &e);
}

static const char *explain(const char *kind, const char *state, unsigned int request)
{
	unsigned int bit = request & REQ_WRITE ? 4 : request ? 2 : 1;
	size_t i;

	for (i = 0; i < sizeof(explanations) / sizeof(explanations[0]); i++)
		if (explanations[i].requests & bit && !fnmatch(explanations[i].kind, kind, 0) &&
		    !fnmatch(explanations[i].state, state, 0))
			return explanations[i].why;
	return NULL;
}

enum verdict compare(const char *kind, const char *state, unsigned int request,
		     const struct answer *kernel, const struct answer *libhmm, size_t *page,
		     const char **why)
{
	enum verdict verdict = SAME;
	size_t i;

	*why = NULL;
	*page = 0;
	if (kernel->result != libhmm->result)
		verdict = DIFFERENT;
	/* After an error the kernel's entries mean nothing. */
	for (i = 0; verdict != DIFFERENT && !kernel->result && i < kernel->n; i++) {
		if (same(&kernel->entries[i], &libhmm->entries[i]))
			continue;
		if (verdict == SAME)
			*page = i;
		verdict = !(request & REQ_WRITE) && less(&kernel->entries[i], &libhmm->entries[i])
				  ? LESS
				  : DIFFERENT;
		if (verdict == DIFFERENT)
			*page = i;
	}
	if (verdict == LESS)
		*why = why_less;
	if (verdict == DIFFERENT) {
		*why = explain(kind, state, request);
		if (*why)
			verdict = EXPLAINED;
	}
	return verdict;
}
