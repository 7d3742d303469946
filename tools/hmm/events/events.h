/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* hmm events: what changes in a program's address space, live and summed up. */
#ifndef TOOLS_HMM_EVENTS_EVENTS_H
#define TOOLS_HMM_EVENTS_EVENTS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "kernel/abi/watch.h"
#include "hello.h"

#define NAME_MAX_HERE 256
#define MAX_SOURCES 256 /* spaces that are watched, those included that have ended */

/* log.c: the log of one space, as the programs write it. */
struct event_log {
	volatile uint64_t *consumer;
	const volatile uint64_t *producer;
	const char *data;
	uint64_t size;
	const volatile struct watch_space *space;
	const volatile struct watch_global *global;
};

/* 0 or -errno. */
int map_log(struct event_log *log, const int *fds, uint64_t bytes);
void log_unmap(struct event_log *log);
/* Takes the next record. False: there is none that is complete. */
bool log_next(struct event_log *log, struct watch_record *record);

/* mappings.c: what is mapped where, as far as it was looked at before it changed. */
struct mapping {
	uint64_t start;
	uint64_t end;
	char *name; /* "" for memory without a name */
};

struct mappings {
	struct mapping *list; /* by start */
	size_t n;
	size_t room;
	pid_t pid;
};

/* The name of what is mapped there; NULL: it was never seen. */
const char *mappings_name(const struct mappings *m, uint64_t start, uint64_t end);
/* What is mapped now, into an empty list. False: the process has ended, or may not be looked at. */
bool mappings_look(struct mappings *m);
/*
 * *seen, from such a look, takes the place of what was known. later: the records that are not shown
 * yet, up to those that were written after the look.
 */
void mappings_replace(struct mappings *m, struct mappings *seen, const struct watch_record *later,
		      size_t n);
/* Is it the end of a change after which its range is not mapped? */
bool mappings_ends(const struct watch_record *r);
/* Nothing is mapped there any more. */
void mappings_cut(struct mappings *m, uint64_t start, uint64_t end);
void mappings_free(struct mappings *m);

/* A space that is watched. */
struct source {
	struct event_log log;
	int fds[EVENTS_FDS];
	pid_t pid;
	char comm[16]; /* the process's name when the watch began */
	bool helper;
	uint32_t n_sites;
	uint32_t n_attached;
	struct events_site *sites;
	struct mappings mappings;
	/* records that were fetched and are not shown yet: [next, n) of them */
	struct watch_record *pending;
	size_t next, n_pending, room;
	bool looked;      /* since records were last waited for */
	uint64_t word;    /* of the global page when the watch began: its upper part */
	uint64_t dropped; /* of the space's page, as told already */
	bool ended;
};

/* table.c: how often, by name. */
struct count {
	char *name;
	uint64_t events;
	uint64_t bytes;
	uint64_t largest;
};

struct table {
	struct count *rows;
	size_t n;
	size_t room;
	struct count others; /* what came when the table was full */
};

#define TABLE_MAX 4096

void table_add(struct table *t, const char *name, uint64_t bytes);
/* The most frequent first. */
void table_sort(struct table *t);
void table_free(struct table *t);

enum by { BY_KIND, BY_WHO, BY_SITE, BY_MAPPING, BY_NR };

struct totals {
	struct table by[BY_NR];
	uint64_t events;
	uint64_t bytes;
	uint64_t filtered; /* events that the options leave out; not in the rest */
	uint64_t lost;     /* did not fit in the log */
	uint64_t skipped;  /* how often a program may have been skipped */
	bool detached;     /* the programs were taken away before the space ended */
	unsigned int spaces;
	unsigned int unattached; /* functions that this kernel has, and no program could be at */
	char unattached_first[EVENTS_NAME]; /* the name of one of them */
};

struct filter {
	uint32_t kinds; /* bits by enum watch_kind */
	uint64_t min_size;
	const char *mapping; /* a part of its name; NULL for all */
};

/* An event with all that is known of it. */
struct event {
	const struct watch_record *record;
	pid_t pid;
	double seconds; /* since the watch began, when it was read */
	const char *kind;
	const char *site;
	const char *who;
	const char *cause;   /* thread, process, kernel */
	const char *mapping; /* NULL: unknown */
	uint64_t bytes;      /* 0: everything */
};

struct output {
	FILE *to;
	bool json;
	bool live;
	bool summary;
	uint64_t rows; /* of each table of the summary; 0: all */
	int error;     /* errno of a write that failed */
};

struct watch {
	struct output out;
	struct filter filter;
	struct totals totals;
	struct source sources[MAX_SOURCES];
	size_t n_sources;
	double began;
	uint64_t log_bytes; /* of each; 0: the usual size */
	int no_log;         /* -errno that a program reported in the place of a log */
	bool refused;       /* the program was ended, as it could not be watched */
	bool all_tasks;     /* the kernel's numbers of threads are ours, too */
};

/* kinds.c */
const char *event_kind_name(unsigned int kind);
/* A list of names with commas. False and a complaint: one is none. */
bool kinds_parse(const char *text, uint32_t *kinds);

/* who.c: "sort/4711", "[khugepaged]". cause: thread, process or kernel. */
const char *who_name(char *text, size_t size, const struct watch *w, const struct source *s,
		     const struct watch_record *record, const char **cause);
/* Learns the names of a source's process, before that goes on. */
void who_begin(struct source *s);
/* Are the kernel's thread numbers, those of the initial PID namespace, ours? */
bool who_sees_all(void);

/* source.c */
int listener_open(char *name, size_t size);
/* Takes a connection. Complains of what is wrong. */
void source_accept(struct watch *w, int listener);
/* Watches a running process, with this one's privilege. 0 or -errno. */
int source_open(struct watch *w, pid_t pid);
/* The space has ended: nothing but numbers stays. */
void source_close(struct source *s);

/* load.c: what the process would say in hello.h. 0 or -errno. */
int load_open(pid_t pid, uint64_t log_bytes, struct events_hello *hello, int *fds);

/* follow.c: learns what is mapped before the program goes on. */
void follow_begin(struct source *s);
/* Reads what there is. True: there was something. */
bool follow(struct watch *w, struct source *s);

/* line.c */
void print_source(const struct output *out, const struct source *s, double seconds);
void print_event(const struct output *out, const struct event *e);
void print_lost(const struct output *out, const struct source *s, uint64_t n, double seconds);

/* summary.c */
void print_summary(struct watch *w, const char *program, int status);

double now(void);

#endif
