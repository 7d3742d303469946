/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef LISTS_H
#define LISTS_H

/* Names of the lists in Makefiles. */

#include <stdbool.h>
#include <stddef.h>

/* "obj-y", "lib-m", "obj-" and the like: lists whose members are linked apart. */
bool kbuild_top_list(const char *name);

/* Length of STEM in "STEM-y", "STEM-objs" and so on; 0 if the variable is no such list. */
size_t kbuild_composite_stem(const char *name);

#endif
