// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Drivers of outsiders in the registry, and the options that they get. */
#include <locale.h>

#include "common/svm.h"

static struct {
	unsigned int opens;
	char options[128];
	unsigned int engines;
	int unregistered; /* what hmm_device_unregister() said inside open() */
} seen;

static int mine_open(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		     unsigned int engines, struct hmm_device **dev)
{
	const struct hmm_device_ops ops = { .size = sizeof(ops),
					    .abi = HMM_DEVICE_ABI,
					    .name = "mine" };

	seen.opens++;
	seen.engines = engines;
	snprintf(seen.options, sizeof(seen.options), "%s", options);
	seen.unregistered = hmm_device_unregister("mine");
	return hmm_device_create(mm, &ops, NULL, inner, dev);
}

static const struct hmm_device_driver mine = {
	.size = sizeof(mine),
	.name = "mine",
	.summary = "an outsider's",
	.open = mine_open,
	.options = "level=0..1.5 way=up|down file=*",
};

static bool is_listed(const char *name)
{
	const struct hmm_device_driver *d;

	for (unsigned int i = 0; (d = hmm_device_driver_at(i)); i++)
		if (!strcmp(d->name, name))
			return true;
	return false;
}

static struct hmm_mm *mm;

static int open_device(const char *spec, struct hmm_device **dev)
{
	*dev = NULL;
	return hmm_device_open(mm, spec, 3, dev);
}

static void a_registered_driver_is_opened_by_its_name(void **state)
{
	struct hmm_device *dev;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(open_device("mine", &dev), -ENODEV);
	assert_int_equal(hmm_device_register(&mine), 0);
	assert_true(is_listed("mine"));
	assert_int_equal(open_device("error:rate=0,mine:level=0.5,way=down", &dev), 0);
	assert_string_equal(hmm_device_get_ops(hmm_device_inner(dev))->name, "mine");
	assert_string_equal(seen.options, "level=0.5,way=down");
	assert_int_equal(seen.engines, 3);
	/* Not while it is being called. */
	assert_int_equal(seen.unregistered, -EBUSY);
	assert_int_equal(hmm_device_unregister("mine"), 0);
	assert_false(is_listed("mine"));
	/* Its device stays. */
	assert_string_equal(hmm_device_get_ops(hmm_device_inner(dev))->name, "mine");
	hmm_device_destroy(dev);
	assert_int_equal(open_device("mine", &dev), -ENODEV);
	assert_int_equal(seen.opens, 1);
	assert_int_equal(hmm_device_unregister("mine"), -ENOENT);
	assert_int_equal(hmm_device_unregister("soft"), -ENOENT);
	assert_int_equal(hmm_device_unregister(NULL), -EINVAL);
}

static void what_the_driver_does_not_have_is_refused_before_it_is_called(void **state)
{
	static const char *const bad[] = {
		"mine:level=1.6", "mine:level=-0.1", "mine:level=",       "mine:level=1x",
		"mine:level=inf", "mine:level=nan",  "mine:level=0x1",    "mine:level= 1",
		"mine:way=left",  "mine:way=",       "mine:way=up|down",  "mine:way=u",
		"mine:file=",     "mine:nosuch=1",   "mine:level=1,we=2", "mine:levels=1",
	};
	struct hmm_device *dev;

	memset(&seen, 0, sizeof(seen));
	assert_int_equal(hmm_device_register(&mine), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (open_device(bad[i], &dev) != -EINVAL)
			fail_msg("\"%s\" is not refused", bad[i]);
	}
	assert_int_equal(seen.opens, 0);
	assert_int_equal(open_device("mine:file=/a b=c,way=up,level=15e-1", &dev), 0);
	hmm_device_destroy(dev);
	assert_int_equal(hmm_device_unregister("mine"), 0);
}

