// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Verdicts, and the reason of each in one clause. */
#include "graph/verdict.h"
#include "graph/emitted.h"
#include "graph/outside.h"
#include "text/export.h"

#include <errno.h>
#include <stdio.h>

static bool is_test(const char *path)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

	return !strncmp(path, "samples/", 8) || !strncmp(path, "tools/", 6) ||
	       strstr(path, "/tests/") || strstr(path, "kunit") || strstr(path, "selftest") ||
	       !strncmp(base, "test_", 5) || strstr(base, "_test.") || strstr(base, "-test.");
}

static const char *only_tests(const struct resolver *r, const struct vec *files)
{
	for (uint32_t i = 0; i < VEC_N(files, uint32_t); i++)
		if (!is_test(r->files[VEC_AT(files, uint32_t, i)].path))
			return "";
	return ", only samples and tests";
}

static int say_consumed(struct resolver *r, struct symbol *s)
{
	uint32_t n = VEC_N(&s->direct, uint32_t);

	s->verdict = VERDICT_CONSUMED;
	if (n)
		return asprintf(&s->reason, "named by %u file%s outside its module%s%s", n,
				n > 1 ? "s" : "", only_tests(r, &s->direct),
				s->modular ? "" : ", all of them always built in");
	if (s->via == NO_OWNER && s->pasted.n)
		return asprintf(&s->reason, "named by token pasting in %s%s",
				r->files[VEC_AT(&s->indirect, uint32_t, 0)].path,
				only_tests(r, &s->indirect));
	if (s->via == NO_OWNER)
		return asprintf(&s->reason, "named at file scope of a header that %s includes%s",
				r->files[VEC_AT(&s->indirect, uint32_t, 0)].path,
				only_tests(r, &s->indirect));
	return asprintf(&s->reason, "through %s %s of %s%s",
			entity(r, s->via)->kind == ENTITY_MACRO ? "macro" : "inline function",
			entity_name(r, s->via), r->files[r->entity_file[s->via]].path,
			only_tests(r, &s->indirect));
}

/* Rust links to these without a name in the source. */
static bool rust_exports(const struct resolver *r, const struct symbol *s)
{
	return !strncmp(r->files[VEC_AT(&s->sites, struct graph_site, 0).file].path, "rust/", 5);
}

/*
 * Is it perhaps of libgcc? An architecture exports it, no source defines it, and it begins with __.
 */
static bool from_library(const struct resolver *r, const struct symbol *s)
{
	const char *path = r->files[VEC_AT(&s->sites, struct graph_site, 0).file].path;

	for (uint32_t i = 0; i < VEC_N(&s->ties, struct tie); i++)
		if (VEC_AT(&s->ties, struct tie, i).bond == BOND_DEFINES)
			return false;
	return !strncmp(path, "arch/", 5) && !strncmp(s->name, "__", 2) &&
	       s->variant == VARIANT_PLAIN && !s->own_module && !s->through;
}

static int say_unconsumed(const struct resolver *r, struct symbol *s)
{
	static const char *const passed[] = {
		[PASS_ARCH] = "only another architecture names it",
		[PASS_UNBUILT] = "only what no Makefile builds names it",
		[PASS_OPTION] = "only code under an option that no Kconfig has names it",
		[PASS_PROGRAM] = "only a program names it",
		[PASS_MODULES] = "only a module that it is not exported for names it",
	};

	s->verdict = VERDICT_UNCONSUMED;
	if (s->passed_for)
		return asprintf(&s->reason, "%s: %s", passed[s->passed_for],
				r->files[s->passed].path);
	if (s->own_module)
		return asprintf(&s->reason, "only its own module names it");
	if (s->through)
		return asprintf(
			&s->reason,
			"only macros or inline functions that no other module uses name it");
	return asprintf(&s->reason, "no file but its own names it");
}

/* Why the source does not tell whether anything uses it; NULL if it does. */
static const char *doubt(const struct resolver *r, const struct symbol *s, const char *hint)
{
	const char *emitted = emitted_reason(s->name);

	if (emitted)
		return emitted;
	if (from_library(r, s))
		return "no source defines it: perhaps a compiler's library does";
	if (rust_exports(r, s))
		return "exported for Rust modules, which do not name it in source";
	return hint;
}

/* The verdict if only modules count. */
static int judge_modular(const struct resolver *r, struct symbol *s, const char *why)
{
	const struct vec *from = s->direct.n ? &s->direct : &s->indirect;
	int n;

	s->modular_verdict = s->verdict;
	if (s->verdict != VERDICT_CONSUMED || s->modular) {
		n = asprintf(&s->modular_reason, "%s", s->reason);
	} else if (why) {
		s->modular_verdict = VERDICT_UNDECIDED;
		n = asprintf(&s->modular_reason, "%s", why);
	} else {
		s->modular_verdict = VERDICT_UNCONSUMED;
		n = asprintf(&s->modular_reason, "only what is always built in names it: %s",
			     r->files[VEC_AT(from, uint32_t, 0)].path);
	}
	return n < 0 ? -ENOMEM : 0;
}

static int judge_symbol(struct resolver *r, struct symbol *s)
{
	char *hint = s->reason;
	const char *why = doubt(r, s, hint);
	int n;

	s->reason = NULL;
	if (s->unexpanded) {
		s->verdict = VERDICT_UNDECIDED;
		n = asprintf(&s->reason, "exported by a macro that could not be expanded");
	} else if (s->direct.n || s->indirect.n) {
		n = say_consumed(r, s);
	} else if (why) {
		s->verdict = VERDICT_UNDECIDED;
		n = asprintf(&s->reason, "%s", why);
	} else {
		n = say_unconsumed(r, s);
	}
	if (n >= 0)
		n = judge_modular(r, s, why);
	free(hint);
	return n < 0 ? -ENOMEM : 0;
}

static bool looks_up(const struct blob *b)
{
	const uint64_t *refs = blob_refs(b);

	for (int i = 0; lookup_functions[i]; i++) {
		uint64_t h = blob_hash(lookup_functions[i], strlen(lookup_functions[i]));

		for (uint32_t k = 0; k < b->n_tu_refs; k++)
			if (refs[k] == h)
				return true;
	}
	return false;
}

/*
 * Finds strings that are the name of a symbol, in files of other modules that look up symbols by
 * name.
 */
static int named_in_strings(struct resolver *r)
{
	for (uint32_t f = 0; f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;
		const uint64_t *strings = (const void *)((const char *)b + b->strings);

		for (uint32_t i = 0; r->is_tu[f] && i < b->n_strings; i++) {
			uint32_t at = hmap_get(&r->by_name, strings[i]);
			struct symbol *s = at == HMAP_NONE ? NULL : &r->symbols[at];

			if (!s || s->modular || s->reason || !looks_up(b) || !outside(r, s, f))
				continue;
			if (asprintf(&s->reason, "a string in %s has its name", r->files[f].path) <
			    0)
				return -ENOMEM;
		}
	}
	return 0;
}

int judge(struct resolver *r)
{
	int err = named_in_strings(r);

	for (uint32_t i = 0; !err && i < r->n_symbols; i++)
		err = judge_symbol(r, &r->symbols[i]);
	return err;
}
