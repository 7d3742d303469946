// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Adds definitions, inline functions of headers and macros at file scope to the facts. */
#include "text/args.h"
#include "text/export.h"
#include "text/scanner.h"

void scan_def(struct blob_scanner *s, const char *name, size_t len, uint64_t hash, uint32_t line,
	      uint32_t flags)
{
	struct facts *f = &s->facts;
	uint32_t str = facts_str(f, name, len);
	struct blob_def *d = facts_add(f, &f->defs, sizeof(*d));

	if (s->conds && s->kind == BLOB_C)
		flags |= DEF_CONDITIONAL;
	if (d)
		*d = (struct blob_def){
			.hash = hash, .name_str = str, .line = line, .flags = flags
		};
}

static void add_export(struct blob_scanner *s, const struct export_macro *m,
		       const struct token *macro, const struct arg *args, size_t n, uint32_t line)
{
	struct facts *f = &s->facts;
	struct blob_export x = { .line = line,
				 .licence = (uint8_t)m->licence,
				 .variant = (uint8_t)m->variant },
			   *to;

	x.name_str = facts_str(f, args[0].s, args[0].len);
	x.macro_str = facts_str(f, macro->s, macro->len);
	if (m->ns_arg && (size_t)m->ns_arg < n) {
		struct arg ns = args[m->ns_arg];

		if (ns.len >= 2 && *ns.s == '"')
			ns = (struct arg){ ns.s + 1, ns.len - 2 };
		x.ns_str = facts_str(f, ns.s, ns.len);
	}
	to = facts_add(f, &f->exports, sizeof(*to));
	if (to)
		*to = x;
}

void scan_invocation(struct blob_scanner *s, const struct token *macro, const char *args,
		     size_t len, uint32_t line)
{
	struct facts *f = &s->facts;
	bool exports = macro->len >= 6 && memmem(macro->s, macro->len, "EXPORT", 6);
	const struct export_macro *m = exports ? export_macro(macro->s, macro->len) : NULL;
	struct blob_invocation v = { .hash = macro->hash, .line = line }, *to;
	struct arg split[3];
	size_t n;

	if (macro->len == 14 && !memcmp(macro->s, "MODULE_LICENSE", 14))
		f->flags |= BLOB_IS_MODULE;
	n = split_args(args, len, split, 3);
	if (m && is_word(split[0].s, split[0].len)) {
		add_export(s, m, macro, split, n, line);
		return;
	}
	if (macro->len > 7 && !memcmp(macro->s, "DEFINE_", 7)) {
		size_t at = memmem(macro->s, macro->len, "PER_CPU", 7) ? 1 : 0;

		if (at < n && is_identifier(split[at].s, split[at].len))
			scan_def(s, split[at].s, split[at].len,
				 hash_bytes(split[at].s, split[at].len), line,
				 DEF_VAR | (s->c.is_static ? DEF_STATIC : 0));
	}
	if (len > ARGS_LIMIT || (macro->len > 7 && !memcmp(macro->s, "MODULE_", 7)))
		return;
	v.macro_str = facts_str(f, macro->s, macro->len);
	v.args_str = facts_folded(f, args, len);
	to = facts_add(f, &f->invocations, sizeof(*to));
	if (to)
		*to = v;
}

void scan_close_inline(struct blob_scanner *s, struct cstate *c)
{
	struct facts *f = &s->facts;
	struct blob_entity *e, made = { .kind = ENTITY_INLINE,
					.hash = c->declarator.hash,
					.line = c->line,
					.guard = (uint16_t)s->guard };

	made.name_str = facts_str(f, c->declarator.s, c->declarator.len);
	facts_close_entity(f, &f->refs[OWNER_INLINE], &made);
	e = facts_add(f, &f->entities, sizeof(*e));
	if (e)
		*e = made;
	c->fn_open = false;
}
