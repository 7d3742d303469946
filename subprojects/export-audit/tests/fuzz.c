// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Throws mutated source at the scanner and the resolver, built with sanitizers.
 * Usage: fuzz [--seed=N] [--seconds=N] FILE...   (the files are what it mutates)
 * The seed is printed; a run with the same seed and files repeats the same inputs.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "graph/graph.h"
#include "patch/hunk.h"
#include "maintainers/maintainers.h"
#include "mail/mbox.h"
#include "own/own.h"
#include "patch/section.h"
#include "gate/shape.h"
#include "mail/subject.h"
#include "text/source.h"
#include "text/scan.h"
#include "text/args.h"

#define SEEDS 256
#define INPUT_MAX (64u << 10)
#define FILES 7

static const char *const snippets[] = {
	"EXPORT_SYMBOL(",
	"EXPORT_SYMBOL_NS_GPL(a, N);",
	"#define A(x, y...) b_##x ## y(#x, ##y)\n",
	"#if 0\n",
	"#else\n",
	"#endif\n",
	"#ifdef X\n",
	"#include \"f1.h\"\n",
	"#include <linux/f2.h>\n",
	"/*",
	"*/",
	"//",
	"\"",
	"'",
	"\\\n",
	"\\",
	"{",
	"}",
	"(",
	")",
	";",
	"=",
	",",
	"##",
	"#",
	"...",
	"static inline int a(int b)\n{\n",
	"\n}\n",
	"asm(\"call foo_%c0\"",
	".macro m\n",
	".endm\n",
	"A(A(A))",
	"EXPORT_TRACEPOINT_SYMBOL(9p)",
	"$(foreach a,b c,$(a))",
	"obj-$(CONFIG_A) += a.o\n",
	"a-objs := $(addprefix x/,b.o) $(a-objs)\n",
	"include $(src)/Makefile\n",
	"\0",
	"\xff\xfe",
	"\r\n",
	"F:\tdrivers/*/x*\n",
	"#define DEFAULT_SYMBOL_NAMESPACE N\n",
	"_GLOBAL(a)\n",
	"struct a {\n\tint (*b)(int), c[2];\n",
	"a->b = ",
	"&a->b",
	"int a(int b, void *c) __must_hold(x)\n{\n",
	"\nFrom x Thu Jan  1 00:00:00 1970\nSubject: =?UTF-8?q?a=20b?=\n\n",
	"Content-Transfer-Encoding: base64\n",
	"Content-Type: multipart/mixed; boundary=x\n\n--x\n",
	"Content-Type: text/plain; format=flowed; delsp=yes\n\na \nb\n",
	"Subject: Re: [PATCH v2.1 1/2] [a\n",
	"diff --git a/f b/f\nnew file mode 100644\n",
	"--- a/f\n+++ \"b/\\303f\"\n",
	"@@ -1,2 +1 @@\n int a;\n-b\n",
	"\\ No newline at end of file\n",
	"bindings::a",
	"#define EXPORT_X(n) A(n) EXPORT_SYMBOL(a_##n);\n",
	"EXPORT_X(b);\n",
	"printf(\"EXPORT_SYMBOL(z);\\n\");",
};

static struct {
	char *text;
	size_t len;
} seeds[SEEDS];
static size_t n_seeds;
static uint64_t state;

static uint32_t rnd(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return below ? (uint32_t)(state >> 20) % below : 0;
}

static void load(const char *path)
{
	FILE *f = fopen(path, "re");

	if (!f || n_seeds == SEEDS)
		return;
	seeds[n_seeds].text = malloc(INPUT_MAX);
	seeds[n_seeds].len =
		seeds[n_seeds].text ? fread(seeds[n_seeds].text, 1, INPUT_MAX / 4, f) : 0;
	n_seeds += seeds[n_seeds].len > 0;
	fclose(f);
}

