// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The memory of a device that copies pages in and out. It is in .bss, which is never mirrored, so
 * the device works there and not at the region's addresses.
 */
#include <errno.h>
#include <string.h>
#include "away.h"

#define SLOW_NS 200000U
#define SLOW_ONE_OF 64U
/* A machine that is busy is no device that hangs. */
#define TIMEOUT_NS (HANG_LIMIT_S * 1000000000ULL)

/* Some copies take long, so that much happens meanwhile. */
static void hesitate(uint64_t offset)
{
	struct rng rng = { tort_now_ns() ^ offset };

	if (!rng_below(&rng, SLOW_ONE_OF))
		tort_pause(SLOW_NS);
}

static int copy_in(struct hmm_devmem *d, uint64_t offset, const void *from, uint64_t bytes,
		   void *priv)
{
	struct away *away = priv;

	(void)d;
	hesitate(offset);
	memcpy(away->device_memory + offset, from, bytes);
	return 0;
}

/* What was there is of no use any more, which it shows. */
static int copy_out(struct hmm_devmem *d, uint64_t offset, void *to, uint64_t bytes, void *priv)
{
	struct away *away = priv;

	(void)d;
	hesitate(offset);
	memcpy(to, away->device_memory + offset, bytes);
	memset(away->device_memory + offset, 0xee, bytes);
	return 0;
}

int copying_open(struct away *away)
{
	/* In every second round the host keeps the pages. */
	const uint32_t kept = away->round & 1 ? HMM_DEVMEM_BACKED : 0;
	const struct hmm_devmem_options options = { .size = sizeof(options),
						    .flags = HMM_DEVMEM_EVICT | kept,
						    .bytes = COPYING_BYTES,
						    .owner = &away->region[COPYING],
						    .priv = away,
						    .copy_in = copy_in,
						    .copy_out = copy_out,
						    .copy_timeout_ns = TIMEOUT_NS };
	struct hmm_devmem_stats s = { .size = sizeof(s) };
	int ret = hmm_devmem_create(away->mm, &options, &away->region[COPYING]);

	if (ret == -EOPNOTSUPP)
		return 0;
	if (!ret)
		ret = hmm_devmem_get_stats(away->region[COPYING], &s);
	away->copying_start = s.start;
	return ret;
}

uint64_t copying_page(struct away *away, uint64_t page)
{
	const uint64_t offset = page - away->copying_start;

	return away->region[COPYING] && offset < COPYING_BYTES
		       ? (uint64_t)(uintptr_t)away->device_memory + offset
		       : page;
}
