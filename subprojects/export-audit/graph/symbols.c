// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The table of symbols: their names, and statements that export the same one. */
#include "graph/symbols.h"
#include "base/vec.h"

#include <errno.h>
#include <stdio.h>

static int alias_hash(struct resolver *r, uint32_t symbol, uint64_t h)
{
	uint32_t *slot = hmap_slot(&r->by_name, h);

	if (!slot)
		return -ENOMEM;
	if (*slot != HMAP_NONE)
		return 0; /* already another symbol's own name */
	*slot = symbol;
	return vec_push(&r->symbols[symbol].names, &h, sizeof(h));
}

static int aliases(struct resolver *r, uint32_t symbol)
{
	static const char *const tracepoint[] = {
		"__tracepoint_%s",     "__traceiter_%s",   "trace_%s",
		"trace_%s_enabled",    "trace_%s_rcuidle", "register_trace_%s",
		"unregister_trace_%s", "__do_trace_%s",    "register_trace_prio_%s",
		"trace_call__%s",
	};
	static const char *const static_call[] = { "__SCK__%s", "__SCT__%s", "%s" };
	static const char *const callers[] = {
		"static_call",           "static_call_mod",   "static_call_cond",
		"static_call_update",    "static_call_query", "__static_call_update",
		"tracepoint_enabled",    "static_call_ro",    "STATIC_CALL_TRAMP",
		"STATIC_CALL_TRAMP_STR", "STATIC_CALL_KEY",   "STATIC_CALL_TRAMP_ADDR",
	};
	struct symbol *s = &r->symbols[symbol];
	const char *const *formats = s->variant == VARIANT_TRACEPOINT ? tracepoint : static_call;
	size_t n = s->variant == VARIANT_TRACEPOINT ? 10 : 3;
	uint64_t stem = blob_hash(s->stem, strlen(s->stem));
	char name[512];
	int err = alias_hash(r, symbol, blob_hash(s->name, strlen(s->name)));

	if (s->variant != VARIANT_TRACEPOINT && s->variant != VARIANT_STATIC_CALL)
		return err;
	for (size_t i = 0; !err && i < n; i++) {
		snprintf(name, sizeof(name), formats[i], s->stem);
		err = alias_hash(r, symbol, blob_hash(name, strlen(name)));
	}
	for (size_t i = 0; !err && i < sizeof(callers) / sizeof(*callers); i++)
		err = alias_hash(r, symbol,
				 blob_hash_pair(blob_hash(callers[i], strlen(callers[i])), stem));
	return err;
}

static int new_symbol(struct resolver *r, const char *name, const struct statement *st,
		      uint32_t *out)
{
	struct symbol *s;

	if (r->n_symbols == r->cap_symbols) {
		uint32_t cap = r->cap_symbols ? r->cap_symbols * 2 : 4096;
		struct symbol *grown = realloc(r->symbols, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		r->symbols = grown;
		r->cap_symbols = cap;
	}
	*out = r->n_symbols++;
	s = &r->symbols[*out];
	*s = (struct symbol){ .name = strdup(name),
			      .stem = strndup(st->name.s, st->name.len),
			      .ns = strndup(st->ns.s ? st->ns.s : "", st->ns.len),
			      .licence = st->licence,
			      .variant = st->variant,
			      .via = NO_OWNER,
			      .passed = NO_OWNER,
			      .unexpanded = st->unexpanded };
	return s->name && s->stem && s->ns ? 0 : -ENOMEM;
}

/* Two statements export it for different modules: it is exported for all of them. */
static int widen(struct symbol *s, const struct statement *st)
{
	char *joined;

	if (st->variant != VARIANT_FOR_MODULES)
		s->variant = st->variant;
	if (st->ns.len == strlen(s->ns) && !memcmp(st->ns.s, s->ns, st->ns.len))
		return 0;
	if (asprintf(&joined, "%s,%.*s", s->ns, (int)st->ns.len, st->ns.len ? st->ns.s : "") < 0)
		return -ENOMEM;
	free(s->ns);
	s->ns = joined;
	return 0;
}

int symbols_add(struct resolver *r, const struct statement *st)
{
	static const char *const prefix[VARIANTS] = {
		[VARIANT_TRACEPOINT] = "__tracepoint_", [VARIANT_STATIC_CALL] = "__SCK__"
	};
	const char *pre = st->tramp ? "__SCT__" : prefix[st->variant] ? prefix[st->variant] : "";
	struct graph_site site = { st->file, st->line };
	struct tie tie = { st->file, BOND_EXPORTS };
	struct symbol *s;
	char name[512];
	uint32_t at;
	int err = 0;

	if (st->name.len > 256)
		return 0;
	snprintf(name, sizeof(name), "%s%.*s", pre, (int)st->name.len, st->name.s);
	at = hmap_get(&r->by_name, blob_hash(name, strlen(name)));
	if (at == HMAP_NONE || strcmp(r->symbols[at].name, name)) {
		err = new_symbol(r, name, st, &at);
		err = err ? err : aliases(r, at);
	}
	if (err)
		return err;
	s = &r->symbols[at];
	for (uint32_t i = 0; i < VEC_N(&s->sites, struct graph_site); i++)
		if (VEC_AT(&s->sites, struct graph_site, i).file == site.file &&
		    VEC_AT(&s->sites, struct graph_site, i).line == site.line)
			return 0; /* two branches of one macro */
	r->n_statements++;
	/* the widest licence of all statements counts for users */
	s->licence = st->licence < s->licence ? st->licence : s->licence;
	if (s->variant == VARIANT_FOR_MODULES)
		err = widen(s, st);
	if (err)
		return err;
	err = vec_push(&s->sites, &site, sizeof(site));
	return err ? err : vec_push(&s->ties, &tie, sizeof(tie));
}
