/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef EXPORT_H
#define EXPORT_H

/*
 * The export macros that mean the same in every tree. Macros that wrap them are expanded by the
 * resolver.
 */

#include "text/blob.h"

struct export_macro {
	const char *name;
	enum licence licence;
	enum variant variant;
	int ns_arg; /* which argument is the namespace, or the modules; 0: none */
};

/* NULL if the macro is not one of them. */
const struct export_macro *export_macro(const char *name, size_t len);

const char *licence_name(enum licence l); /* "plain", "GPL" */
const char *variant_name(enum variant v);

/* Is it __EXPORT_SYMBOL(name, "licence", namespace), what the others are made of? */
bool raw_export(const char *name, size_t len);

/* Functions that take the name of a symbol as a string; NULL at the end. */
extern const char *const lookup_functions[];

#endif
