/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A job of `hmm run`: what it does with one input on the device, and the same on the CPU, written
 * apart so that --verify compares two programs and not one with itself.
 */
#ifndef TOOLS_HMM_RUN_JOB_H
#define TOOLS_HMM_RUN_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <json-c/json.h>

#include "session.h"

struct run_options {
	const char *device;
	uint64_t engines;       /* 0: one a CPU */
	uint64_t fault_threads; /* 0: the engine that faults serves its fault */
	bool verify;
	bool json;
	bool in_place;
	bool confine;
	bool migrate;
	bool coherent;
	bool map;
	const char *output;
	const char *from;
	const char *svg;
	const char *pattern;
};

/* A file's mapping. */
struct input {
	const char *path;
	int fd;
	uint8_t *base;
	size_t size;
	bool apart; /* mapped by apart_map() */
};

struct work {
	const struct run_options *options;
	struct session *session;
	struct input *input;
	uint64_t bytes;           /* what the job works on */
	unsigned int cpu_threads; /* of the CPU's side, set by it */
	uint64_t cpu_faults;      /* page faults that it took */
	void *state;              /* the job's own */
	int status;               /* what COMPLAINED stands for */
};

struct job {
	const char *name;
	const char *summary;
	bool takes_pattern;
	bool writes; /* to its mapping */
	/* Each: 0 or -errno. prepare may complain itself, see COMPLAINED. */
	int (*prepare)(struct work *work);
	int (*device)(struct work *work);
	int (*cpu)(struct work *work);
	/* 1: the device's result is the CPU's; 0: it is not; -errno. */
	int (*same)(struct work *work);
	/* After it was verified; may be NULL. */
	int (*finish)(struct work *work);
	/* The result's own fields; *line is what a person is shown of it, at most LINE bytes. */
	void (*result)(const struct work *work, struct json_object *fields, char *line);
	void (*release)(struct work *work);
};

#define LINE 160

/* An "errno" that says: the sentence was printed already, and work->status is the exit status. */
#define COMPLAINED 4095

extern const struct job job_checksum, job_search, job_sort, job_graph;

/* Maps a file, after every check that bad input needs; complains. 0 or an exit status. */
enum input_use {
	INPUT_READ,  /* private, read-only */
	INPUT_COPY,  /* private, writable: what is written is a copy */
	INPUT_WRITE, /* shared, writable: what is written is the file */
	/* private, writable, and read in: no page is the file's, so that all can be moved */
	INPUT_MEMORY,
};
int input_open(struct input *input, const char *path, enum input_use use);
void input_close(struct input *input);
/* A second mapping, for the CPU's side: as cold as the device's was. */
int input_map_again(const struct input *input, uint8_t **base);

#endif
