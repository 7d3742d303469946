// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Options from Kconfig files, options that Makefiles and sources set for themselves, and conditions
 * that ask for options: true, false, or unknown.
 */
#include "kbuild/kconfig.h"
#include "base/hash.h"
#include "base/hmap.h"
#include "text/lex.h"
#include "text/source.h"

#include <errno.h>
#include <string.h>

enum { OPTION_BOOL = 1, OPTION_TRISTATE = 2 };

struct kconfig {
	struct hmap options; /* name with CONFIG_ to OPTION_* */
	bool any;            /* there is a Kconfig file */
	bool asked;          /* a Makefile asks for an option */
};

static int add(struct kconfig *k, const char *name, size_t len, uint32_t bits)
{
	uint32_t *slot = hmap_slot(&k->options, hash_bytes(name, len));

	if (!slot)
		return -ENOMEM;
	*slot = (*slot == HMAP_NONE ? 0 : *slot) | bits;
	return 0;
}

static size_t word(const char *s)
{
	size_t n = 0;

	while (s[n] == '_' || (s[n] >= '0' && s[n] <= '9') || (s[n] >= 'a' && s[n] <= 'z') ||
	       (s[n] >= 'A' && s[n] <= 'Z'))
		n++;
	return n;
}

static bool is(const char *s, size_t n, const char *what)
{
	return strlen(what) == n && !memcmp(s, what, n);
}

/* "config NAME", and the types in the lines below it. */
static int read_options(struct kconfig *k, const char *text)
{
	char name[256] = "CONFIG_";
	size_t len = 0;
	int err = 0;

	for (const char *line = text; !err && *line;
	     line += strcspn(line, "\n"), line += *line == '\n') {
		const char *s = line + strspn(line, " \t"), *arg;
		size_t n = word(s), k_len;

		arg = s + n + strspn(s + n, " \t");
		k_len = word(arg);
		if (is(s, n, "config") || is(s, n, "menuconfig")) {
			len = 7 + k_len < sizeof(name) && k_len ? 7 + k_len : 0;
			memcpy(name + 7, arg, len ? k_len : 0);
			err = len ? add(k, name, len, 0) : 0;
		} else if (len && (is(s, n, "tristate") || is(s, n, "def_tristate"))) {
			err = add(k, name, len, OPTION_TRISTATE);
		} else if (len &&
			   (is(s, n, "bool") || is(s, n, "def_bool") || is(s, n, "boolean"))) {
			err = add(k, name, len, OPTION_BOOL);
		}
	}
	return err;
}

/* "CONFIG_X := y" and "-DCONFIG_X" in a Makefile: may be anything. */
static int read_assignments(struct kconfig *k, const char *text)
{
	int err = 0;

	for (const char *p = text; !err && (p = strstr(p, "CONFIG_"));) {
		size_t n = word(p);
		const char *after = p + n + strspn(p + n, " \t");
		bool sets = (p - text >= 2 && p[-1] == 'D' && p[-2] == '-') ||
			    after[strspn(after, ":+?")] == '=';

		if (p > text && p[-1] == '(') /* $(CONFIG_X) = ... is another name */
			sets = false;
		if (sets)
			err = add(k, p, n, OPTION_TRISTATE);
		p += n;
	}
	return err;
}

int kconfig_read(const struct source_file *files, uint32_t n_files, struct kconfig **out)
{
	struct kconfig *k = calloc(1, sizeof(*k));
	int err = k ? hmap_init(&k->options, 32768) : -ENOMEM;

	for (uint32_t f = 0; !err && f < n_files; f++) {
		const struct blob *b = files[f].blob;
		const uint64_t *defined = (const void *)((const char *)b + b->options);

		if (b->kind == BLOB_KCONFIG) {
			k->any = true;
			err = read_options(k, blob_str(b, b->text_str));
		} else if (b->kind == BLOB_MAKE) {
			k->asked |= strstr(blob_str(b, b->text_str), "CONFIG_") != NULL;
			err = read_assignments(k, blob_str(b, b->text_str));
		}
		for (uint32_t i = 0; !err && i < b->n_options; i++) {
			uint32_t *slot = hmap_slot(&k->options, defined[i]);

			err = slot ? 0 : -ENOMEM;
			if (slot && *slot == HMAP_NONE)
				*slot = 0;
		}
	}
	if (err) {
		kconfig_free(k);
		return err;
	}
	*out = k;
	return 0;
}

void kconfig_free(struct kconfig *k)
{
	if (k)
		hmap_fini(&k->options);
	free(k);
}

/* If Makefiles ask for options and the tree has no Kconfig file, these were left out of it. */
static bool exists(const struct kconfig *k, const char *name, size_t len)
{
	if (!k->any && k->asked)
		return true;
	if (hmap_get(&k->options, hash_bytes(name, len)) != HMAP_NONE)
		return true;
	return len > 14 && !memcmp(name + len - 7, "_MODULE", 7) &&
	       hmap_get(&k->options, hash_bytes(name, len - 7)) != HMAP_NONE;
}

