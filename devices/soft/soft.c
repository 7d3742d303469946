// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* soft: a page-faulting accelerator in software. See README in this folder. */
#include <errno.h>
#include <hmm/memory.h>
#include "soft.h"

static int soft_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct soft *soft = hmm_device_priv(dev);
	uint64_t n = 0;
	int ret = hmm_ptable_set(soft->table, map->start, map->shift, map->pfns, map->n);

	if (ret)
		return ret;
	for (uint64_t i = 0; i < map->n; i++)
		n += map->pfns[i] != 0;
	atomic_fetch_add_explicit(map->shift == 12   ? &soft->pages_4k
				  : map->shift == 21 ? &soft->pages_2m
				  : map->shift == 30 ? &soft->pages_1g
						     : &soft->pages_other,
				  n, memory_order_relaxed);
	return 0;
}

/* The pump runs this. */
static void soft_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
	struct soft *soft = hmm_device_priv(dev);

	atomic_fetch_add_explicit(&soft->invalidate_calls, 1, memory_order_relaxed);
	/*
	 * TLBs hold only what the table has, so no flush is needed if the table had nothing there.
	 */
	if (!hmm_ptable_clear(soft->table, start, end))
		return;
	atomic_fetch_add_explicit(&soft->invalidations, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&soft->flush_gen, 1, memory_order_release);
}

static uint64_t soft_collect(struct hmm_device *dev)
{
	struct soft *soft = hmm_device_priv(dev);

	return hmm_ptable_reclaim(soft->table);
}

static int soft_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	struct soft *soft = hmm_device_priv(dev);
	void *tlb;

	for (unsigned int i = 0; (tlb = hmm_software_state(dev, i)); i++)
		tlb_stats(tlb, stats);
	stats->pages_4k += atomic_load(&soft->pages_4k);
	stats->pages_2m += atomic_load(&soft->pages_2m);
	stats->pages_1g += atomic_load(&soft->pages_1g);
	stats->pages_other += atomic_load(&soft->pages_other);
	stats->invalidations += atomic_load(&soft->invalidations);
	stats->invalidate_calls += atomic_load(&soft->invalidate_calls);
	hmm_device_stats_count(stats, soft->table);
	return 0;
}

static void soft_free(struct soft *soft)
{
	hmm_ptable_destroy(soft->table);
	hmm_memory_free(soft, sizeof(*soft));
}

static void soft_destroy(struct hmm_device *dev)
{
	soft_free(hmm_device_priv(dev));
}

static const struct hmm_device_ops soft_ops = {
	.size = sizeof(soft_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "soft",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = soft_map,
	.invalidate = soft_invalidate,
	.collect = soft_collect,
	.get_stats = soft_get_stats,
	.destroy = soft_destroy,
};

static void parse(const char *options, struct soft *soft, uint32_t *model)
{
	unsigned int faults = HMM_FAULTS_REPLAY;
	double tlb = 1;

	hmm_device_option_number(options, "tlb", &tlb);
	hmm_device_option_word(options, "faults", "replay|none", &faults);
	soft->tlb = tlb != 0;
	*model = faults;
}

static int soft_open(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		     unsigned int engines, struct hmm_device **dev)
{
	struct hmm_software_ops software = { .size = sizeof(software),
					     .state_size = tlb_size,
					     .translate = tlb_translate,
					     .enter = tlb_enter };
	struct hmm_device_ops ops = soft_ops;
	struct soft *soft = hmm_memory_alloc(sizeof(*soft));
	int ret;

	if (!soft)
		return -ENOMEM;
	parse(options, soft, &ops.fault_model);
	ret = hmm_ptable_create(NULL, &soft->table);
	if (!ret)
		ret = hmm_software_create(mm, &ops, soft, &software, engines, dev);
	if (ret)
		soft_free(soft);
	return ret;
}

const struct hmm_device_driver hmm_soft_driver = {
	.size = sizeof(hmm_soft_driver),
	.name = "soft",
	.summary = "a page-faulting accelerator in software",
	.options = "faults=replay|none tlb=0..1",
	.open = soft_open,
};
