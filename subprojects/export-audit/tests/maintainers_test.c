// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* MAINTAINERS: what F:, X: and N: cover, and in which order. */
#include "maintainers/maintainers.h"
#include "maintainers/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char text[] = "List of maintainers\n"
			   "===================\n"
			   "\tM: *Mail* patches to: FullName <address@domain>\n"
			   "\n"
			   "HMM - Heterogeneous Memory Management\n"
			   "M:\tAda Example <ada@example.org>\n"
			   "M:\t\"Bo, Jr.\" <bo@example.org>\n"
			   "R:\tcy@example.org\n"
			   "S:\tMaintained\n"
			   "F:\tmm/hmm*\n"
			   "F:\tinclude/linux/hmm*\n"
			   "\n"
			   "MEMORY MANAGEMENT\n"
			   "M:\tDi <di@example.org>\n"
			   "F:\tmm/\n"
			   "X:\tmm/slab*\n"
			   "\n"
			   "SLAB\n"
			   "S:\tOrphan\n"
			   "F:\tmm/sl?b.*\n"
			   "F:\tlib/**/slab.c\n"
			   "\n"
			   "TEGRA\n"
			   "M:\tEd <ed@example.org>\n"
			   "N:\t[^a-z]tegra\n"
			   "N:\tps\\d+x\n"
			   "\n"
			   "NOUVEAU\n"
			   "F:\tdrivers/gpu/drm/nouveau\n"
			   "F:\tdrivers/*/bus[0-3]/\n"
			   "\n"
			   "THE REST\n"
			   "M:\tLi <li@example.org>\n"
			   "F:\t*\n"
			   "F:\t*/\n";

static int setup(void **state)
{
	struct maint *m = NULL;

	assert_int_equal(maint_parse(text, strlen(text), &m), 0);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	maint_free(*state);
	return 0;
}

static void test_sections(void **state)
{
	const struct maint_section *s = maint_section(*state, 0);

	assert_int_equal(maint_nsections(*state), 6);
	assert_string_equal(s->title, "HMM - Heterogeneous Memory Management");
	assert_string_equal(s->status, "Maintained");
	assert_int_equal(s->nmaintainers, 2);
	assert_int_equal(s->npeople, 3);
	assert_string_equal(s->people[0].name, "Ada Example");
	assert_string_equal(s->people[0].mail, "ada@example.org");
	assert_string_equal(s->people[1].name, "Bo, Jr.");
	assert_string_equal(s->people[2].mail, "cy@example.org");
	assert_string_equal(s->people[2].name, "");
	assert_string_equal(maint_section(*state, 2)->status, "Orphan");
	assert_int_equal(maint_section(*state, 2)->npeople, 0);
	assert_null(maint_section(*state, 6));
}

static void test_most_specific_first(void **state)
{
	const struct maint_section *hits[8];

	assert_int_equal(maint_match(*state, "mm/hmm.c", hits, 8), 3);
	assert_string_equal(hits[0]->title, "HMM - Heterogeneous Memory Management");
	assert_string_equal(hits[1]->title, "MEMORY MANAGEMENT");
	assert_string_equal(hits[2]->title, "THE REST");
	assert_int_equal(maint_match(*state, "mm/hmm.c", hits, 1), 3);
}

static void test_exclusion(void **state)
{
	assert_string_equal(maint_subsystem(*state, "mm/slab.c"), "SLAB");
	assert_string_equal(maint_subsystem(*state, "mm/slab_common.c"), "THE REST");
	assert_string_equal(maint_subsystem(*state, "mm/gup.c"), "MEMORY MANAGEMENT");
}

static void test_names(void **state)
{
	assert_string_equal(maint_subsystem(*state, "sound/soc/tegra/tegra.c"), "TEGRA");
	assert_string_equal(maint_subsystem(*state, "sound/soc/integra.c"), "THE REST");
	assert_string_equal(maint_subsystem(*state, "drivers/a/ps12x.c"), "TEGRA");
	assert_string_equal(maint_subsystem(*state, "drivers/a/psx.c"), "THE REST");
}

static void test_directories(void **state)
{
	assert_string_equal(maint_subsystem(*state, "drivers/gpu/drm/nouveau/nvkm/core/mm.c"),
			    "NOUVEAU");
	assert_string_equal(maint_subsystem(*state, "drivers/x/bus2/deep/er.c"), "NOUVEAU");
	assert_string_equal(maint_subsystem(*state, "drivers/x/bus4/deep/er.c"), "THE REST");
	assert_string_equal(maint_subsystem(*state, "lib/a/b/slab.c"), "SLAB");
}

static void test_catch_all(void **state)
{
	assert_string_equal(maint_subsystem(*state, "Makefile"), "THE REST");
	assert_string_equal(maint_subsystem(*state, "a/b/c/d.c"), "THE REST");
}

static void test_patterns(void **state)
{
	assert_true(pattern_matches("mm/hmm", "mm/hmm.c")); /* the end is not anchored */
	assert_true(pattern_matches("a/*/c.c", "a/b/c.c"));
	assert_false(
		pattern_matches("a/*/c.c", "a/b/b/c.c")); /* '*' crosses, the depth must agree */
	assert_true(pattern_matches("a/*/d/", "a/b/c/d/e/f.c"));
	assert_false(pattern_matches("a/?.c", "a/.c"));
	assert_true(pattern_matches("a/[!x].c", "a/x.c")); /* a Perl set, not a shell's */
	assert_false(pattern_matches("a/[^x].c", "a/x.c"));
	assert_true(pattern_matches("a/[]x].c", "a/].c"));
	assert_false(pattern_matches("", "a"));
	assert_true(pattern_matches("a/b[", "a/b[c"));
	assert_true(pattern_matches("*aab", "aaab"));
}

static void test_literals(void **state)
{
	char lit[PATTERN_LITERAL];

	regex_literal("[^a-z0-9]ps3", lit);
	assert_string_equal(lit, "ps3");
	regex_literal("bcm586*", lit);
	assert_string_equal(lit, "bcm58");
	regex_literal("a|b", lit);
	assert_string_equal(lit, "");
	regex_literal("^.*/vdso/[^/]*getrandom[^/]+$", lit);
	assert_string_equal(lit, "getrandom");
}

static void test_no_sections(void **state)
{
	struct maint *m;

	assert_int_equal(maint_parse("", 0, &m), -22);
	assert_int_equal(maint_parse("just\ntext\n", 10, &m), -22);
	assert_int_equal(maint_read("/nonexistent/MAINTAINERS", &m), -2);
	assert_int_equal(maint_read("/", &m), -22);
}

/* With a tree: print the sections of each path read from stdin, for a comparison with the script.
 */
static int dump(const char *file)
{
	const struct maint_section *hits[64];
	struct maint *m;
	char path[4096];

	if (maint_read(file, &m))
		return 1;
	while (fgets(path, sizeof(path), stdin)) {
		size_t n;

		path[strcspn(path, "\n")] = 0;
		n = maint_match(m, path, hits, 64);
		for (size_t i = 0; i < n && i < 64; i++)
			printf("%s\t%s\n", path, hits[i]->title);
	}
	maint_free(m);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sections),    cmocka_unit_test(test_most_specific_first),
		cmocka_unit_test(test_exclusion),   cmocka_unit_test(test_names),
		cmocka_unit_test(test_directories), cmocka_unit_test(test_catch_all),
		cmocka_unit_test(test_patterns),    cmocka_unit_test(test_literals),
		cmocka_unit_test(test_no_sections),
	};

	if (argc == 2)
		return dump(argv[1]);
	return cmocka_run_group_tests(tests, setup, teardown);
}
