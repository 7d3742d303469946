// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Devices by name. "error:rate=0.1,seed=7,soft" is parsed from the left and opened from the right:
 * the device at the end first, then each device that is stacked on it.
 */
#include "device/device.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/nocancel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPEC_MAX 256
#define STACK_MAX 8
/* how many engines a device has at most by default, however many processors there are */
#define ENGINES_DEFAULT 256

struct layer {
	const struct hmm_device_driver *driver;
	char options[SPEC_MAX];
};

const struct hmm_device_driver *hmm_device_driver_at(unsigned int i)
{
	for (unsigned int n = 0; device_drivers[n]; n++)
		if (n == i)
			return device_drivers[n];
	return NULL;
}

static const struct hmm_device_driver *find_driver(const char *name)
{
	for (unsigned int n = 0; device_drivers[n]; n++)
		if (!strcmp(device_drivers[n]->name, name))
			return device_drivers[n];
	return NULL;
}

/*
 * One token between commas: an option of the last layer, or the next device with its first option.
 */
static int parse_token(char *token, struct layer *layers, int *n)
{
	char *colon = strchr(token, ':');
	char *equals = strchr(token, '=');

	if (equals && (!colon || colon > equals)) {
		if (*n == 0 || !*layers[*n - 1].options)
			return -EINVAL;
		strcat(layers[*n - 1].options, ",");
		strcat(layers[*n - 1].options, token);
		return 0;
	}
	if (*n == STACK_MAX)
		return -EINVAL;
	if (colon)
		*colon = '\0';
	layers[*n].driver = find_driver(token);
	layers[*n].options[0] = '\0';
	if (!layers[*n].driver)
		return -ENODEV;
	if (colon) {
		if (!colon[1])
			return -EINVAL;
		strcpy(layers[*n].options, colon + 1);
	}
	(*n)++;
	return 0;
}

static int parse(const char *spec, struct layer *layers, int *n)
{
	char buf[SPEC_MAX];
	char *rest = buf;
	char *token;
	int rc = 0;

	if (!spec || strlen(spec) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, spec);
	while (!rc && (token = strsep(&rest, ",")))
		rc = parse_token(token, layers, n);
	/* Each device but the last must stack, and the last must not. */
	for (int i = 0; !rc && i < *n; i++)
		if (layers[i].driver->stacks != (i < *n - 1))
			rc = -EINVAL;
	return rc;
}

int hmm_device_open(struct hmm_mm *mm, const char *spec, unsigned int engines,
		    struct hmm_device **dev)
{
	DEBUG_CALL(mm, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct layer layers[STACK_MAX];
	struct hmm_device *inner = NULL;
	struct hmm_device *outer;
	int n = 0;
	int rc = parse(spec, layers, &n);

	if (!rc)
		rc = mm_alive(mm);

	if (engines == 0) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		engines = cpus <= 0                ? 1
			  : cpus < ENGINES_DEFAULT ? (unsigned int)cpus
						   : ENGINES_DEFAULT;
	}
	for (int i = n - 1; !rc && i >= 0; i--) {
		const struct hmm_device_driver *driver = layers[i].driver;

		rc = driver->open(mm, inner, layers[i].options, engines, &outer);
		if (!rc)
			inner = outer;
	}
	if (rc) {
		hmm_device_destroy(inner);
		return rc;
	}
	*dev = inner;
	return 0;
}
