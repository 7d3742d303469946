// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Options of a device, as its driver's open() gets them: "NAME=VALUE,NAME=VALUE". */
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool device_option(const char *options, const char *key, char *buf, size_t size)
{
	size_t len = strlen(key);

	while (options && *options) {
		const char *end = strchrnul(options, ',');

		if (!strncmp(options, key, len) && options[len] == '=') {
			size_t n = (size_t)(end - options) - len - 1;

			if (n >= size)
				n = size - 1;
			memcpy(buf, options + len + 1, n);
			buf[n] = '\0';
			return true;
		}
		options = *end ? end + 1 : end;
	}
	return false;
}

int device_option_number(const char *options, const char *key, double min, double max,
			 double *value)
{
	char buf[64];
	char *end;
	double v;

	if (!device_option(options, key, buf, sizeof(buf)))
		return 0;
	v = strtod(buf, &end);
	if (end == buf || *end || !(v >= min && v <= max))
		return -EINVAL;
	*value = v;
	return 0;
}

int device_options_check(const char *options, const char *const *keys)
{
	while (options && *options) {
		const char *end = strchrnul(options, ',');
		const char *const *k = keys;

		while (*k && (strncmp(options, *k, strlen(*k)) || options[strlen(*k)] != '='))
			k++;
		if (!*k)
			return -EINVAL;
		options = *end ? end + 1 : end;
	}
	return 0;
}
