// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The symbols of a tree: export statements, macros that export, and the files that define symbols.
 */
#include "graph/collect.h"
#include "base/vec.h"
#include "graph/expand.h"
#include "graph/symbols.h"
#include "text/args.h"
#include "text/export.h"
#include "text/lex.h"

#include <errno.h>
#include <stdio.h>

static struct arg unquoted(struct arg a)
{
	while (a.len && (*a.s == '"' || *a.s == ' '))
		a = (struct arg){ a.s + 1, a.len - 1 };
	while (a.len && (a.s[a.len - 1] == '"' || a.s[a.len - 1] == ' '))
		a.len--;
	return a;
}

/* Reads one export macro in expanded text; its arguments are split. */
static void statement_of(struct statement *st, const struct token *macro,
			 const struct export_macro *m, struct arg *args, size_t n)
{
	st->name = args[0];
	st->tramp = memmem(macro->s, macro->len, "TRAMP", 5) != NULL;
	st->unexpanded = !is_word(args[0].s, args[0].len);
	st->ns = (struct arg){ "", 0 };
	if (m) {
		st->licence = (uint8_t)m->licence;
		st->variant = (uint8_t)m->variant;
		if (m->ns_arg && (size_t)m->ns_arg < n)
			st->ns = unquoted(args[m->ns_arg]);
		return;
	}
	/* __EXPORT_SYMBOL(name, "licence", namespace) */
	st->licence =
		n > 1 && memmem(args[1].s, args[1].len, "GPL", 3) ? LICENCE_GPL : LICENCE_PLAIN;
	st->ns = n > 2 ? unquoted(args[2]) : st->ns;
	st->variant = st->ns.len ? VARIANT_NS : VARIANT_PLAIN;
	if (st->ns.len > 7 && !memcmp(st->ns.s, "module:", 7)) {
		st->ns = unquoted((struct arg){ st->ns.s + 7, st->ns.len - 7 });
		st->variant = VARIANT_FOR_MODULES;
	}
}

static int from_text(struct resolver *r, uint32_t file, uint32_t line, const char *text)
{
	struct lex l = { .p = text, .end = text + strlen(text), .in_body = true };
	struct token t, next;
	int err = 0;

	while (!err && lex_next(&l, &t)) {
		const struct export_macro *m = t.type == T_IDENT ? export_macro(t.s, t.len) : NULL;
		struct statement st = { .file = file, .line = line };
		struct lex ahead = l;
		struct arg args[4];
		size_t n;
		int depth = 1;

		if (t.type != T_IDENT || (!m && !raw_export(t.s, t.len)) ||
		    lex_next(&ahead, &next) != '(')
			continue;
		l = ahead;
		while (depth && lex_next(&ahead, &next))
			depth += (next.type == '(') - (next.type == ')');
		if (depth)
			break;
		n = split_args(l.p, (size_t)(next.s - l.p), args, 4);
		statement_of(&st, &t, m, args, n);
		if (args[0].len)
			err = symbols_add(r, &st);
	}
	return err;
}

static int add_exporting(struct resolver *r, struct hmap *names, uint32_t e, bool *grown)
{
	const struct blob_entity *m = entity(r, e);
	const char *name = entity_name(r, e);
	uint32_t *slot;

	if (m->kind != ENTITY_MACRO || !m->body_str || hmap_get(names, m->hash) != HMAP_NONE ||
	    export_macro(name, strlen(name)))
		return 0;
	slot = hmap_slot(names, m->hash);
	if (!slot)
		return -ENOMEM;
	*slot = 0;
	*grown = true;
	return 0;
}

static bool leads(const struct resolver *r, const struct referrer *m, const struct hmap *names)
{
	bool hit = false;

	for (uint32_t i = 0; m->macro && !hit && i < m->n; i++)
		hit = hmap_get(names, r->referrer_refs[m->first + i]) != HMAP_NONE;
	return hit;
}

/* Fills NAMES with the macros whose expansion has an export; the values have no meaning. */
static int exporting_macros(struct resolver *r, struct hmap *names)
{
	bool grown = false;
	int err = hmap_init(names, 1024);

	for (uint32_t i = 0; !err && i < VEC_N(&r->exporters, uint32_t); i++)
		err = add_exporting(r, names, VEC_AT(&r->exporters, uint32_t, i), &grown);
	for (int round = 1; !err && grown && round < 8; round++) {
		grown = false;
		for (uint32_t i = 0; !err && i < r->n_referrers; i++)
			if (leads(r, &r->referrers[i], names))
				err = add_exporting(r, names, r->referrers[i].entity, &grown);
	}
	return err;
}

