/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef KCONFIG_H
#define KCONFIG_H

/*
 * Which CONFIG_ options a tree has at all, and which of them can be "m". Used by the
 * resolver only. Names are given with CONFIG_.
 */

#include "text/source.h"

struct kconfig;

int kconfig_read(const struct source_file *files, uint32_t n_files, struct kconfig **out);
void kconfig_free(struct kconfig *k);

/* 'm' if it may be a module, 'y' if not, 'n' if nothing can set it. */
char kconfig_value(const struct kconfig *k, const char *name, size_t len);

/*
 * Which conditions of the file hold in no configuration: sets dead[] by the number of the guard. It
 * has room for n_guards + 1.
 */
void kconfig_guards(const struct kconfig *k, const struct blob *b, uint8_t *dead);

#endif
