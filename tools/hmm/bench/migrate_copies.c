// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A device with memory of its own, which copies by memcpy(), beside memcpy() alone. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../attach.h"
#include "migrate.h"
#include "raw.h"

#define BYTES (256 * RAW_MIB)

struct copies {
	struct hmm_mm *mm;
	struct hmm_devmem *devmem;
	char *memory; /* of the program */
	char *device;
	char *buffer;
};

static int copy_in(struct hmm_devmem *d, uint64_t offset, const void *from, uint64_t bytes,
		   void *priv)
{
	const struct copies *c = priv;

	(void)d;
	memcpy(c->device + offset, from, bytes);
	return 0;
}

static int copy_out(struct hmm_devmem *d, uint64_t offset, void *to, uint64_t bytes, void *priv)
{
	const struct copies *c = priv;

	(void)d;
	memcpy(to, c->device + offset, bytes);
	return 0;
}

/* GB/s, of what was copied there and back. */
static double there_and_back(void *arg)
{
	const struct copies *c = arg;
	const uint64_t start = (uintptr_t)c->memory;
	struct hmm_migrate_result r = { .size = sizeof(r) };
	const double begin = bench_now_ns();

	if (hmm_migrate_to_device(c->devmem, start, start + BYTES, HMM_FOREVER, &r) ||
	    r.moved != BYTES / HMM_PAGE_SIZE ||
	    hmm_migrate_to_system(c->mm, start, start + BYTES, HMM_FOREVER))
		return NAN;
	return 2 * (double)BYTES / (bench_now_ns() - begin);
}

static double by_memcpy(void *arg)
{
	const struct copies *c = arg;
	const double begin = bench_now_ns();

	memcpy(c->device, c->buffer, BYTES);
	memcpy(c->buffer, c->device, BYTES);
	return 2 * (double)BYTES / (bench_now_ns() - begin);
}

static int open_copies(struct copies *c, bool huge, uint32_t flags)
{
	const struct hmm_devmem_options o = { .size = sizeof(o),
					      .flags = flags,
					      .bytes = BYTES,
					      .owner = c,
					      .copy_in = copy_in,
					      .copy_out = copy_out,
					      .priv = c };
	char **const maps[] = { &c->memory, &c->device, &c->buffer };
	int ret;

	for (size_t i = 0; i < 3; i++) {
		*maps[i] = raw_map(BYTES, huge);
		if (!*maps[i])
			return -ENOMEM;
		if (!raw_fill(*maps[i], BYTES, huge))
			return -ENODATA;
	}
	ret = space_attach(&c->mm);
	return ret ? ret : hmm_devmem_create(c->mm, &o, &c->devmem);
}

static void close_copies(const struct copies *c)
{
	hmm_devmem_destroy(c->devmem, HMM_FOREVER);
	hmm_mm_detach(c->mm);
	if (c->memory)
		munmap(c->memory, BYTES);
	if (c->device)
		munmap(c->device, BYTES);
	if (c->buffer)
		munmap(c->buffer, BYTES);
}

int bench_migrate_copies(struct bench *b, const char *name, bool huge, uint32_t flags)
{
	struct bench_row row = { .unit = "GB/s",
				 .target = 0.7,
				 .sense = BENCH_HIGHER,
				 .note = "the device copies 256 MiB there and back; memcpy()" };
	struct copies c = { .mm = NULL };
	int ret = open_copies(&c, huge, flags);

	snprintf(row.name, sizeof(row.name), "%s", name);
	if (!ret)
		ret = bench_interleave(b, there_and_back, by_memcpy, &c, &row);
	if (!ret)
		bench_add(b, &row);
	if (ret == -ENODATA) {
		bench_add_without_huge(b, &row);
		ret = 0;
	}
	close_copies(&c);
	return ret;
}
