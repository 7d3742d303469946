/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef BLOB_H
#define BLOB_H

/*
 * The facts that one source file states, without any other file: exports, definitions, used
 * identifiers, includes, and the inline functions and macros of headers with the names they use.
 * Pure functions of (path, bytes): no I/O, no globals, one scanner a thread.
 *
 * A struct blob is one block of memory without pointers: offsets only. Writing its
 * `size` bytes to a cache and reading them back (8-byte aligned) is the serialisation;
 * blob_valid() must be asked before a block from outside is trusted. Facts depend on
 * the path only through blob_kind(path), so a cache key is (blob id, kind, BLOB_VERSION).
 *
 * Made by scan.h; read by the folders kbuild, graph, gate and own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text/kind.h"

#define BLOB_MAGIC 0x626c6f62u
#define BLOB_VERSION 6u

enum licence { LICENCE_PLAIN, LICENCE_GPL, LICENCES };

enum variant {
	VARIANT_PLAIN,       /* EXPORT_SYMBOL[_GPL] */
	VARIANT_NS,          /* EXPORT_SYMBOL_NS[_GPL], or DEFAULT_SYMBOL_NAMESPACE */
	VARIANT_FOR_MODULES, /* EXPORT_SYMBOL[_GPL]_FOR_MODULES and kin */
	VARIANT_TESTS,       /* EXPORT_SYMBOL_IF_KUNIT, _FOR_TESTS_ONLY and kin */
	VARIANT_PER_CPU,
	VARIANT_STATIC_CALL,
	VARIANT_TRACEPOINT,
	VARIANTS,
};

/* Offsets named *_str point at NUL-terminated text in the block; 0 is the empty string. */

struct blob_export {
	uint32_t name_str;
	uint32_t ns_str;
	uint32_t macro_str; /* the export macro as written */
	uint32_t line;
	uint8_t licence;
	uint8_t variant;
	uint16_t pad;
};

enum {
	DEF_STATIC = 1,
	DEF_INLINE = 2,
	DEF_FUNC = 4,
	DEF_VAR = 8,
	DEF_WEAK = 32,
	DEF_CONDITIONAL = 16, /* inside #if: perhaps a stand-in for the real one */
};

struct blob_def {
	uint64_t hash; /* blob_hash() of the name */
	uint32_t name_str;
	uint32_t line;
	uint32_t flags;
	uint32_t pad;
};

enum { ENTITY_MACRO, ENTITY_INLINE };

/* A macro (any file) or a header's inline function: counts only through its users. */
struct blob_entity {
	uint64_t hash;
	uint32_t name_str;
	uint32_t params_str; /* macros with parameters: "a,b,..." ; else 0 */
	uint32_t body_str;   /* macros: replacement text, blanks folded; else 0 */
	uint32_t line;
	uint32_t first_ref; /* into refs */
	uint32_t n_refs;
	uint16_t kind;
	uint16_t guard; /* as in struct blob_guarded; 0: none */
	uint32_t flags;
};

enum { MACRO_FUNCTION = 1, MACRO_PASTES = 2 /* with ## or in asm */, MACRO_EXPORTS = 4 };

/* A macro invoked at file scope, or inside a macro body that is expanded later. */
struct blob_invocation {
	uint64_t hash;
	uint32_t macro_str;
	uint32_t args_str; /* text between the outer parentheses, blanks folded */
	uint32_t line;
	uint32_t pad;
};

struct blob_include {
	uint32_t path_str;
	uint32_t quoted;
};

/*
 * A condition that asks for a CONFIG_ option: of an #if, or of an if () in a function.
 * Whether an option exists the file does not know: the resolver does.
 */
struct blob_guard {
	uint32_t text_str; /* the expression */
	uint32_t outer;    /* number of the condition around it, from 1; 0: none */
	uint32_t negated;  /* of the #else */
	uint32_t pad;
};

/* A reference of the file that stands under conditions only: once for each of them. */
struct blob_guarded {
	uint64_t ref;
	uint32_t guard; /* from 1 */
	uint32_t pad;
};

struct blob {
	uint32_t magic, version;
	uint32_t size; /* of the whole block in bytes */
	uint32_t kind;
	uint32_t flags;
	uint32_t n_lines;
	/* n_tu_refs of refs are the file's own; the rest belong to entities */
	uint32_t n_tu_refs, n_refs, refs; /* uint64_t, unsorted; once each within an owner */
	uint32_t n_strings,
		strings; /* uint64_t: hashes of string literals that are one identifier */
	uint32_t n_exports, exports;
	uint32_t n_defs, defs;
	uint32_t n_entities, entities;
	uint32_t n_invocations, invocations;
	uint32_t n_includes, includes;
	uint32_t n_guards, guards;
	uint32_t n_guarded, guarded; /* sorted by ref */
	uint32_t n_options, options; /* uint64_t: hashes of CONFIG_ names that the file defines */
	uint32_t text_str;           /* BLOB_MAKE, BLOB_KCONFIG: the text, comments kept; else 0 */
	uint32_t namespace_str;      /* DEFAULT_SYMBOL_NAMESPACE of the file, or 0 */
	uint32_t pad;
};

enum {
	BLOB_IS_MODULE = 1 /* says MODULE_LICENSE */,
	BLOB_TRUNCATED = 2 /* facts dropped at a limit */,
	BLOB_IS_PROGRAM = 4 /* includes <stdio.h> or another header that only user space has */
};

#define BLOB_ARRAY(b, type, member) ((const struct type *)((const char *)(b) + (b)->member))

static inline const char *blob_str(const struct blob *b, uint32_t str)
{
	return str ? (const char *)b + str : "";
}

static inline const uint64_t *blob_refs(const struct blob *b)
{
	return (const uint64_t *)((const char *)b + b->refs);
}

/* 64-bit name identity used for all references; stable across runs and machines. */
uint64_t blob_hash(const char *name, size_t len);
/* "macro called with this sole identifier (or number) as one of its arguments", as a reference */
uint64_t blob_hash_pair(uint64_t macro, uint64_t arg);
#define BLOB_NESTED 1u /* as arg: an argument has a call in it */

/* Is this block, read from a cache, one that blob_scan could have written? */
bool blob_valid(const void *block, size_t size);

#endif