char kconfig_value(const struct kconfig *k, const char *name, size_t len)
{
	uint32_t v = hmap_get(&k->options, hash_bytes(name, len));

	if (v == HMAP_NONE)
		return k->any ? 'n' : 'm';
	return v & OPTION_TRISTATE || !v ? 'm' : 'y';
}

/* Conditions are false in every configuration, true in every one, or neither. */
enum truth { FALSE, TRUE, UNKNOWN };

struct condition {
	const struct kconfig *k;
	struct lex l;
	struct token t;
	int depth;
};

static void next(struct condition *c)
{
	lex_next(&c->l, &c->t);
}

static enum truth either(struct condition *c);

/* A name, "defined X", or a call: only those that ask for an option are understood. */
static enum truth named(struct condition *c)
{
	static const char *const asking[] = { "defined", "IS_ENABLED", "IS_BUILTIN", "IS_MODULE",
					      "IS_REACHABLE" };
	struct token name = c->t;
	enum truth v = UNKNOWN;
	bool asks = false;
	int depth = 0;

	for (size_t i = 0; i < sizeof(asking) / sizeof(*asking); i++)
		asks |= is(name.s, name.len, asking[i]);
	next(c);
	if (name.len > 7 && !memcmp(name.s, "CONFIG_", 7) && c->t.type != '(')
		return exists(c->k, name.s, name.len) ? UNKNOWN : FALSE;
	if (!asks && c->t.type != '(')
		return UNKNOWN;
	do { /* skips the arguments; their first word is the option */
		depth += c->t.type == '(';
		depth -= c->t.type == ')';
		if (asks && c->t.type == T_IDENT) {
			if (c->t.len > 7 && !memcmp(c->t.s, "CONFIG_", 7) &&
			    !exists(c->k, c->t.s, c->t.len))
				v = FALSE;
			asks = false;
		}
		next(c);
	} while (depth > 0 && c->t.type);
	return v;
}

static enum truth unary(struct condition *c)
{
	enum truth v = UNKNOWN;

	if (++c->depth > 64) {
		while (c->t.type)
			next(c);
	} else if (c->t.type == '!') {
		next(c);
		v = unary(c);
		v = v == UNKNOWN ? v : v == TRUE ? FALSE : TRUE;
	} else if (c->t.type == '(') {
		next(c);
		v = either(c);
		if (c->t.type == ')')
			next(c);
	} else if (c->t.type == T_NUMBER) {
		v = c->t.len == 1 && *c->t.s == '0' ? FALSE : TRUE;
		next(c);
	} else if (c->t.type == T_IDENT) {
		v = named(c);
	} else if (c->t.type && c->t.type != ')') {
		next(c);
	}
	c->depth--;
	return v;
}

/* Comparisons and arithmetic can be anything. */
static enum truth operand(struct condition *c)
{
	enum truth v = unary(c);

	while (c->t.type && c->t.type != ')' && c->t.type != '&' && c->t.type != '|') {
		unary(c);
		v = UNKNOWN;
	}
	return v;
}

/* "&&" is two tokens; a single "&" makes the operand unknown. */
static bool twice(struct condition *c, int type)
{
	if (c->t.type != type)
		return false;
	next(c);
	if (c->t.type != type)
		return false;
	next(c);
	return true;
}

static enum truth both(struct condition *c)
{
	enum truth v = operand(c);

	while (c->t.type == '&') {
		bool logical = twice(c, '&');
		enum truth w = operand(c);

		if (!logical)
			v = UNKNOWN;
		else
			v = v == FALSE || w == FALSE ? FALSE
			    : v == TRUE && w == TRUE ? TRUE
						     : UNKNOWN;
	}
	return v;
}

static enum truth either(struct condition *c)
{
	enum truth v = both(c);

	while (c->t.type == '|') {
		bool logical = twice(c, '|');
		enum truth w = both(c);

		if (!logical)
			v = UNKNOWN;
		else
			v = v == TRUE || w == TRUE     ? TRUE
			    : v == FALSE && w == FALSE ? FALSE
						       : UNKNOWN;
	}
	return v;
}

static enum truth ask(const struct kconfig *k, const char *text)
{
	struct condition c = { .k = k,
			       .l = { .p = text, .end = text + strlen(text), .in_body = true } };
	enum truth v;

	next(&c);
	v = either(&c);
	return c.t.type ? UNKNOWN : v;
}

void kconfig_guards(const struct kconfig *k, const struct blob *b, uint8_t *dead)
{
	const struct blob_guard *g = BLOB_ARRAY(b, blob_guard, guards);

	dead[0] = 0;
	for (uint32_t i = 0; i < b->n_guards; i++) {
		enum truth v = dead[g[i].outer] ? UNKNOWN : ask(k, blob_str(b, g[i].text_str));

		dead[i + 1] = dead[g[i].outer] || (v != UNKNOWN && (v == TRUE) == !!g[i].negated);
	}
}
