// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Facts about one file: which files matter, the scan, and checks of blocks from a cache. */

#include <errno.h>

#include "text/export.h"
#include "text/scanner.h"
#include "base/hash.h"

#define SIZE_LIMIT (256u << 20)

uint64_t blob_hash(const char *name, size_t len)
{
	return hash_bytes(name, len);
}

uint64_t blob_hash_pair(uint64_t macro, uint64_t arg)
{
	return hash_mix(macro ^ 0x8ebc6af09c88c6e3u, arg ^ 0x589965cc75374cc3u);
}

static bool under(const char *path, const char *folder)
{
	return !strncmp(path, folder, strlen(folder));
}

/* What the kernel's own tools link into modules: no Makefile of the tree lists it. */
static bool of_modules(const char *path)
{
	return under(path, "scripts/livepatch/") || !strcmp(path, "scripts/module-common.c");
}

/* User space, and code linked apart from the kernel: no consumer of an export. */
static bool outside_kernel(const char *path)
{
	static const char *const folders[] = { "Documentation/", "scripts/", "usr/",
					       "LICENSES/",      ".git/",    "debian/" };
	const char *boot;

	if (of_modules(path))
		return false;
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (under(path, folders[i]))
			return true;
	if (under(path, "tools/"))
		return !under(path, "tools/testing/nvdimm/") &&
		       !under(path, "tools/testing/cxl/") &&
		       !under(path, "tools/testing/selftests/");
	if (!under(path, "arch/"))
		return false;
	boot = strstr(path, "/boot/");
	return (boot && !under(boot, "/boot/startup/")) || strstr(path, "/purgatory/");
}

enum blob_kind blob_kind(const char *path)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	const char *dot = strrchr(base, '.');

	if (under(base, "Kconfig") && !under(path, "Documentation/") && !under(path, "scripts/") &&
	    !under(path, "tools/"))
		return BLOB_KCONFIG;
	if (outside_kernel(path))
		return BLOB_SKIP;
	if (!strcmp(base, "Makefile") || !strcmp(base, "Kbuild") || under(base, "Makefile.") ||
	    under(base, "Kbuild."))
		return BLOB_MAKE;
	if (!dot)
		return BLOB_SKIP;
	if (!strcmp(dot, ".c") || !strcmp(dot, ".c_shipped"))
		return BLOB_C;
	if (!strcmp(dot, ".h") || !strcmp(dot, ".inc") || !strcmp(dot, ".def") ||
	    !strcmp(dot, ".tbl_h"))
		return BLOB_HEADER;
	if (!strcmp(dot, ".S") || !strcmp(dot, ".S_shipped"))
		return BLOB_ASM;
	if (!strcmp(dot, ".rs"))
		return BLOB_RUST;
	if (!strcmp(dot, ".mk") || !strcmp(dot, ".include"))
		return BLOB_MAKE;
	return BLOB_SKIP;
}

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

int blob_scanner_new(struct blob_scanner **out)
{
	struct blob_scanner *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	keywords_init();
	err = facts_init(&s->facts);
	if (err) {
		blob_scanner_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void blob_scanner_free(struct blob_scanner *s)
{
	if (!s)
		return;
	facts_fini(&s->facts);
	free(s);
}

int blob_scan(struct blob_scanner *s, enum blob_kind kind, const void *data, size_t len,
	      struct blob **out)
{
	if (kind == BLOB_SKIP)
		return -EINVAL;
	if (len > SIZE_LIMIT)
		return -EFBIG;
	facts_reset(&s->facts);
	s->kind = kind;
	s->conds = s->guard = 0;
	memset(&s->c, 0, sizeof(s->c));
	s->lex = (struct lex){
		.p = data, .end = (const char *)data + len, .start = data, .line = 1, .bol = true
	};
	if (kind == BLOB_C || kind == BLOB_HEADER)
		scan_c(s);
	else if (kind == BLOB_ASM)
		scan_asm(s);
	else if (kind == BLOB_RUST)
		scan_rust(s);
	else
		s->facts.text_str = facts_str(&s->facts, data, len < (1u << 20) ? len : 1u << 20);
	return facts_block(&s->facts, kind, s->lex.line, out);
}

static bool in_block(const struct blob *b, uint32_t at, uint64_t n, size_t size)
{
	return at % 8 == 0 && at >= sizeof(*b) && at <= b->size && n * size <= b->size - at;
}

static bool valid_strings(const struct blob *b)
{
#define BAD(str) ((str) >= b->size)
	for (uint32_t i = 0; i < b->n_exports; i++) {
		const struct blob_export *x = BLOB_ARRAY(b, blob_export, exports) + i;

		if (BAD(x->name_str) || BAD(x->ns_str) || BAD(x->macro_str) ||
		    x->licence >= LICENCES || x->variant >= VARIANTS)
			return false;
	}
	for (uint32_t i = 0; i < b->n_defs; i++)
		if (BAD(BLOB_ARRAY(b, blob_def, defs)[i].name_str))
			return false;
	for (uint32_t i = 0; i < b->n_entities; i++) {
		const struct blob_entity *e = BLOB_ARRAY(b, blob_entity, entities) + i;

		if (BAD(e->name_str) || BAD(e->params_str) || BAD(e->body_str) ||
		    e->first_ref > b->n_refs || e->n_refs > b->n_refs - e->first_ref ||
		    e->guard > b->n_guards)
			return false;
	}
	for (uint32_t i = 0; i < b->n_invocations; i++) {
		const struct blob_invocation *v = BLOB_ARRAY(b, blob_invocation, invocations) + i;

		if (BAD(v->macro_str) || BAD(v->args_str))
			return false;
	}
	for (uint32_t i = 0; i < b->n_includes; i++)
		if (BAD(BLOB_ARRAY(b, blob_include, includes)[i].path_str))
			return false;
	for (uint32_t i = 0; i < b->n_guards; i++) {
		const struct blob_guard *g = BLOB_ARRAY(b, blob_guard, guards) + i;

		if (BAD(g->text_str) || g->outer > i)
			return false;
	}
	for (uint32_t i = 0; i < b->n_guarded; i++)
		if (BLOB_ARRAY(b, blob_guarded, guarded)[i].guard - 1 >= b->n_guards)
			return false;
	return !BAD(b->text_str) && !BAD(b->namespace_str);
#undef BAD
}

bool blob_valid(const void *block, size_t size)
{
	const struct blob *b = block;

	if (size < sizeof(*b) || size % 8 || b->magic != BLOB_MAGIC || b->version != BLOB_VERSION ||
	    b->size != size || ((const char *)block)[size - 1])
		return false;
	return b->n_tu_refs <= b->n_refs && in_block(b, b->refs, b->n_refs, 8) &&
	       in_block(b, b->strings, b->n_strings, 8) &&
	       in_block(b, b->exports, b->n_exports, sizeof(struct blob_export)) &&
	       in_block(b, b->defs, b->n_defs, sizeof(struct blob_def)) &&
	       in_block(b, b->entities, b->n_entities, sizeof(struct blob_entity)) &&
	       in_block(b, b->invocations, b->n_invocations, sizeof(struct blob_invocation)) &&
	       in_block(b, b->includes, b->n_includes, sizeof(struct blob_include)) &&
	       in_block(b, b->guards, b->n_guards, sizeof(struct blob_guard)) &&
	       in_block(b, b->guarded, b->n_guarded, sizeof(struct blob_guarded)) &&
	       in_block(b, b->options, b->n_options, 8) && valid_strings(b);
}