static void insert(char *text, size_t *len, size_t at, const char *s, size_t n)
{
	if (*len + n > INPUT_MAX)
		return;
	memmove(text + at + n, text + at, *len - at);
	memcpy(text + at, s, n);
	*len += n;
}

/* A copy of exactly its size, so that a read past the end is seen. */
static char *mutant(size_t *len)
{
	static char text[INPUT_MAX];
	size_t pick = rnd((uint32_t)n_seeds), from = rnd((uint32_t)seeds[pick].len), n;
	char *copy;

	*len = seeds[pick].len - from;
	*len = *len > 4096 ? 1 + rnd(4096) : *len;
	memcpy(text, seeds[pick].text + from, *len);
	for (uint32_t i = 1 + rnd(12); i; i--) {
		size_t at = rnd((uint32_t)*len + 1);
		const char *s = snippets[rnd(sizeof(snippets) / sizeof(*snippets))];

		switch (rnd(5)) {
		case 0:
			if (at < *len)
				text[at] = (char)rnd(256);
			break;
		case 1:
			n = rnd((uint32_t)(*len - at) + 1);
			memmove(text + at, text + at + n, *len - at - n);
			*len -= n;
			break;
		case 2: /* the same again, many times: depth and length */
			for (uint32_t k = rnd(64); k; k--)
				insert(text, len, at, s, strlen(s));
			break;
		default:
			insert(text, len, at, s, strlen(s));
		}
	}
	copy = malloc(*len ? *len : 1);
	if (copy)
		memcpy(copy, text, *len);
	return copy;
}

static void resolve(struct blob_scanner *s)
{
	static const char *const names[FILES] = { "Kconfig",      "Makefile",
						  "arch/x/a.S",   "drivers/a.c",
						  "drivers/f1.h", "include/linux/f2.h",
						  "lib/b.rs" };
	static const enum blob_kind kinds[FILES] = { BLOB_KCONFIG, BLOB_MAKE,   BLOB_ASM, BLOB_C,
						     BLOB_HEADER,  BLOB_HEADER, BLOB_RUST };
	struct source_file files[FILES] = { 0 };
	struct graph *g;

	for (int i = 0; i < FILES; i++) {
		struct blob *b = NULL;
		size_t len;
		char *text = mutant(&len);

		if (!text || blob_scan(s, kinds[i], text, len, &b) || !blob_valid(b, b->size))
			abort();
		free(text);
		files[i] = (struct source_file){ names[i], b };
	}
	if (graph_resolve(files, FILES, 1, &g))
		abort();
	for (uint32_t i = 0; i < g->n_symbols; i++)
		if (!g->symbols[i].reason || !g->symbols[i].n_sites ||
		    (g->symbols[i].verdict == VERDICT_CONSUMED) != (g->symbols[i].n_consumers > 0))
			abort();
	graph_free(g);
	for (int i = 0; i < FILES; i++)
		free((struct blob *)files[i].blob);
}

/* The scanner alone, which is fast; the same input twice gives the same block. */
static void scan(struct blob_scanner *s)
{
	enum blob_kind kind = (enum blob_kind)(BLOB_C + rnd(4));
	struct blob *b[2] = { NULL, NULL };
	size_t len;
	char *text = mutant(&len);

	for (int i = 0; i < 2; i++)
		if (!text || blob_scan(s, kind, text, len, &b[i]) || !blob_valid(b[i], b[i]->size))
			abort();
	if (b[0]->size != b[1]->size || memcmp(b[0], b[1], b[0]->size))
		abort();
	free(text);
	free(b[0]);
	free(b[1]);
}

/* A block of facts that was damaged in a cache is refused, or is safe to look at. */
static void damaged(struct blob_scanner *s)
{
	struct blob *b = NULL;
	size_t len;
	char *text = mutant(&len);

	if (!text || blob_scan(s, (enum blob_kind)(BLOB_C + rnd(6)), text, len, &b))
		abort();
	free(text);
	len = b->size;
	for (uint32_t i = 1 + rnd(4); i; i--)
		((unsigned char *)b)[rnd(rnd(2) ? (uint32_t)sizeof(*b) : (uint32_t)len)] =
			(unsigned char)rnd(256);
	if (blob_valid(b, len)) {
		struct source_file f = { "a.c", b };
		struct graph *g;

		if (!graph_resolve(&f, 1, 1, &g))
			graph_free(g);
	}
	free(b);
}

