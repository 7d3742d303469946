/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the programs and the loader share besides the pages that watchers read. */
#ifndef WATCHD_BPF_STATE_H
#define WATCHD_BPF_STATE_H

#include <linux/types.h>

/* Address spaces that can be watched at a time. */
#define WATCH_SPACES 1024
/*
 * Logs that a space may have, each for a space that its process attaches: so many that are told of
 * by functions, and as many by notifiers. A power of two, below the alignment of an mm.
 */
#define WATCH_LOGS 4
/* Threads that may be switched out inside a program at a time; more make everything invalid. */
#define WATCH_SWITCHED_OUT 16384
/* A kernel address is hashed to one of these counters before it is looked up. */
#define WATCH_FILTER_BITS 12

/* The page of variables that the loader writes; the programs' own data. */
struct watch_state {
	__u32 page_size;
	__u32 huge_size;  /* of a page that a page middle directory maps */
	__u32 giant_size; /* the largest page of hugetlbfs */
	/* What migration_disabled is in the program at a switch for a thread in no program. */
	__u32 switch_base;
	__u32 switch_armed;   /* 1: switch_base is known */
	__u32 functions;      /* 1: programs are attached to functions that change page tables */
	__u32 notifiers;      /* 1: to those that the kernel's notifiers are called by */
	__u32 open_slot;      /* the request to program watch_task */
	__u32 open_asks;      /* 1: only whether the slot's owner is the space of the process */
	__u32 open_functions; /* 1: by functions, also where the space has notifiers */
	__u32 open_anyway;    /* 1: also where nothing would be told */
	__s32 open_result;    /* 0: no such thread yet; 1: done, or yes; or -errno */
};

/* The request to program watch_command. */
struct watch_command {
	__u32 slot;
	__u32 detach; /* 1: the programs go; `slot` is not used */
};

#endif
