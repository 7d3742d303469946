// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* delay: adds latency to any device. See README in this folder. */
#include <errno.h>
#include <stdatomic.h>
#include <time.h>
#include <hmm/device.h>
#include <hmm/memory.h>

enum { ON_FETCH = 1, ON_DONE = 2, ON_MAP = 4, ON_SUBMIT = 8 };

struct slow {
	uint64_t ns;
	int on;
	_Atomic uint64_t injected;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void wait_for(struct slow *s, int where)
{
	uint64_t until;

	if (!(s->on & where))
		return;
	atomic_fetch_add(&s->injected, 1);
	until = now() + s->ns;
	while (now() < until)
		;
}

static int delay_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct hmm_device *inner = hmm_device_inner(dev);

	wait_for(hmm_device_priv(dev), ON_MAP);
	return hmm_device_get_ops(inner)->map(inner, map);
}

static int delay_fetch(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
		       uint64_t timeout_ns)
{
	struct hmm_device *inner = hmm_device_inner(dev);
	int ret = hmm_device_get_ops(inner)->fetch_faults(inner, faults, n, timeout_ns);

	if (ret > 0)
		wait_for(hmm_device_priv(dev), ON_FETCH);
	return ret;
}

static int delay_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	struct hmm_device *inner = hmm_device_inner(dev);

	wait_for(hmm_device_priv(dev), ON_DONE);
	return hmm_device_get_ops(inner)->fault_done(inner, fault, error);
}

static int delay_submit(struct hmm_device *dev, struct hmm_job *job)
{
	struct hmm_device *inner = hmm_device_inner(dev);

	wait_for(hmm_device_priv(dev), ON_SUBMIT);
	return hmm_device_get_ops(inner)->submit(inner, job);
}

static int delay_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	struct slow *s = hmm_device_priv(dev);

	stats->injected += atomic_load(&s->injected);
	return 0;
}

static void delay_destroy(struct hmm_device *dev)
{
	hmm_memory_free(hmm_device_priv(dev), sizeof(struct slow));
}

static const struct hmm_device_ops delay_ops = {
	.size = sizeof(delay_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "delay",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = delay_map,
	.fetch_faults = delay_fetch,
	.fault_done = delay_done,
	.submit = delay_submit,
	.get_stats = delay_get_stats,
	.destroy = delay_destroy,
};

static void parse(const char *options, struct slow *s)
{
	static const int places[] = { ON_FETCH, ON_DONE, ON_MAP, ON_SUBMIT,
				      ON_FETCH | ON_DONE | ON_MAP | ON_SUBMIT };
	unsigned int on = 4;
	double us = 50;

	hmm_device_option_number(options, "us", &us);
	hmm_device_option_word(options, "on", "fetch|done|map|submit|all", &on);
	s->ns = (uint64_t)(us * 1000);
	s->on = places[on];
}

static int delay_open(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		      unsigned int engines, struct hmm_device **dev)
{
	struct slow *s = hmm_memory_alloc(sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	parse(options, s);
	ret = hmm_device_create(mm, &delay_ops, s, inner, dev);
	if (ret)
		hmm_memory_free(s, sizeof(*s));
	return ret;
}

const struct hmm_device_driver hmm_delay_driver = {
	.size = sizeof(hmm_delay_driver),
	.name = "delay",
	.summary = "latency, around any device",
	.options = "us=0..100000 on=fetch|done|map|submit|all",
	.stacks = true,
	.open = delay_open,
};
