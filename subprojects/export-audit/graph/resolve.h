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

/* How a file is bound to a symbol: its own references to the symbol do not count. */
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

/*
 * A macro or inline function that names something. All of them are walked over many times, so they
 * and the names lie in one array, and not scattered over the facts of all files.
 */
struct referrer {
	uint64_t hash;             /* its own name */
	uint32_t entity, first, n; /* names in referrer_refs */
	uint32_t flags;
	bool macro;
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

#endif
