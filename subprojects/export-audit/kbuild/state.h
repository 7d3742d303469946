/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef STATE_H
#define STATE_H

/* What is known of each file while the Makefiles are read. Shared by built.c and members.c. */

#include "kbuild/arch.h"
#include "kbuild/built.h"
#include "kbuild/folder.h"

struct state {
	uint8_t how;
	bool listed;      /* in a list that was understood */
	bool nameless;    /* in a module whose name is not known */
	bool several;     /* Makefiles of several folders list it */
	uint32_t folder;  /* of the one that does, from 1; 0: none */
	uint32_t modules; /* the last of its modules, in modules; 0: none */
	uint64_t arches;
};

struct module {
	uint32_t next;
	char *name;
};

struct built {
	const struct source_file *files;
	uint32_t n_files;
	struct state *states;
	struct mentions *mentions;
	struct module *modules;
	size_t n_modules, c_modules;
	struct wrap *wraps;
	size_t n_wraps, c_wraps;
	struct folders *folders;
	struct arches arches;
	uint32_t words; /* of the Makefile that is being read */
	bool any;       /* the tree's Makefiles have lists at all */
};

#endif