static bool names_any(const struct hmap *names, const char *text)
{
	struct lex l = { .p = text, .end = text + strlen(text), .in_body = true };
	struct token t;

	while (lex_next(&l, &t))
		if (t.type == T_IDENT && hmap_get(names, t.hash) != HMAP_NONE)
			return true;
	return false;
}

static int expand_one(struct resolver *r, uint32_t file, uint32_t line, const struct blob *b,
		      const struct blob_invocation *v, struct vec *scratch)
{
	struct graph_site here = { file, line };
	int err = expand_invocation(r, file, blob_str(b, v->macro_str), blob_str(b, v->args_str),
				    scratch);

	if (!err && r->cut)
		err = vec_push(&r->cuts, &here, sizeof(here));
	return err ? err : from_text(r, file, line, scratch->data);
}

static bool has_own(const struct resolver *r, uint32_t file, uint64_t macro)
{
	for (uint32_t e = r->entity_base[file]; e < r->entity_base[file + 1]; e++)
		if (entity(r, e)->hash == macro && entity(r, e)->kind == ENTITY_MACRO)
			return true;
	return false;
}

/*
 * A file may include a list of exports: an included .c has export macros, or an included file calls
 * an exporting macro that this file defines.
 */
static int list_includes(struct resolver *r, const struct hmap *names, uint32_t file,
			 struct vec *scratch)
{
	const struct includes *inc = r->includes;
	int err = 0;

	for (uint32_t i = inc->first[file]; !err && i < inc->first[file + 1]; i++) {
		uint32_t to = inc->targets[i];
		const struct blob *b = r->files[to].blob;
		const struct blob_invocation *v = BLOB_ARRAY(b, blob_invocation, invocations);

		for (uint32_t k = 0; !err && to != file && k < b->n_invocations; k++) {
			const char *macro = blob_str(b, v[k].macro_str);
			bool ours = hmap_get(names, v[k].hash) != HMAP_NONE &&
				    has_own(r, file, v[k].hash);

			if (ours || (b->kind == BLOB_C && export_macro(macro, strlen(macro))))
				err = expand_one(r, file, v[k].line, b, &v[k], scratch);
		}
	}
	return err;
}

static bool has_lower(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] >= 'a' && s[i] <= 'z')
			return true;
	return false;
}

/*
 * Is E a macro that renames a function, of the file itself or of a private header that it includes?
 */
static bool renames(const struct resolver *r, uint32_t file, uint32_t e)
{
	uint32_t home = r->entity_file[e];
	const char *path = r->files[home].path,
		   *body = blob_str(r->files[home].blob, entity(r, e)->body_str);

	body += *body == ' ';
	if (entity(r, e)->kind != ENTITY_MACRO || entity(r, e)->flags & MACRO_FUNCTION ||
	    !is_identifier(body, strlen(body)) || !has_lower(body, strlen(body)))
		return false;
	return home == file || (strncmp(path, "include/", 8) && !strstr(path, "/include/") &&
				includes_sees(r->includes, file, home));
}

/*
 * After "#define NAME real" an export of NAME exports "real". In another configuration, without
 * that macro, it exports NAME.
 */
static int add_aliased(struct resolver *r, struct statement *st)
{
	struct arg name = st->name;
	uint32_t e = hmap_get(&r->entities, blob_hash(name.s, name.len));
	bool aliased = false;
	int err = 0;

	for (; !err && e != HMAP_NONE; e = r->entity_next[e]) {
		const char *body =
			blob_str(r->files[r->entity_file[e]].blob, entity(r, e)->body_str);

		if (!renames(r, st->file, e))
			continue;
		body += *body == ' ';
		aliased = true;
		st->name = (struct arg){ body, strlen(body) };
		err = symbols_add(r, st);
	}
	st->name = name;
	if (!err && (!aliased || has_lower(name.s, name.len)))
		err = symbols_add(r, st);
	return err;
}

static int statements(struct resolver *r, const struct hmap *names, uint32_t file,
		      struct vec *scratch)
{
	const struct blob *b = r->files[file].blob;
	const struct blob_export *x = BLOB_ARRAY(b, blob_export, exports);
	const struct blob_invocation *v = BLOB_ARRAY(b, blob_invocation, invocations);
	const char *ns = b->namespace_str ? blob_str(b, b->namespace_str)
					  : kbuild_namespace(r->kbuild, r->files[file].path);
	int err = 0;

