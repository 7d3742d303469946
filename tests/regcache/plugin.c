// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A plug-in that uses a cache, and is unloaded without ending it. */
#include <hmm/hmm.h>
#include <hmm/regcache.h>

int plugin_use(uint64_t addr, uint64_t length);

static struct hmm_regcache *cache;

static int reg(struct hmm_registration *r, void *priv)
{
	return 0;
}

static void dereg(struct hmm_registration *r, void *priv)
{
}

static int open_cache(void)
{
	static const struct hmm_regcache_ops ops = { .size = sizeof(ops),
						     .reg = reg,
						     .dereg = dereg };
	struct hmm_mm *mm;
	int err = hmm_mm_attach(NULL, &mm);

	return err ? err : hmm_regcache_create(mm, &ops, NULL, NULL, &cache);
}

__attribute__((visibility("default"))) int plugin_use(uint64_t addr, uint64_t length)
{
	struct hmm_registration *r;
	int err = cache ? 0 : open_cache();

	if (!err)
		err = hmm_regcache_get(cache, addr, length, 0, HMM_FOREVER, &r);
	if (!err)
		hmm_regcache_put(cache, r);
	return err;
}
