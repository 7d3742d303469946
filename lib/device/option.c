// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Options of a device, as its driver's open() gets them: "NAME=VALUE,NAME=VALUE"; and what a driver
 * says that there is: "NAME=VALUES NAME=VALUES". Nothing here looks at the program's locale, where
 * a number may have a comma.
 */
#include "device/device.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 64

/* A piece of a string. */
struct piece {
	const char *text;
	size_t len;
};

static bool is(struct piece p, const char *text, size_t len)
{
	return p.len == len && !memcmp(p.text, text, len);
}

/*
 * Cuts "NAME=VALUE" off at the separator; returns where the next one begins. False: there is no
 * more.
 */
static bool next(const char **list, char separator, struct piece *name, struct piece *value)
{
	const char *end;
	const char *equals;

	if (!*list || !**list)
		return false;
	end = strchrnul(*list, separator);
	equals = memchr(*list, '=', (size_t)(end - *list));
	*name = (struct piece){ *list, (size_t)((equals ? equals : end) - *list) };
	*value = (struct piece){ equals ? equals + 1 : end,
				 equals ? (size_t)(end - equals) - 1 : 0 };
	*list = *end ? end + 1 : end;
	return true;
}

static bool find(const char *list, char separator, const char *name, size_t len,
		 struct piece *value)
{
	struct piece found;

	while (next(&list, separator, &found, value))
		if (is(found, name, len))
			return true;
	return false;
}

static int to_number(struct piece p, double *number)
{
	char text[NUMBER_MAX];
	locale_t c;
	char *end;

	if (!p.len || p.len >= sizeof(text))
		return -EINVAL;
	memcpy(text, p.text, p.len);
	text[p.len] = '\0';
	/* Neither infinity nor hexadecimal, nor space in front. */
	if (strspn(text, "0123456789+-.eE") != p.len)
		return -EINVAL;
	c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (!c)
		return -ENOMEM;
	*number = strtod_l(text, &end, c);
	freelocale(c);
	return *end ? -EINVAL : 0;
}

/* Which of "A|B|C" it is: from 0; -1 none. */
static int which_word(struct piece words, struct piece value)
{
	const char *p = words.text;
	const char *const end = words.text + words.len;

	for (int i = 0; p <= end; i++) {
		const char *bar = memchr(p, '|', (size_t)(end - p));
		const size_t len = (size_t)((bar ? bar : end) - p);

		if (is(value, p, len))
			return i;
		p += len + 1;
	}
	return -1;
}

static bool in_range(struct piece values, const char *dots, struct piece value)
{
	const struct piece low = { values.text, (size_t)(dots - values.text) };
	const struct piece high = { dots + 2, values.len - low.len - 2 };
	double least;
	double most;
	double number;

	return !to_number(low, &least) && !to_number(high, &most) && !to_number(value, &number) &&
	       number >= least && number <= most;
}

static bool is_allowed(struct piece values, struct piece value)
{
	const char *dots = memmem(values.text, values.len, "..", 2);

	if (is(values, "*", 1))
		return value.len;
	return dots ? in_range(values, dots, value) : which_word(values, value) >= 0;
}

int hmm_device_option_check(const char *options, const char *known, const char **bad)
{
	const char *at = options;
	struct piece name;
	struct piece value;
	struct piece values;

	while (next(&options, ',', &name, &value)) {
		if (!find(known, ' ', name.text, name.len, &values) || !is_allowed(values, value)) {
			if (bad)
				*bad = at;
			return -EINVAL;
		}
		at = options;
	}
	return 0;
}

int hmm_device_option(const char *options, const char *name, char *value, size_t size)
{
	struct piece found;

	if (!find(options, ',', name, strlen(name), &found))
		return 0;
	if (found.len >= size)
		return -EINVAL;
	memcpy(value, found.text, found.len);
	value[found.len] = '\0';
	return 1;
}

int hmm_device_option_number(const char *options, const char *name, double *number)
{
	struct piece found;
	double got;
	int err;

	if (!find(options, ',', name, strlen(name), &found))
		return 0;
	err = to_number(found, &got);
	if (err)
		return err;
	*number = got;
	return 1;
}

int hmm_device_option_word(const char *options, const char *name, const char *words,
			   unsigned int *which)
{
	const struct piece all = { words, strlen(words) };
	struct piece found;
	int i;

	if (!find(options, ',', name, strlen(name), &found))
		return 0;
	i = which_word(all, found);
	if (i < 0)
		return -EINVAL;
	*which = (unsigned int)i;
	return 1;
}
