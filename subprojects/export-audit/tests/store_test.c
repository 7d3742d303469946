// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The cache on disk: what was put in is found again, by this run and by the next one. */
#include "cache/store.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];

static int setup(void **state)
{
	strcpy(dir, "/tmp/store-test-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void key(unsigned int n, uint8_t id[STORE_ID])
{
	memset(id, 0, STORE_ID);
	memcpy(id + 3, &n, sizeof(n));
}

/* Blocks of all sizes, so that the padding is seen. */
static void put(struct store *s, unsigned int n, uint32_t kind)
{
	size_t size = n % 29 + 1;
	unsigned char *block = malloc(size);
	uint8_t id[STORE_ID];

	key(n, id);
	memset(block, (int)(n + kind), size);
	assert_int_equal(store_add(s, id, kind, block, size), 0);
}

static bool has(struct store *s, unsigned int n, uint32_t kind)
{
	uint8_t id[STORE_ID];
	const unsigned char *b;
	size_t size;

	key(n, id);
	b = store_find(s, id, kind, &size);
	return b && size == n % 29 + 1 && b[0] == (unsigned char)(n + kind) && b[size - 1] == b[0];
}

static struct store *reopen(struct store *s)
{
	store_close(s);
	assert_int_equal(store_open(dir, "v1", &s), 0);
	return s;
}

static unsigned int segments(void)
{
	char path[80];
	unsigned int n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/v1", dir);
	d = opendir(path);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void test_found_again(void **state)
{
	struct store *s = reopen(NULL);

	put(s, 1, 1);
	put(s, 1, 2);
	assert_true(has(s, 1, 1) && has(s, 1, 2));
	assert_false(has(s, 2, 1) || has(s, 1, 3));
	assert_int_equal(store_flush(s, 0, false), 0);
	s = reopen(s);
	assert_true(has(s, 1, 1) && has(s, 1, 2));
	assert_false(has(s, 2, 1));
	store_close(s);
}

static void test_not_flushed_is_lost(void **state)
{
	struct store *s = reopen(NULL);

	put(s, 100, 1);
	assert_int_equal(store_flush(s, 1 << 20, false), 0); /* too little to be worth it */
	s = reopen(s);
	assert_false(has(s, 100, 1));
	store_close(s);
}

/* A long run writes many segments; what it wrote stays valid when they are merged at its end. */
static void test_many_flushes(void **state)
{
	struct store *s = reopen(NULL);

	for (unsigned int n = 200; n < 240; n++) {
		put(s, n, n % 2 ? 1 : STORE_PINNED);
		assert_int_equal(store_flush(s, 0, true), 0);
	}
	assert_true(segments() >= 40);
	put(s, 240, 1);
	assert_int_equal(store_flush(s, 0, false), 0);
	assert_int_equal(segments(), 1);
	for (unsigned int n = 200; n < 241; n++)
		assert_true(has(s, n, n == 240 || n % 2 ? 1 : STORE_PINNED));
	s = reopen(s);
	for (unsigned int n = 200; n < 241; n++)
		assert_true(has(s, n, n == 240 || n % 2 ? 1 : STORE_PINNED));
	assert_int_equal(store_stats(s)->damaged, 0);
	store_close(s);
}

static void test_pinned_stay(void **state)
{
	struct store *s = reopen(NULL);
	const void *before, *after;
	uint8_t id[STORE_ID];
	size_t size;

	put(s, 300, STORE_PINNED);
	key(300, id);
	before = store_find(s, id, STORE_PINNED, &size);
	assert_int_equal(store_flush(s, 0, true), 0);
	after = store_find(s, id, STORE_PINNED, &size);
	assert_ptr_equal(before, after);
	store_close(s);
}

static void test_memory_only(void **state)
{
	struct store *s;

	assert_int_equal(store_open("", "v1", &s), 0);
	for (unsigned int n = 0; n < 5000; n++)
		put(s, n, 1);
	assert_int_equal(store_flush(s, 0, true), 0);
	for (unsigned int n = 0; n < 5000; n++)
		assert_true(has(s, n, 1));
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_again),  cmocka_unit_test(test_not_flushed_is_lost),
		cmocka_unit_test(test_many_flushes), cmocka_unit_test(test_pinned_stay),
		cmocka_unit_test(test_memory_only),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
