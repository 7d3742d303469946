/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef KBUILD_H
#define KBUILD_H

/*
 * Which files are linked into one object before anything is exported: the module, or the
 * built-in object, that the Makefiles name. A file in no composite object is its own unit.
 * Used by the resolver only.
 */

#include "kbuild/built.h"
#include "kbuild/kconfig.h"

struct kbuild;

/* Reads all Makefiles; built learns of their lists. The files are sorted by path. */
int kbuild_read(const struct source_file *files, uint32_t n_files, const struct kconfig *kconfig,
		struct built *built, struct kbuild **out);
void kbuild_free(struct kbuild *k);

/*
 * The units of a file, at least one. kbuild_join() adds the units of the includer to those of file.
 */
uint32_t kbuild_units(const struct kbuild *k, uint32_t file, const uint32_t **units);
int kbuild_join(struct kbuild *k, uint32_t file, uint32_t includer);

/* -DDEFAULT_SYMBOL_NAMESPACE of the folder's Makefile or of one above it; NULL if none. */
const char *kbuild_namespace(const struct kbuild *k, const char *path);

#endif
