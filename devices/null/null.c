// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * null: the shortest correct device. A device must do this for the svm layer:
 *
 *	map		After it returns 0, [start, start + (n << shift)) may be used with the
 *			permission that each word says, until invalidate() returns.
 *	invalidate	When it returns, no engine, TLB or queue uses the range any more.
 *	collect		Optional: a table that has grown gives memory back.
 *
 * Engines use translations only inside sections, between hmm_engine_enter() and hmm_engine_exit(),
 * and keep none from one section to the next. The svm layer calls map in a commit section and
 * invalidate with the gate closed. So the two never run at the same time, and invalidate never runs
 * while an engine is in its section.
 */
#include <hmm/ptable.h>
#include <hmm/device.h>

static int null_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	return hmm_ptable_set(hmm_device_priv(dev), map->start, map->shift, map->pfns, map->n);
}

static void null_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
	hmm_ptable_clear(hmm_device_priv(dev), start, end);
}

static uint64_t null_collect(struct hmm_device *dev)
{
	return hmm_ptable_reclaim(hmm_device_priv(dev));
}

static int null_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	hmm_device_stats_count(stats, hmm_device_priv(dev));
	return 0;
}

static void null_destroy(struct hmm_device *dev)
{
	hmm_ptable_destroy(hmm_device_priv(dev));
}

static const struct hmm_device_ops null_ops = {
	.size = sizeof(null_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "null",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = null_map,
	.invalidate = null_invalidate,
	.collect = null_collect,
	.get_stats = null_get_stats,
	.destroy = null_destroy,
};

static int null_open(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		     unsigned int engines, struct hmm_device **dev)
{
	struct hmm_ptable *table;
	int ret = hmm_ptable_create(NULL, &table);

	if (ret)
		return ret;
	ret = hmm_device_create(mm, &null_ops, table, NULL, dev);
	if (ret)
		hmm_ptable_destroy(table);
	return ret;
}

const struct hmm_device_driver hmm_null_driver = {
	.size = sizeof(hmm_null_driver),
	.name = "null",
	.summary = "takes translations, runs nothing",
	.open = null_open,
};
