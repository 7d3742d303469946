/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef BUILT_H
#define BUILT_H

/*
 * What the Makefiles make of each source file: nothing, a part of the kernel itself, of a module
 * (and of which), or of a program. If a Makefile is not understood a file may be anything: that may
 * make a symbol look consumed, never unconsumed. Used by the resolver only.
 */

#include "text/source.h"

enum {
	BUILT_IN = 1,      /* linked into the kernel */
	BUILT_MODULE = 2,  /* may be linked into a module */
	BUILT_NEVER = 4,   /* in a list that nothing can switch on */
	BUILT_PROGRAM = 8, /* of the host or of user space */
};

struct built;

int built_new(const struct source_file *files, uint32_t n_files, struct built **out);
void built_free(struct built *b);

/* Remembers the words of a Makefile; a file in no list may be named by one. */
int built_words(struct built *b, uint32_t makefile);
/* To be called after all Makefiles. */
int built_finish(struct built *b);
/* A .c that another includes is built with that. True if it changed anything. */
bool built_join(struct built *b, uint32_t file, uint32_t includer);

/* A sum of BUILT_*; 0 if no Makefile builds it. */
uint32_t built_how(const struct built *b, uint32_t file);
/* Is it in a module that the list names: "kvm,vfio-*"? True if its module is not known. */
bool built_allowed(const struct built *b, uint32_t file, const char *list);
/*
 * Architectures that the file may be part of, as bits; all of them for a file that is not below
 * arch/.
 */
uint64_t built_arches(const struct built *b, uint32_t file);

/* "ld --wrap=NAME": what the file calls NAME is __wrap_NAME, and __real_NAME is NAME. */
struct wrap {
	uint32_t file;
	char *name;
};
const struct wrap *built_wraps(const struct built *b, uint32_t *n);

#endif