static void drivers_that_cannot_be_named_are_refused(void **state)
{
	static const char *const bad[] = { NULL, "", "a,b", "a:b", "a=b" };
	struct hmm_device_driver d = mine;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		d.name = bad[i];
		assert_int_equal(hmm_device_register(&d), -EINVAL);
	}
	d = mine;
	d.open = NULL;
	assert_int_equal(hmm_device_register(&d), -EINVAL);
	d = mine;
	d.summary = NULL;
	assert_int_equal(hmm_device_register(&d), -EINVAL);
	d = mine;
	d.name = "soft";
	assert_int_equal(hmm_device_register(&d), -EEXIST);
	assert_int_equal(hmm_device_register(&mine), 0);
	assert_int_equal(hmm_device_register(&mine), -EEXIST);
	assert_int_equal(hmm_device_unregister("mine"), 0);
}

static void there_is_room_for_so_many(void **state)
{
	char names[HMM_DEVICE_DRIVERS_MAX + 1][16];
	struct hmm_device_driver d = mine;

	for (int i = 0; i <= HMM_DEVICE_DRIVERS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "mine-%d", i);
		d.name = names[i];
		assert_int_equal(hmm_device_register(&d), i < HMM_DEVICE_DRIVERS_MAX ? 0 : -ENOSPC);
	}
	for (int i = 0; i < HMM_DEVICE_DRIVERS_MAX; i++)
		assert_int_equal(hmm_device_unregister(names[i]), 0);
	assert_int_equal(hmm_device_register(&mine), 0);
	assert_int_equal(hmm_device_unregister("mine"), 0);
}

