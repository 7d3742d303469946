/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* stale-demo: which monitors there are, what each scene gave with each, and how that is shown. */
#ifndef TOOLS_STALE_DEMO_DEMO_H
#define TOOLS_STALE_DEMO_DEMO_H

#include <stdio.h>
#include "stage.h"

#define SCENES_MAX 48

enum result {
	RESULT_OK = OUTCOME_OK,
	RESULT_STALE = OUTCOME_STALE,
	RESULT_BROKEN = OUTCOME_BROKEN,
	RESULT_SKIP = OUTCOME_SKIP,
	RESULT_NO = OUTCOME_NO,
	RESULT_HANG,    /* it did not end within the limit */
	RESULT_CRASH,   /* a signal ended it */
	RESULT_NOT_RUN, /* nobody asked for it */
};

struct cell {
	enum result result;
	unsigned int stale, of;
	int cached;
	double cost, beside;
	char why[160];
};

struct monitor {
	const char *name;
	const char *program;
	const char *preload;   /* what its executable is started with, or NULL */
	const char *hook_mode; /* of UCX, or NULL */
	const char *text;
	bool ours;   /* libhmm tells the cache */
	bool wanted; /* runs */
	bool missing;
	bool unlinked; /* it was not built, or it was built without this monitor */
	char why[160]; /* why it is missing */
	struct cell cell[SCENES_MAX];
	/* the two races once more, without privilege */
	struct cell nobody[2];
};

struct demo {
	unsigned int races;
	unsigned int limit_ms; /* of one scene */
	unsigned int kinds;    /* SCENE_* that run */
	const char *only;      /* this scene alone, or NULL */
	const char *preload;   /* an allocator that the executables are started with, or NULL */
	bool verbose, nobody;
};

/* A NULL name ends it. */
extern struct monitor monitors[];

void demo_run(const struct demo *demo);
/* Uses of a registration that is gone, or anything but success, where libhmm is to prevent it. */
unsigned int demo_findings(void);
/* Monitors that are not there at all. One that this machine refuses is. */
unsigned int demo_unlinked(void);

/* Changes that a monitor missed, ways to change memory that hang with it, and that it was shown. */
struct count {
	unsigned int stale, hang, of;
};
struct count count_rows(const struct monitor *monitor, unsigned int kinds);
const char *result_name(enum result result);
/* Where it is in cell[]. */
const struct cell *cell_named(const struct monitor *monitor, const char *scene);

void show_table(FILE *to, const struct demo *demo);
void show_json(FILE *to);
void show_markdown(FILE *to, const struct demo *demo);

#endif
