// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The export macros, by name. */
#include "text/export.h"

#include <string.h>

static const struct export_macro macros[] = {
	{ "EXPORT_SYMBOL", LICENCE_PLAIN, VARIANT_PLAIN, 0 },
	{ "EXPORT_SYMBOL_GPL", LICENCE_GPL, VARIANT_PLAIN, 0 },
	{ "EXPORT_SYMBOL_GPL_FUTURE", LICENCE_GPL, VARIANT_PLAIN, 0 },
	{ "EXPORT_UNUSED_SYMBOL", LICENCE_PLAIN, VARIANT_PLAIN, 0 },
	{ "EXPORT_UNUSED_SYMBOL_GPL", LICENCE_GPL, VARIANT_PLAIN, 0 },
	{ "EXPORT_SYMBOL_NOVERS", LICENCE_PLAIN, VARIANT_PLAIN, 0 },
	{ "EXPORT_SYMBOL_NS", LICENCE_PLAIN, VARIANT_NS, 1 },
	{ "EXPORT_SYMBOL_NS_GPL", LICENCE_GPL, VARIANT_NS, 1 },
	{ "EXPORT_SYMBOL_GPL_FOR_MODULES", LICENCE_GPL, VARIANT_FOR_MODULES, 1 },
	{ "EXPORT_SYMBOL_FOR_MODULES", LICENCE_GPL, VARIANT_FOR_MODULES, 1 },
	{ "EXPORT_SYMBOL_FOR_KVM", LICENCE_GPL, VARIANT_FOR_MODULES, 0 },
	{ "EXPORT_SYMBOL_FOR_KVM_INTERNAL", LICENCE_GPL, VARIANT_FOR_MODULES, 0 },
	{ "EXPORT_SYMBOL_IF_KUNIT", LICENCE_PLAIN, VARIANT_TESTS, 0 },
	{ "EXPORT_SYMBOL_FOR_TESTS_ONLY", LICENCE_PLAIN, VARIANT_TESTS, 0 },
	{ "EXPORT_PER_CPU_SYMBOL", LICENCE_PLAIN, VARIANT_PER_CPU, 0 },
	{ "EXPORT_PER_CPU_SYMBOL_GPL", LICENCE_GPL, VARIANT_PER_CPU, 0 },
	{ "EXPORT_EARLY_PER_CPU_SYMBOL", LICENCE_PLAIN, VARIANT_PER_CPU, 0 },
	{ "EXPORT_STATIC_CALL", LICENCE_PLAIN, VARIANT_STATIC_CALL, 0 },
	{ "EXPORT_STATIC_CALL_GPL", LICENCE_GPL, VARIANT_STATIC_CALL, 0 },
	{ "EXPORT_STATIC_CALL_TRAMP", LICENCE_PLAIN, VARIANT_STATIC_CALL, 0 },
	{ "EXPORT_STATIC_CALL_TRAMP_GPL", LICENCE_GPL, VARIANT_STATIC_CALL, 0 },
	{ "EXPORT_TRACEPOINT_SYMBOL", LICENCE_PLAIN, VARIANT_TRACEPOINT, 0 },
	{ "EXPORT_TRACEPOINT_SYMBOL_GPL", LICENCE_GPL, VARIANT_TRACEPOINT, 0 },
	{ "EXPORT_INDIRECT_CALLABLE", LICENCE_PLAIN, VARIANT_PLAIN, 0 },
};

const char *const lookup_functions[] = { "__symbol_get",
					 "symbol_get",
					 "symbol_request",
					 "kallsyms_lookup_name",
					 "find_symbol",
					 "module_kallsyms_lookup_name",
					 NULL };

const struct export_macro *export_macro(const char *name, size_t len)
{
	if (len < 13 || memcmp(name, "EXPORT_", 7))
		return NULL;
	for (size_t i = 0; i < sizeof(macros) / sizeof(*macros); i++)
		if (!strncmp(macros[i].name, name, len) && !macros[i].name[len])
			return &macros[i];
	return NULL;
}

bool raw_export(const char *name, size_t len)
{
	return (len == 15 && !memcmp(name, "__EXPORT_SYMBOL", 15)) ||
	       (len == 14 && !memcmp(name, "_EXPORT_SYMBOL", 14));
}

const char *licence_name(enum licence l)
{
	return l == LICENCE_GPL ? "GPL" : "plain";
}

const char *variant_name(enum variant v)
{
	static const char *const names[] = { "symbol",  "namespaced",  "for modules", "tests only",
					     "per-cpu", "static call", "tracepoint" };

	return names[v];
}
