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

/* files sorted by path. What the Makefiles list goes to built as well. */
int kbuild_read(const struct source_file *files, uint32_t n_files, const struct kconfig *kconfig,
		struct built *built, struct kbuild **out);
void kbuild_free(struct kbuild *k);

/* Units of a file: ids, at least one. Adding makes one file part of what another is part of. */
uint32_t kbuild_units(const struct kbuild *k, uint32_t file, const uint32_t **units);
int kbuild_join(struct kbuild *k, uint32_t file, uint32_t includer);

/* -DDEFAULT_SYMBOL_NAMESPACE of the folder's Makefile or of one above it; NULL if none. */
const char *kbuild_namespace(const struct kbuild *k, const char *path);

#endif
