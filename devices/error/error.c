// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* error: makes calls of any device fail on purpose. See README in this folder. */
#include <errno.h>
#include <stdatomic.h>
#include <hmm/device.h>
#include <hmm/memory.h>

enum { ON_MAP = 1, ON_FAULT = 2, ON_SUBMIT = 4 };

struct faulty {
	double rate;
	int on;
	int error;
	uint64_t limit;
	_Atomic uint64_t state; /* state of the generator */
	_Atomic uint64_t injected;
};

/* splitmix64: one atomic addition gives each caller its own number of the sequence. */
static double draw(struct faulty *f)
{
	uint64_t z = atomic_fetch_add(&f->state, 0x9e3779b97f4a7c15ULL) + 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* 0, or the error that the call returns. */
static int strike(struct faulty *f, int where)
{
	if (!(f->on & where) || draw(f) >= f->rate)
		return 0;
	if (f->injected++ < f->limit)
		return f->error;
	f->injected--;
	return 0;
}

static int error_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct hmm_device *inner = hmm_device_inner(dev);
	int ret = strike(hmm_device_priv(dev), ON_MAP);

	return ret ? ret : hmm_device_get_ops(inner)->map(inner, map);
}

static int error_fault_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	struct hmm_device *inner = hmm_device_inner(dev);

	if (!error)
		error = strike(hmm_device_priv(dev), ON_FAULT);
	return hmm_device_get_ops(inner)->fault_done(inner, fault, error);
}

static int error_submit(struct hmm_device *dev, struct hmm_job *job)
{
	struct hmm_device *inner = hmm_device_inner(dev);
	int ret = strike(hmm_device_priv(dev), ON_SUBMIT);

	return ret ? ret : hmm_device_get_ops(inner)->submit(inner, job);
}

static int error_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	struct faulty *f = hmm_device_priv(dev);

	stats->injected += atomic_load(&f->injected);
	return 0;
}

static void error_destroy(struct hmm_device *dev)
{
	hmm_memory_free(hmm_device_priv(dev), sizeof(struct faulty));
}

static const struct hmm_device_ops error_ops = {
	.size = sizeof(error_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "error",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = error_map,
	.fault_done = error_fault_done,
	.submit = error_submit,
	.get_stats = error_get_stats,
	.destroy = error_destroy,
};

static void parse(const char *options, struct faulty *f)
{
	static const int places[] = { ON_MAP, ON_FAULT, ON_SUBMIT, ON_MAP | ON_FAULT | ON_SUBMIT };
	static const int errors[] = { -EIO, -ENOMEM, -EFAULT };
	unsigned int on = 3;
	unsigned int error = 0;
	double seed = 1;
	double limit = 1e18;

	f->rate = 0.01;
	hmm_device_option_number(options, "rate", &f->rate);
	hmm_device_option_number(options, "seed", &seed);
	hmm_device_option_number(options, "count", &limit);
	hmm_device_option_word(options, "on", "map|fault|submit|all", &on);
	hmm_device_option_word(options, "error", "EIO|ENOMEM|EFAULT", &error);
	f->on = places[on];
	f->error = errors[error];
	f->state = (uint64_t)seed;
	f->limit = (uint64_t)limit;
}

static int error_open(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		      unsigned int engines, struct hmm_device **dev)
{
	struct faulty *f = hmm_memory_alloc(sizeof(*f));
	int ret;

	if (!f)
		return -ENOMEM;
	parse(options, f);
	ret = hmm_device_create(mm, &error_ops, f, inner, dev);
	if (ret)
		hmm_memory_free(f, sizeof(*f));
	return ret;
}

const struct hmm_device_driver hmm_error_driver = {
	.size = sizeof(hmm_error_driver),
	.name = "error",
	.summary = "failures on purpose, around any device",
	.options = "rate=0..1 on=map|fault|submit|all error=EIO|ENOMEM|EFAULT seed=0..1e15 "
		   "count=0..1e18",
	.stacks = true,
	.open = error_open,
};