static int forking_open(struct hmm_mm *space, struct hmm_device *inner, const char *options,
			unsigned int engines, struct hmm_device **dev)
{
	pid_t pid = fork();
	int status;

	/* The call that its parent is in is not the child's to wait for. */
	if (!pid)
		_exit(!is_listed("forking") || hmm_device_unregister("forking") != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status ? -EIO : -ENOTSUP;
}

static void a_forked_child_has_them_too(void **state)
{
	struct hmm_device_driver d = mine;
	struct hmm_device *dev;

	d.name = "forking";
	d.open = forking_open;
	assert_int_equal(hmm_device_register(&d), 0);
	assert_int_equal(open_device("forking", &dev), -ENOTSUP);
	assert_int_equal(hmm_device_unregister("forking"), 0);
}

/*
 * ---- options -----------------------------------------------------------------------------------
 */

static void options_are_found_by_their_whole_name(void **state)
{
	const char *options = "us=5,us2=6,us=7,empty=";
	char text[4] = "old";

	assert_int_equal(hmm_device_option(options, "us", text, sizeof(text)), 1);
	assert_string_equal(text, "5");
	assert_int_equal(hmm_device_option(options, "us2", text, sizeof(text)), 1);
	assert_string_equal(text, "6");
	assert_int_equal(hmm_device_option(options, "u", text, sizeof(text)), 0);
	assert_string_equal(text, "6");
	assert_int_equal(hmm_device_option(options, "empty", text, sizeof(text)), 1);
	assert_string_equal(text, "");
	assert_int_equal(hmm_device_option("", "us", text, sizeof(text)), 0);
	assert_int_equal(hmm_device_option(NULL, "us", text, sizeof(text)), 0);
	assert_int_equal(hmm_device_option("name=abc", "name", text, sizeof(text)), 1);
	assert_int_equal(hmm_device_option("name=abcd", "name", text, sizeof(text)), -EINVAL);
}

static void words_are_counted_from_0(void **state)
{
	unsigned int which = 9;

	assert_int_equal(hmm_device_option_word("on=map", "on", "fetch|map|all", &which), 1);
	assert_int_equal(which, 1);
	assert_int_equal(hmm_device_option_word("on=all", "on", "fetch|map|all", &which), 1);
	assert_int_equal(which, 2);
	assert_int_equal(hmm_device_option_word("of=all", "on", "fetch|map|all", &which), 0);
	assert_int_equal(hmm_device_option_word("on=al", "on", "fetch|map|all", &which), -EINVAL);
	assert_int_equal(hmm_device_option_word("on=", "on", "fetch|map|all", &which), -EINVAL);
	assert_int_equal(which, 2);
}

static void the_first_that_is_bad_is_named(void **state)
{
	const char *known = "level=0..1.5 way=up|down";
	const char *options = "level=1,way=left,level=2";
	const char *bad = NULL;

	assert_int_equal(hmm_device_option_check(options, known, &bad), -EINVAL);
	assert_ptr_equal(bad, options + 8);
	assert_int_equal(hmm_device_option_check("level=1,way=up", known, NULL), 0);
	assert_int_equal(hmm_device_option_check("", NULL, &bad), 0);
	assert_int_equal(hmm_device_option_check(NULL, known, &bad), 0);
	options = "level=1";
	assert_int_equal(hmm_device_option_check(options, NULL, &bad), -EINVAL);
	assert_ptr_equal(bad, options);
}

static void check_numbers(void)
{
	double number = 7;

	assert_int_equal(hmm_device_option_number("rate=0.25", "rate", &number), 1);
	assert_true(number == 0.25);
	assert_int_equal(hmm_device_option_number("a=1,rate=-1.5e3", "rate", &number), 1);
	assert_true(number == -1500);
	assert_int_equal(hmm_device_option_number("rat=1", "rate", &number), 0);
	assert_int_equal(hmm_device_option_number("rate=", "rate", &number), -EINVAL);
	assert_int_equal(hmm_device_option_number("rate=1.2.3", "rate", &number), -EINVAL);
	assert_int_equal(hmm_device_option_number("rate=inf", "rate", &number), -EINVAL);
	assert_int_equal(hmm_device_option_number("rate=0x10", "rate", &number), -EINVAL);
	assert_int_equal(hmm_device_option_number("rate= 1", "rate", &number), -EINVAL);
	assert_true(number == -1500);
}

static void numbers_have_a_point(void **state)
{
	check_numbers();
}

/* One that is installed, or one that is made now: a folder for LOCPATH, or NULL. */
static bool set_comma(char *folder)
{
	static const char *const installed[] = { "de_DE.UTF-8", "fr_FR.UTF-8", "es_ES.UTF-8",
						 "it_IT.UTF-8", "nl_NL.UTF-8", "de_DE" };
	char command[256];

	for (size_t i = 0; i < sizeof(installed) / sizeof(installed[0]); i++)
		if (setlocale(LC_ALL, installed[i]))
			return true;
	if (!mkdtemp(folder))
		return false;
	snprintf(command, sizeof(command),
		 "localedef --no-archive -i de_DE -f UTF-8 %s/comma >/dev/null 2>&1", folder);
	if (system(command) < 0 || setenv("LOCPATH", folder, 1))
		return false;
	return setlocale(LC_ALL, "comma");
}

static void a_locale_with_a_comma_changes_nothing(void **state)
{
	char folder[] = "/tmp/hmm-locale-XXXXXX";
	const bool made = set_comma(folder);
	const bool comma = made && !strcmp(localeconv()->decimal_point, ",");
	char command[64];
	struct hmm_device *dev;

	/* Read by now. */
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	if (!strchr(folder, 'X'))
		assert_int_equal(system(command), 0);
	if (!comma) {
		print_message("no locale with a decimal comma, and localedef made none\n");
		setlocale(LC_ALL, "C");
		skip();
	}
	assert_true(strtod("0.25", NULL) == 0); /* or this looks at nothing */
	check_numbers();
	assert_int_equal(open_device("error:rate=0.25,null", &dev), 0);
	hmm_device_destroy(dev);
	assert_int_equal(open_device("error:rate=0,25,null", &dev), -ENODEV);
	setlocale(LC_ALL, "C");
}

static int attach(void **state)
{
	return hmm_mm_attach(NULL, &mm);
}

static int detach(void **state)
{
	hmm_mm_detach(mm);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_registered_driver_is_opened_by_its_name),
		cmocka_unit_test(what_the_driver_does_not_have_is_refused_before_it_is_called),
		cmocka_unit_test(drivers_that_cannot_be_named_are_refused),
		cmocka_unit_test(there_is_room_for_so_many),
		cmocka_unit_test(a_forked_child_has_them_too),
		cmocka_unit_test(options_are_found_by_their_whole_name),
		cmocka_unit_test(words_are_counted_from_0),
		cmocka_unit_test(the_first_that_is_bad_is_named),
		cmocka_unit_test(numbers_have_a_point),
		cmocka_unit_test(a_locale_with_a_comma_changes_nothing),
	};

	return cmocka_run_group_tests(tests, attach, detach);
}
