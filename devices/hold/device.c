// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The device: what all its translations share. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "internal.h"

int hold_device_create(struct hmm_mm *mm, unsigned int max_pins, hold_find_alias_fn find_alias,
		       void *arg, struct hold_device **out)
{
	struct hold_device *dev = calloc(1, sizeof(*dev));
	int ret;

	if (!dev)
		return -ENOMEM;
	dev->mm = mm;
	dev->max_pins = max_pins;
	dev->find_alias = find_alias;
	dev->arg = arg;
	if (pipe2(dev->scratch, O_CLOEXEC | O_NONBLOCK)) {
		ret = -errno;
		goto err_free;
	}
	ret = hold_pin_init(dev);
	if (ret)
		goto err_pipe;
	*out = dev;
	return 0;

err_pipe:
	close(dev->scratch[0]);
	close(dev->scratch[1]);
err_free:
	free(dev);
	return ret;
}

void hold_device_destroy(struct hold_device *dev)
{
	if (!dev)
		return;
	hold_pin_exit(dev);
	close(dev->scratch[0]);
	close(dev->scratch[1]);
	free(dev);
}

bool hold_device_pins(const struct hold_device *dev)
{
	return dev->pins;
}
