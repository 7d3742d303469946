/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef RESOLVE_H
#define RESOLVE_H

/* What the parts of the resolver share. Private to them; graph.h is the interface. */

#include "text/facts.h"
#include "graph/graph.h"
#include "base/hmap.h"
#include "kbuild/include.h"
#include "kbuild/kbuild.h"

#define NO_OWNER UINT32_MAX

/* Why a file that names a symbol is no consumer. */
enum pass { PASS_NONE, PASS_ARCH, PASS_UNBUILT, PASS_OPTION, PASS_PROGRAM, PASS_MODULES };

/* How a file is bound to a symbol, so that its references are none from outside. */
enum bond { BOND_EXPORTS, BOND_DEFINES, BOND_SHADOWS /* has a static one of that name */ };

struct tie {
	uint32_t file;
	enum bond bond;
};

struct symbol {
	char *name, *ns, *reason, *modular_reason;
	char *stem; /* as in the source: of a tracepoint or a static call; else the name */
	uint8_t licence, variant, verdict, modular_verdict;
	bool unexpanded;    /* exported by a macro that could not be expanded */
	bool own_module;    /* something in its own module names it */
	bool modular;       /* a consumer may be a module */
	uint32_t passed;    /* a file that names it and does not count; NO_OWNER */
	uint8_t passed_for; /* enum pass */
	uint64_t arches;    /* of the files that export it */
	bool through;       /* a header's inline function or macro uses it */
	uint32_t via;       /* entity that uses it, for the reason; NO_OWNER */
	struct vec sites;   /* struct graph_site */
	struct vec ties;    /* struct tie */
	struct vec direct;  /* uint32_t: files that name it */
	struct vec indirect;
	struct vec pasted;  /* struct use: what names it by pasting */
	struct vec names;   /* uint64_t: all it goes by, hashed */
	struct vec reached; /* uint32_t: entities that use it, a few */
};

/* One place that uses a name: a file itself, or a macro or inline function in it. */
struct use {
	uint32_t file;
	uint32_t owner; /* entity number or NO_OWNER */
};

/*
 * A macro or inline function that names something. These are walked over and over: so they lie
 * in a row, with what they name, and not scattered over the facts of all files.
 */
struct referrer {
	uint64_t hash;             /* its own name */
	uint32_t entity, first, n; /* names in referrer_refs */
	uint32_t flags;
	bool macro;
};

struct index {
	struct hmap keys; /* name to slot */
	uint32_t *first;  /* slot to uses */
	struct use *uses;
};

struct resolver {
	const struct source_file *files;
	uint32_t n_files;
	struct kconfig *kconfig;
	struct built *built;
	struct kbuild *kbuild;
	struct includes *includes;
	struct symbol *symbols;
	uint32_t n_symbols, cap_symbols;
	uint32_t n_statements;
	struct hmap by_name; /* all names a symbol goes by, to its number */
	/* entities of all files, numbered through */
	uint32_t *entity_base; /* by file; n_files + 1 */
	uint32_t *entity_file; /* by entity */
	uint32_t *entity_next; /* the same name elsewhere */
	struct hmap entities;  /* name to the last entity of that name */
	uint32_t n_entities;
	struct referrer *referrers;
	uint64_t *referrer_refs;
	uint32_t n_referrers, n_referrer_refs;
	uint64_t expanded;             /* bytes that expansion of macros took */
	bool cut;                      /* the last one was too long */
	struct vec cuts;               /* struct graph_site: those that were */
	struct vec pasters, exporters; /* uint32_t: macros that build names; that export */
	uint8_t *is_tu;                /* by file: references count for themselves */
	uint8_t **dead;                /* by file: guards that never hold; NULL if none */
};

static inline const struct blob_entity *entity(const struct resolver *r, uint32_t e)
{
	uint32_t f = r->entity_file[e];

	return BLOB_ARRAY(r->files[f].blob, blob_entity, entities) + (e - r->entity_base[f]);
}

static inline const char *entity_name(const struct resolver *r, uint32_t e)
{
	return blob_str(r->files[r->entity_file[e]].blob, entity(r, e)->name_str);
}

/* Is the entity the only one of its name, or does the file see it? */
bool entity_visible(const struct resolver *r, uint32_t file, uint32_t e);

/* Does the reference, of the file itself, stand under conditions that never hold? */
bool dead_ref(const struct resolver *r, uint32_t file, uint64_t ref);
bool dead_entity(const struct resolver *r, uint32_t file, const struct blob_entity *e);
/* Remembers the file as one that names the symbol in vain; the best reason stays. */
void pass_over(struct symbol *s, uint32_t file, enum pass why);

/* Do references from this file count for the symbol? */
bool outside(struct resolver *r, struct symbol *s, uint32_t file);
/* The same, and they are found: the symbol remembers whether the file can be a module. */
bool consumes(struct resolver *r, struct symbol *s, uint32_t file);

/* collect.c: symbols from export statements, those in macros too; then who defines them. */
int collect(struct resolver *r);

/*
 * expand.c: text of an invocation in the file with macros expanded, alternative
 * definitions one after the other; to out, NUL-terminated.
 */
int expand_invocation(struct resolver *r, uint32_t file, const char *macro, const char *args,
		      struct vec *out);

/* index.c: uses of the names in keys (values are ignored), in all files. */
int index_uses(struct resolver *r, struct index *index);
void index_free(struct index *index);

/* All references of the tree in a small set that now and then has one too many. */
struct refs_seen {
	uint64_t *words;
	uint32_t mask;
};

int refs_seen_init(const struct resolver *r, struct refs_seen *out);

static inline uint64_t refs_seen_bits(uint64_t ref)
{
	return 1ull << (ref >> 58) | 1ull << (ref >> 52 & 63);
}

static inline bool refs_seen(const struct refs_seen *s, uint64_t ref)
{
	uint64_t bits = refs_seen_bits(ref);

	return (s->words[ref & s->mask] & bits) == bits;
}

/* consume.c: who names the symbols, directly or through headers. */
int consume_direct(struct resolver *r);
int consume_indirect(struct resolver *r, bool pasted_only);

/* paste.c: names that macros build. Fills symbol.pasted, and undecided where unsure. */
int consume_pasted(struct resolver *r);

/* emitted.c: why a compiler would call this without being told to by source; NULL if it would not.
 */
const char *emitted_reason(const char *name);

/* verdict.c: verdicts and reasons from what has been found. */
int judge(struct resolver *r);

#endif