	for (uint32_t i = 0; !err && i < b->n_exports; i++) {
		struct statement st = { .file = file,
					.line = x[i].line,
					.licence = x[i].licence,
					.variant = x[i].variant };
		const char *name = blob_str(b, x[i].name_str), *own = blob_str(b, x[i].ns_str);

		st.name = (struct arg){ name, strlen(name) };
		st.ns = (struct arg){ own, strlen(own) };
		st.tramp = strstr(blob_str(b, x[i].macro_str), "TRAMP");
		if (ns && st.variant == VARIANT_PLAIN) {
			st.variant = VARIANT_NS;
			st.ns = (struct arg){ ns, strlen(ns) };
		}
		err = add_aliased(r, &st);
	}
	for (uint32_t i = 0; !err && i < b->n_invocations; i++) {
		const char *macro = blob_str(b, v[i].macro_str), *args = blob_str(b, v[i].args_str);

		if (hmap_get(names, v[i].hash) != HMAP_NONE || export_macro(macro, strlen(macro)) ||
		    (b->kind == BLOB_C && names_any(names, args)))
			err = expand_one(r, file, v[i].line, b, &v[i], scratch);
	}
	return err ? err : list_includes(r, names, file, scratch);
}

static bool exports(const struct symbol *s, uint32_t file)
{
	for (uint32_t i = 0; i < VEC_N(&s->ties, struct tie); i++)
		if (VEC_AT(&s->ties, struct tie, i).file == file &&
		    VEC_AT(&s->ties, struct tie, i).bond == BOND_EXPORTS)
			return true;
	return false;
}

static bool renamed(const struct resolver *r, uint32_t file, uint64_t hash)
{
	for (uint32_t e = r->entity_base[file]; e < r->entity_base[file + 1]; e++)
		if (entity(r, e)->hash == hash && entity(r, e)->kind == ENTITY_MACRO)
			return true;
	return false;
}

/*
 * Which symbols a file defines. Weak and conditional definitions may be stand-ins for another
 * configuration, and a macro may change the name: those do not count, unless the file exports it.
 */
static int definers(struct resolver *r, uint32_t file)
{
	const struct blob *b = r->files[file].blob;
	const struct blob_def *d = BLOB_ARRAY(b, blob_def, defs);
	int err = 0;

	for (uint32_t i = 0; !err && i < b->n_defs; i++) {
		uint32_t s = hmap_get(&r->by_name, d[i].hash);
		struct tie tie = { file, d[i].flags & DEF_STATIC ? BOND_SHADOWS : BOND_DEFINES };

		if (s != HMAP_NONE && (exports(&r->symbols[s], file) ||
				       (!(d[i].flags & (DEF_CONDITIONAL | DEF_WEAK)) &&
					!renamed(r, file, d[i].hash))))
			err = vec_push(&r->symbols[s].ties, &tie, sizeof(tie));
	}
	return err;
}

/* An export statement in a header counts as one of each file that includes the header. */
static int header_sites(struct resolver *r)
{
	int err = 0;

	for (uint32_t i = 0; i < r->n_symbols; i++) {
		struct symbol *s = &r->symbols[i];

		for (uint32_t k = 0; !err && k < VEC_N(&s->sites, struct graph_site); k++) {
			uint32_t f = VEC_AT(&s->sites, struct graph_site, k).file;

			if (r->files[f].blob->kind != BLOB_HEADER)
				continue;
			for (uint32_t e = r->includes->rfirst[f];
			     !err && e < r->includes->rfirst[f + 1]; e++) {
				struct tie tie = { r->includes->rsources[e], BOND_EXPORTS };

				err = vec_push(&s->ties, &tie, sizeof(tie));
			}
		}
	}
	return err;
}

int collect(struct resolver *r)
{
	struct hmap names = { 0 };
	struct vec scratch = { 0 };
	int err = exporting_macros(r, &names);

	for (uint32_t f = 0; !err && f < r->n_files; f++) {
		const struct blob *b = r->files[f].blob;

		if (r->is_tu[f] ||
		    (b->kind == BLOB_HEADER && strncmp(r->files[f].path, "tools/", 6)))
			err = statements(r, &names, f, &scratch);
	}
	for (uint32_t f = 0; !err && f < r->n_files; f++)
		if (r->is_tu[f])
			err = definers(r, f);
	err = err ? err : header_sites(r);
	for (uint32_t i = 0; i < r->n_symbols; i++) {
		struct symbol *s = &r->symbols[i];

		for (uint32_t k = 0; k < VEC_N(&s->ties, struct tie); k++)
			if (VEC_AT(&s->ties, struct tie, k).bond == BOND_EXPORTS)
				s->arches |= built_arches(r->built,
							  VEC_AT(&s->ties, struct tie, k).file);
	}
	hmap_fini(&names);
	free(scratch.data);
	return err;
}
