// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Devices by name. "error:rate=0.1,seed=7,soft" is parsed from the left and opened from the right:
 * the device at the end first, then each device that is stacked on it.
 */
#include "device/device.h"
#include "space/debug.h"
#include "space/space.h"
#include "base/epoch.h"
#include "base/grow.h"
#include "base/nocancel.h"

#include <hmm/software.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPEC_MAX 256
#define STACK_MAX 8
/* Devices take no more, however many processors there are. */
#define ENGINES_DEFAULT HMM_SOFTWARE_ENGINES_MAX

struct layer {
	const struct hmm_device_driver *driver;
	struct entry *entry; /* that it was found in; NULL for one of the library's own */
	char options[SPEC_MAX];
};

/* A driver of an outsider's. */
struct entry {
	struct hmm_device_driver driver;
	bool used;
	unsigned int opening; /* calls of its open() */
	uint64_t epoch;       /* of the process that counts them */
};

static struct epoch_lock lock;
static struct entry entries[HMM_DEVICE_DRIVERS_MAX]; /* lock */

const struct hmm_device_driver *hmm_device_driver_at(unsigned int i)
{
	const struct hmm_device_driver *found = NULL;
	unsigned int n = 0;

	for (; device_drivers[n]; n++)
		if (n == i)
			return device_drivers[n];
	epoch_lock(&lock);
	for (unsigned int e = 0; e < HMM_DEVICE_DRIVERS_MAX && !found; e++)
		if (entries[e].used && n++ == i)
			found = &entries[e].driver;
	epoch_unlock(&lock);
	return found;
}

static const struct hmm_device_driver *find_own(const char *name)
{
	for (unsigned int n = 0; device_drivers[n]; n++)
		if (!strcmp(device_drivers[n]->name, name))
			return device_drivers[n];
	return NULL;
}

/* lock held */
static struct entry *find_entry(const char *name)
{
	for (unsigned int e = 0; e < HMM_DEVICE_DRIVERS_MAX; e++)
		if (entries[e].used && !strcmp(entries[e].driver.name, name))
			return &entries[e];
	return NULL;
}

static bool is_name(const char *name)
{
	return name && *name && strlen(name) < SPEC_MAX && !name[strcspn(name, ",:=")];
}

/* lock held */
static int add(const struct hmm_device_driver *driver)
{
	if (find_own(driver->name) || find_entry(driver->name))
		return -EEXIST;
	for (unsigned int e = 0; e < HMM_DEVICE_DRIVERS_MAX; e++) {
		if (entries[e].used)
			continue;
		entries[e] = (struct entry){ .driver = *driver, .used = true };
		return 0;
	}
	return -ENOSPC;
}

int hmm_device_register(const struct hmm_device_driver *driver)
{
	HMM_NO_CANCEL;
	struct hmm_device_driver own;
	int err = grow_take(&own, sizeof(own), driver, GROW_LEAST(struct hmm_device_driver, open));

	if (err)
		return err;
	if (!is_name(own.name) || !own.summary || !own.open)
		return -EINVAL;
	epoch_lock(&lock);
	err = add(&own);
	epoch_unlock(&lock);
	return err;
}

int hmm_device_unregister(const char *name)
{
	HMM_NO_CANCEL;
	struct entry *e;
	int err = -ENOENT;

	if (!name)
		return -EINVAL;
	epoch_lock(&lock);
	e = find_entry(name);
	if (e)
		err = e->opening && epoch_is(e->epoch) ? -EBUSY : 0;
	if (!err)
		e->used = false;
	epoch_unlock(&lock);
	return err;
}

static int find_driver(const char *name, struct layer *layer)
{
	layer->driver = find_own(name);
	if (layer->driver)
		return 0;
	epoch_lock(&lock);
	layer->entry = find_entry(name);
	if (layer->entry) {
		/* A forked child's parent may have been opening some. */
		if (!epoch_is(layer->entry->epoch))
			layer->entry->opening = 0;
		layer->entry->epoch = epoch_now();
		layer->entry->opening++;
		layer->driver = &layer->entry->driver;
	}
	epoch_unlock(&lock);
	return layer->driver ? 0 : -ENODEV;
}

static void let_go(struct layer *layers, int n)
{
	epoch_lock(&lock);
	for (int i = 0; i < n; i++)
		if (layers[i].entry)
			layers[i].entry->opening--;
	epoch_unlock(&lock);
}

/*
 * One token between commas: an option of the last layer, or the next device with its first option.
 */
static int parse_token(char *token, struct layer *layers, int *n)
{
	char *colon = strchr(token, ':');
	char *equals = strchr(token, '=');
	int ret;

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
	if (colon && !colon[1])
		return -EINVAL;
	layers[*n] = (struct layer){ .driver = NULL };
	ret = find_driver(token, &layers[*n]);
	if (ret)
		return ret;
	if (colon)
		strcpy(layers[*n].options, colon + 1);
	(*n)++;
	return 0;
}

static int parse(const char *spec, struct layer *layers, int *n)
{
	char buf[SPEC_MAX];
	char *rest = buf;
	char *token;
	int ret = 0;

	if (!spec || strlen(spec) >= sizeof(buf))
		return -EINVAL;
	strcpy(buf, spec);
	while (!ret && (token = strsep(&rest, ",")))
		ret = parse_token(token, layers, n);
	/* Each device but the last must stack, and the last must not. */
	for (int i = 0; !ret && i < *n; i++)
		if (layers[i].driver->stacks != (i < *n - 1))
			ret = -EINVAL;
		else
			ret = hmm_device_option_check(layers[i].options, layers[i].driver->options,
						      NULL);
	return ret;
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
	int ret = parse(spec, layers, &n);

	if (!ret)
		ret = mm_alive(mm);

	if (engines == 0) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		engines = cpus <= 0                ? 1
			  : cpus < ENGINES_DEFAULT ? (unsigned int)cpus
						   : ENGINES_DEFAULT;
	}
	for (int i = n - 1; !ret && i >= 0; i--) {
		const struct hmm_device_driver *driver = layers[i].driver;

		ret = driver->open(mm, inner, layers[i].options, engines, &outer);
		if (!ret)
			inner = outer;
	}
	let_go(layers, n);
	if (ret)
		hmm_device_destroy(inner);
	else
		*dev = inner;
	return ret;
}
