/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * A thread that unmaps memory which what is measured does not use, 50,000 times a second or as fast
 * as the machine can.
 */
#ifndef TOOLS_HMM_BENCH_UNMAPPER_H
#define TOOLS_HMM_BENCH_UNMAPPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <hmm/hmm.h>

struct unmapper {
	struct hmm_mm *mm;
	enum unmapper_kind {
		BYSTANDER,  /* not mirrored, pages never touched */
		REGISTERED, /* registered with the userfaultfd of mm, likewise untouched */
		TOUCHED,    /* not mirrored, each page present */
	} kind;
	atomic_bool stop;
	uint64_t done;  /* munmaps since it was started */
	int error;      /* -errno, once it was stopped */
	double reached; /* munmaps a second, the least of all starts */
	double begin;
	pthread_t thread;
};

/* 0 or -errno. */
int unmapper_start(struct unmapper *u);
void unmapper_stop(struct unmapper *u);

#endif