static void others(void)
{
	size_t len;
	char *text = mutant(&len);
	struct maint *m = NULL;
	struct vec declared = { 0 };

	if (!text)
		abort();
	if (!maint_parse(text, len, &m)) {
		maint_subsystem(m, "drivers/x/y.c");
		maint_free(m);
	}
	own_declarations(text, len, 0, &declared);
	for (uint32_t i = 0; i < VEC_N(&declared, struct declaration); i++)
		free(VEC_AT(&declared, struct declaration, i).name);
	free(declared.data);
	free(text);
}

/* What the gate asks of a text, and the mails that it comes in. */
/* A diff on some text; the text ends with a NUL, as those of mails do. */
static void patch(const char *text, size_t len)
{
	const char *end = text + len, *stop;
	struct section one;
	struct image i;
	size_t n;

	for (const char *s = text; s && s < end; s = memchr(s, '\n', (size_t)(end - s))) {
		s += *s == '\n';
		if (s == end || !section_starts(s, end) || section_read(s, end, &one))
			continue;
		if (one.hunks && !image_new("int a;\nb\nc\n", 11, &i)) {
			image_apply(&i, one.hunks, end, &stop);
			free(image_text(&i, &n));
			image_free(&i);
		}
		section_free(&one);
	}
}

static void gate(void)
{
	struct arg args[SHAPE_ARGS], tag, body, member, word = { "a", 1 };
	struct shape_at call = { 0 };
	struct shape s;
	struct access use;
	struct subject subject;
	struct mbox mails;
	size_t len, n, at = 0;
	char *text = mutant(&len);

	if (!text || shape_new(text, len, &s))
		abort();
	shape_parameters(&s, "a", args, &n);
	while (shape_call(&s, "a", &call, args, &n))
		for (size_t i = 0; i < n; i++)
			shape_has(&args[i], "struct", 6);
	while (shape_struct(&s, &at, &tag, &body))
		for (size_t in = 0; shape_member(&body, &in, &member);)
			shape_access(&s, &member, &use);
	shape_access(&s, &word, &use);
	shape_free(&s);
	if (!mbox_parse(text, len, &mails)) {
		for (size_t i = 0; i < mails.n; i++) {
			subject_parse(mails.v[i].subject, &subject);
			patch(mails.v[i].body, mails.v[i].len);
		}
		mbox_free(&mails);
	}
	free(text);
}

int main(int argc, char **argv)
{
	uint64_t seed = (uint64_t)time(NULL);
	time_t seconds = 60, end;
	struct blob_scanner *s;
	unsigned long rounds = 0;

	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--seed=", 7))
			seed = strtoull(argv[i] + 7, NULL, 0);
		else if (!strncmp(argv[i], "--seconds=", 10))
			seconds = strtol(argv[i] + 10, NULL, 0);
		else
			load(argv[i]);
	}
	if (!n_seeds || blob_scanner_new(&s)) {
		fputs("fuzz: no files to start from\n", stderr);
		return 2;
	}
	printf("seed %llu, %zu files, %ld s\n", (unsigned long long)seed, n_seeds, (long)seconds);
	fflush(stdout);
	state = seed * 0x9e3779b97f4a7c15u | 1;
	for (end = time(NULL) + seconds; time(NULL) < end; rounds++) {
		for (int i = 0; i < 50; i++)
			scan(s);
		resolve(s);
		damaged(s);
		others();
		gate();
	}
	printf("%lu rounds\n", rounds);
	blob_scanner_free(s);
	for (size_t i = 0; i < n_seeds; i++)
		free(seeds[i].text);
	return 0;
}
