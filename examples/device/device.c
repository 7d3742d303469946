// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * count: a device in software that counts how often its engines look an address up. The library
 * gives it threads, jobs and a fault buffer; it keeps a page table and says how an address is
 * translated.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include "count.h"

struct count {
	struct hmm_ptable *table;
	char label[32]; /* what standard error is told begins with it; may be empty */
};

/* What each engine has of ours. Written by the engine, read by get_stats. */
struct engine {
	_Atomic uint64_t looks;
};

/* Inside a commit section. */
static int count_map(struct hmm_device *dev, const struct hmm_device_map *m)
{
	struct count *c = hmm_device_priv(dev);

	return hmm_ptable_set(c->table, m->start, m->shift, m->pfns, m->n);
}

/* On the pump, with the gate closed: no engine is inside a section. */
static void count_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			     enum hmm_event event)
{
	struct count *c = hmm_device_priv(dev);

	(void)event;
	hmm_ptable_clear(c->table, start, end);
}

static uint64_t all_looks(struct hmm_device *dev)
{
	struct engine *e;
	uint64_t n = 0;

	for (unsigned int i = 0; (e = hmm_software_state(dev, i)); i++)
		n += atomic_load(&e->looks);
	return n;
}

static int count_entry(uint64_t addr, uint32_t shift, uint64_t entry, void *arg)
{
	uint64_t *bytes = arg;

	(void)addr;
	if (entry & HMM_PFN_WRITE)
		*bytes += 1ULL << shift;
	return 0;
}

static int count_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	struct count *c = hmm_device_priv(dev);
	uint64_t writable = 0;

	stats->tlb_misses += all_looks(dev);
	hmm_device_stats_count(stats, c->table);
	hmm_ptable_walk(c->table, 0, UINT64_MAX, count_entry, &writable);
	if (c->label[0])
		fprintf(stderr, "%s: may write to %llu bytes\n", c->label,
			(unsigned long long)writable);
	return 0;
}

static void count_free(struct count *c)
{
	hmm_ptable_destroy(c->table);
	hmm_memory_free(c, sizeof(*c));
}

/* The threads have ended. */
static void count_destroy(struct hmm_device *dev)
{
	struct count *c = hmm_device_priv(dev);

	if (c->label[0])
		fprintf(stderr, "%s: %llu look-ups\n", c->label,
			(unsigned long long)all_looks(dev));
	count_free(c);
}

/* On an engine's thread, inside a section: what the table says is true until it ends. */
static int count_translate(void *priv, void *state, uint64_t va, size_t len, int prot, void **host)
{
	const uint64_t want = HMM_PFN_VALID | (prot & PROT_WRITE ? HMM_PFN_WRITE : 0);
	const struct count *c = priv;
	struct engine *e = state;

	for (uint64_t at = va; at < va + len; at = (at & ~(HMM_PAGE_SIZE - 1)) + HMM_PAGE_SIZE) {
		atomic_fetch_add(&e->looks, 1);
		if ((hmm_ptable_lookup(c->table, at, NULL) & want) != want)
			return -ENOENT;
	}
	*host = (void *)(uintptr_t)va;
	return 0;
}

static const struct hmm_device_ops count_ops = {
	.size = sizeof(count_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "count",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = count_map,
	.invalidate = count_invalidate,
	.get_stats = count_get_stats,
	.destroy = count_destroy,
};

static const struct hmm_software_ops count_software = {
	.size = sizeof(count_software),
	.state_size = sizeof(struct engine),
	.translate = count_translate,
};

static int count_open(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		      unsigned int engines, struct hmm_device **dev)
{
	struct hmm_device_ops ops = count_ops;
	/* Memory of malloc() may be mirrored: a callback must not touch it. */
	struct count *c = hmm_memory_alloc(sizeof(*c));
	unsigned int faults = HMM_FAULTS_REPLAY;
	int ret;

	(void)inner;
	if (!c)
		return -ENOMEM;
	/* The words are in the driver's options below: they were checked before. */
	hmm_device_option_word(options, "faults", "replay|none", &faults);
	ops.fault_model = faults;
	ret = hmm_device_option(options, "label", c->label, sizeof(c->label));
	if (ret >= 0)
		ret = hmm_ptable_create(NULL, &c->table);
	if (!ret)
		ret = hmm_software_create(mm, &ops, c, &count_software, engines, dev);
	if (ret)
		count_free(c);
	return ret;
}

const struct hmm_device_driver count_driver = {
	.size = sizeof(count_driver),
	.name = "count",
	.summary = "counts look-ups",
	.open = count_open,
	.options = "faults=replay|none label=*",
};
