// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The header, the library and the project have one version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include <hmm/hmm.h>

#if !HMM_VERSION_CHECK(HMM_VERSION_MAJOR, HMM_VERSION_MINOR, HMM_VERSION_MICRO)
#error "a header is as new as itself"
#endif
#if HMM_VERSION_CHECK(HMM_VERSION_MAJOR, HMM_VERSION_MINOR, HMM_VERSION_MICRO + 1)
#error "a header is older than the next one"
#endif

static void the_header_is_the_projects(void **state)
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d.%d", HMM_VERSION_MAJOR, HMM_VERSION_MINOR,
		 HMM_VERSION_MICRO);
	assert_string_equal(text, PROJECT_VERSION);
}

static void the_library_is_the_headers(void **state)
{
	assert_int_equal(hmm_version(), HMM_VERSION);
}

static void versions_are_ordered(void **state)
{
	assert_true(HMM_VERSION_NUMBER(0, 1, 255) < HMM_VERSION_NUMBER(0, 2, 0));
	assert_true(HMM_VERSION_NUMBER(0, 255, 255) < HMM_VERSION_NUMBER(1, 0, 0));
	assert_false(HMM_VERSION_CHECK(255, 0, 0));
	assert_true(HMM_VERSION_CHECK(0, 0, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_is_the_projects),
		cmocka_unit_test(the_library_is_the_headers),
		cmocka_unit_test(versions_are_ordered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
