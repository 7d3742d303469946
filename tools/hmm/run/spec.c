// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A description of devices that the library has refused, read again to say what is wrong with it.
 */
#include <stdio.h>
#include <string.h>
#include <hmm/hmm.h>

#include "../command.h"
#include "../suggest.h"
#include "spec.h"

#define SPEC_MAX 256

static const struct hmm_device_driver *driver_named(const char *name)
{
	const struct hmm_device_driver *driver;

	for (unsigned int i = 0; (driver = hmm_device_driver_at(i)); i++)
		if (!strcmp(driver->name, name))
			return driver;
	return NULL;
}

static int no_device(const char *name)
{
	const struct hmm_device_driver *driver;
	struct suggestion near = suggest(name);
	char list[SPEC_MAX] = "", text[64];
	size_t n = 0;

	for (unsigned int i = 0; (driver = hmm_device_driver_at(i)); i++) {
		suggest_one(&near, driver->name);
		if (n < sizeof(list))
			n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "",
					      driver->name);
	}
	return complain(EXIT_INPUT, "no device '%s'%s; there are %s", name,
			did_you_mean(text, &near, ""), list);
}

/* One "NAME=VALUE" of a device. 0, or it has complained. */
static int check_option(const struct hmm_device_driver *driver, const char *option)
{
	const size_t length = strcspn(option, "=");
	const char *known = driver->options;

	if (!hmm_device_option_check(option, known, NULL))
		return 0;
	if (!known)
		return complain(EXIT_INPUT, "device '%s': bad option '%s': it takes none",
				driver->name, option);
	for (const char *p = known; length && *p; p += strspn(p, " ")) {
		size_t all = strcspn(p, " ");

		if (option[length] && !strncmp(p, option, length) && p[length] == '=')
			return complain(EXIT_INPUT, "device '%s': bad option '%s': it must be %.*s",
					driver->name, option, (int)all, p);
		p += all;
	}
	return complain(EXIT_INPUT, "device '%s': bad option '%s'; it has %s", driver->name, option,
			known);
}

static int check_place(const struct hmm_device_driver *driver, const char *below)
{
	if (driver->stacks && !below)
		return complain(EXIT_INPUT, "device '%s' needs another below it, as in '%s,soft'",
				driver->name, driver->name);
	if (!driver->stacks && below)
		return complain(EXIT_INPUT, "device '%s' takes no other below it, and '%s' is one",
				driver->name, below);
	return 0;
}

/* True: the token is one more option of the device before it. */
static bool is_option(const char *token)
{
	return token[strcspn(token, ":=")] == '=';
}

int complain_device(const char *spec)
{
	const struct hmm_device_driver *driver = NULL;
	char copy[SPEC_MAX], *rest = copy, *token, *colon;
	int status = 0;

	if (strlen(spec) >= sizeof(copy))
		return complain(EXIT_INPUT, "a device is described in at most %d bytes",
				SPEC_MAX - 1);
	strcpy(copy, spec);
	while (!status && (token = strsep(&rest, ","))) {
		if (is_option(token)) {
			if (!driver)
				return complain(EXIT_INPUT,
						"option '%s' belongs to no device: NAME:%s,...",
						token, token);
			status = check_option(driver, token);
			continue;
		}
		colon = strchr(token, ':');
		if (colon)
			*colon = 0;
		status = driver ? check_place(driver, token) : 0;
		if (status)
			break;
		driver = driver_named(token);
		if (!driver)
			return no_device(token);
		if (colon)
			status = check_option(driver, colon + 1);
	}
	if (!status && driver)
		status = check_place(driver, NULL);
	return status ? status : complain(EXIT_INPUT, "device '%s': cannot be understood", spec);
}
