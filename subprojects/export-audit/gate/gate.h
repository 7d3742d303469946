/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef GATE_H
#define GATE_H

/*
 * A series under judgement: the tree before it, the tree after it, and the findings so far.
 * Functions that fail have complained and return -errno.
 */

#include "harvest/harvest.h"
#include "maintainers/maintainers.h"
#include "gate/rules.h"
#include "patch/series.h"
#include "gate/shape.h"

enum severity { SEVERITY_NOTE, SEVERITY_ERROR };

struct finding {
	enum rule rule;
	enum severity severity;
	char *symbol;
	char *file;
	uint32_t line;
	char *text;
	char *added_by; /* patch of the series, quoted, or NULL */
	char *revert;   /* commit to revert, quoted, or NULL */
	bool known;     /* an error that a baseline lists: it does not count */
};

struct changed_file {
	char *path;            /* in the new tree; in the old one for a removed file */
	char *old_path;        /* differs after a rename */
	git_oid before, after; /* zero: not there */
	struct shape was, is;  /* once gate_shapes() was called */
};

/* An export of the new tree that the old one lacks. */
struct new_export {
	const struct graph_symbol *symbol;
	const char *path; /* of the first export statement */
	uint32_t line;
	const char *subsystem;
	char *added_by;
	bool consumed_here; /* by a file that the series changes */
};

struct gate {
	struct harvest *harvest;
	const struct series *series;
	const struct rules *rules;
	const char *tags; /* pattern of releases, or NULL */
	struct harvested head;
	const struct summary *base;
	struct maint *maint;          /* NULL: the tree has no MAINTAINERS */
	struct releases releases;     /* that the base contains */
	struct changed_file *changed; /* sorted by path */
	size_t n_changed, c_changed;
	struct new_export *exports;
	size_t n_exports, c_exports;
	const char **subsystems; /* where the series exports, or adds functionality */
	size_t n_subsystems, c_subsystems;
	struct finding *findings;
	size_t n_findings, c_findings;
	size_t errors;
};

/* Used by the files of the rules. */

/* Most specific section of PATH, or "". */
const char *gate_subsystem(const struct gate *g, const char *path);
int gate_note_subsystem(struct gate *g, const char *path);
bool gate_in_subsystem(const struct gate *g, const char *title);
/* Adds a finding. */
__attribute__((format(printf, 7, 8))) int gate_find(struct gate *g, enum rule rule,
						    enum severity severity, const char *symbol,
						    const char *file, uint32_t line,
						    const char *format, ...);
struct finding *gate_last(struct gate *g);

int gate_rule_exports(struct gate *g); /* gpl, consumer */
int gate_rule_ack(struct gate *g, const char *symbol, const char *file, uint32_t line,
		  const char *consumer); /* ack, nack */
/* The same, unless OFFERER and CONSUMER are of one subsystem: that is its own business. */
int gate_ask(struct gate *g, const char *symbol, const char *file, const char *offerer,
	     const char *consumer);
int gate_rule_functionality(struct gate *g); /* new names, and then: */
int gate_rule_parameters(struct gate *g);
int gate_rule_members(struct gate *g);
int gate_rule_lost(struct gate *g); /* needed, orphaned */
int gate_rule_inlines(struct gate *g);
int gate_rule_stale(struct gate *g); /* stale, overdue */

/* A consumer of S that may be a module, or NULL. */
const char *gate_modular(const struct gate *g, const struct graph_symbol *s);
/*
 * The names of macros of the new tree that export, hashed and sorted; malloc()ed.  Return: 0 or
 * -ENOMEM.
 */
int gate_exporting_macros(const struct gate *g, uint64_t **hashes, size_t *n);

#endif
