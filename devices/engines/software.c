// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A device that has a runner: the driver's ops, and what the runner does beside or instead of them.
 */
#include "engines/runner.h"
#include "base/grow.h"
#include "base/nocancel.h"

#include <errno.h>

static int software_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	struct runner *r = runner_of(dev);

	runner_stats(r, stats);
	return r->driver.get_stats ? r->driver.get_stats(dev, stats) : 0;
}

static void software_destroy(struct hmm_device *dev)
{
	struct runner *r = runner_of(dev);

	runner_stop(r);
	if (r->driver.destroy)
		r->driver.destroy(dev);
	runner_free(r);
}

static int take_driver(struct hmm_device_ops *own, const struct hmm_device_ops *ops)
{
	int err = grow_take(own, sizeof(*own), ops, GROW_LEAST(struct hmm_device_ops, page_shifts));

	if (err)
		return err;
	if (own->fetch_faults || own->fault_done || own->submit || own->wait || own->cancel)
		return -EINVAL;
	return 0;
}

static int take_software(struct hmm_software_ops *own, const struct hmm_software_ops *software)
{
	int err = grow_take(own, sizeof(*own), software,
			    GROW_LEAST(struct hmm_software_ops, translate));

	return err || own->translate ? err : -EINVAL;
}

static int create(struct hmm_mm *mm, const struct hmm_device_ops *driver, struct runner *r,
		  struct hmm_device **dev)
{
	struct hmm_device_ops ops = *driver;
	int ret;

	ops.fetch_faults = runner_op_fetch_faults;
	ops.fault_done = runner_op_fault_done;
	ops.submit = runner_op_submit;
	ops.wait = runner_op_wait;
	ops.cancel = runner_op_cancel;
	ops.get_stats = software_get_stats;
	ops.destroy = software_destroy;
	ret = hmm_device_create(mm, &ops, r->priv, NULL, dev);
	if (ret) {
		runner_free(r);
		return ret;
	}
	(*dev)->runner = r;
	ret = runner_start(r, *dev);
	if (ret)
		hmm_device_destroy(*dev);
	else
		r->driver = *driver;
	return ret;
}

int hmm_software_create(struct hmm_mm *mm, const struct hmm_device_ops *ops, void *priv,
			const struct hmm_software_ops *software, unsigned int engines,
			struct hmm_device **dev)
{
	HMM_NO_CANCEL;
	struct hmm_software_ops own;
	struct hmm_device_ops driver;
	struct hmm_device *made;
	struct runner *r;
	int ret = take_driver(&driver, ops);

	if (!ret)
		ret = take_software(&own, software);
	if (!ret)
		ret = runner_create(&own, driver.fault_model, engines, &r);
	if (ret)
		return ret;
	r->priv = priv;
	ret = create(mm, &driver, r, &made);
	if (!ret)
		*dev = made;
	return ret;
}

void *hmm_software_state(struct hmm_device *dev, unsigned int engine)
{
	const struct runner *r = runner_of(dev);

	return r && engine < r->n ? r->engines[engine].state : NULL;
}
