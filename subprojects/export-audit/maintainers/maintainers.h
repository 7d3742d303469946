/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The MAINTAINERS file of a kernel tree: which sections cover a path, and who
 * speaks for them.  F:, X: and N: mean what they mean to get_maintainer.pl.
 */
#ifndef EXPORT_AUDIT_MAINTAINERS_H
#define EXPORT_AUDIT_MAINTAINERS_H

#include <stdbool.h>
#include <stddef.h>

struct maint;

/* A person of an M: or R: line; strings live as long as the struct maint. */
struct maint_person {
	const char *name; /* "" when the line has only an address */
	const char *mail;
};

struct maint_section {
	const char *title;
	const char *status;                /* "" when absent */
	const struct maint_person *people; /* M: lines first, then R: */
	size_t nmaintainers, npeople;
};

/*
 * Parse the LEN bytes at TEXT; they are copied.
 * Return: 0; -ENOMEM; -EINVAL when no section could be found in it.
 * Ownership: *out is the caller's, to be given to maint_free().
 */
int maint_parse(const char *text, size_t len, struct maint **out);
/* Read PATH and parse it.  Return: as maint_parse(), or -errno of the read. */
int maint_read(const char *path, struct maint **out);
void maint_free(struct maint *m);

size_t maint_nsections(const struct maint *m);
const struct maint_section *maint_section(const struct maint *m, size_t i);

/*
 * Sections that cover PATH (relative to the tree's root, a file), most specific
 * pattern first, the catch-all last.  At most MAX are stored.
 * Context: any thread; a struct maint is not written after parsing.
 * Return: how many sections cover PATH, which can be more than MAX.
 */
size_t maint_match(const struct maint *m, const char *path, const struct maint_section **hits,
		   size_t max);

/* Has any section TEXT in its title, whatever the case?  M may be NULL. */
bool maint_knows(const struct maint *m, const char *text);

/* Title of the most specific section that covers PATH; "" when none does. */
const char *maint_subsystem(const struct maint *m, const char *path);

#endif
