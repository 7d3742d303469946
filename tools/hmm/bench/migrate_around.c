// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Touches in a row, of which each brings its neighbours home; what a page costs that is away. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "../attach.h"
#include "migrate.h"
#include "raw.h"

#define PAGE 4096UL
#define BYTES (8 * RAW_MIB)
#define AROUND (64UL << 10)
#define COUNTED (128 * RAW_MIB)

static char device;

static int make_region(struct hmm_mm *mm, size_t bytes, size_t around, struct hmm_devmem **d)
{
	const struct hmm_devmem_options o = {
		.size = sizeof(o), .bytes = bytes, .owner = &device, .fault_around = around
	};

	return hmm_devmem_create(mm, &o, d);
}

/* ---- touches in a row ----------------------------------------------------------------------- */

struct stream {
	struct hmm_devmem *around;
	struct hmm_devmem *single;
	char *memory;
};

static double touch_all(const struct stream *s, struct hmm_devmem *d)
{
	const uint64_t start = (uintptr_t)s->memory;
	double begin;

	if (hmm_migrate_to_device(d, start, start + BYTES, HMM_FOREVER, NULL))
		return NAN;
	begin = bench_now_ns();
	for (size_t at = 0; at < BYTES; at += PAGE)
		(void)*(const volatile char *)(s->memory + at);
	return (bench_now_ns() - begin) / (BYTES / PAGE);
}

static double touch_around(void *arg)
{
	const struct stream *s = arg;

	return touch_all(s, s->around);
}

static double touch_single(void *arg)
{
	const struct stream *s = arg;

	return touch_all(s, s->single);
}

int bench_migrate_stream(struct bench *b)
{
	struct bench_row row = { .name = "migrate-stream",
				 .unit = "ns/page",
				 .target = 0.2,
				 .note = "8 MiB, 64 KiB around a touch; the page alone" };
	struct stream s = { .memory = raw_map(BYTES, false) };
	struct hmm_mm *mm;
	int ret = s.memory ? space_attach(&mm) : -ENOMEM;

	if (ret)
		return ret;
	memset(s.memory, 1, BYTES);
	ret = make_region(mm, BYTES, AROUND, &s.around);
	if (!ret)
		ret = make_region(mm, BYTES, PAGE, &s.single);
	if (!ret)
		ret = bench_interleave(b, touch_around, touch_single, &s, &row);
	if (!ret)
		bench_add(b, &row);
	hmm_devmem_destroy(s.around, HMM_FOREVER);
	hmm_devmem_destroy(s.single, HMM_FOREVER);
	hmm_mm_detach(mm);
	munmap(s.memory, BYTES);
	return ret;
}

/* ---- memory --------------------------------------------------------------------------------- */

/* The number behind `key`, in KiB; 0: there is none. */
static double read_kib(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[160];
	double kib = 0;

	while (f && !kib && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) &&
		    sscanf(line + strlen(key), "%lf", &kib) != 1)
			kib = 0;
	if (f)
		fclose(f);
	return kib;
}

/* Pages and page tables. Those that move are counted where they are. */
static double in_use(void)
{
	return 1024 * (read_kib("/proc/self/smaps_rollup", "Rss:") +
		       read_kib("/proc/self/status", "VmPTE:"));
}

/* Each page by itself, from the last to the first, so that no row of them can be told as one. */
static int scatter(struct hmm_devmem *d, const char *memory)
{
	int ret = 0;

	for (size_t at = COUNTED; at && !ret; at -= PAGE) {
		const uint64_t page = (uintptr_t)memory + at - PAGE;

		ret = hmm_migrate_to_device(d, page, page + PAGE, HMM_FOREVER, NULL);
	}
	return ret;
}

int bench_migrate_memory(struct bench *b)
{
	struct bench_row row = { .name = "migrate-memory",
				 .unit = "bytes/page",
				 .baseline = sizeof(uint64_t),
				 .target = 16,
				 .absolute = true,
				 .note = "128 MiB in no order; the entry of a page table" };
	char *memory = raw_map(COUNTED, false);
	const uint64_t start = (uintptr_t)memory;
	struct hmm_devmem *d = NULL;
	struct hmm_mm *mm;
	double before;
	int ret = memory ? space_attach(&mm) : -ENOMEM;

	if (ret)
		return ret;
	memset(memory, 1, COUNTED);
	ret = make_region(mm, COUNTED, PAGE, &d);
	/* Once there and back: what a process has once is not counted. */
	if (!ret)
		ret = hmm_migrate_to_device(d, start, start + PAGE, HMM_FOREVER, NULL);
	if (!ret)
		ret = hmm_evict_all(mm, HMM_FOREVER);
	before = in_use();
	if (!ret)
		ret = scatter(d, memory);
	row.value = (in_use() - before) / (COUNTED / PAGE);
	if (!ret)
		bench_add(b, &row);
	hmm_devmem_destroy(d, HMM_FOREVER);
	hmm_mm_detach(mm);
	munmap(memory, COUNTED);
	return ret;
}
