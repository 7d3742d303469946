// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The monitors, and sums over what the scenes gave. */
#include <string.h>
#include "demo.h"

struct monitor monitors[] = {
	{ .name = "none", .program = "stale-demo-hmm", .text = "no monitor at all" },
	{ .name = "ofi-memhooks",
	  .program = "stale-demo-ofi",
	  .text = "libfabric's cache, patched libc functions" },
	{ .name = "ofi-uffd",
	  .program = "stale-demo-ofi",
	  .text = "libfabric's cache, its userfaultfd thread" },
	{ .name = "ofi-hmm",
	  .program = "stale-demo-ofi",
	  .text = "libfabric's cache, libhmm-ofi.so",
	  .preload = "libhmm-ofi.so",
	  .ours = true },
	{ .name = "ucx-hooks",
	  .program = "stale-demo-ucx",
	  .text = "UCX's cache, patched libc functions" },
	{ .name = "ucx-hmm",
	  .program = "stale-demo-ucx",
	  .text = "UCX's cache, libhmm-ucx.so",
	  .preload = "libhmm-ucx.so",
	  .hook_mode = "none",
	  .ours = true },
	{ .name = "hmm", .program = "stale-demo-hmm", .text = "hmm_regcache", .ours = true },
	{ .name = "hmm-strict",
	  .program = "stale-demo-hmm",
	  .text = "hmm_regcache with HMM_REGCACHE_STRICT",
	  .ours = true },
	{ .name = NULL },
};

const char *result_name(enum result result)
{
	static const char *const names[] = {
		[RESULT_OK] = "ok",       [RESULT_STALE] = "STALE", [RESULT_BROKEN] = "BROKEN",
		[RESULT_SKIP] = "-",      [RESULT_NO] = "no",       [RESULT_HANG] = "HANG",
		[RESULT_CRASH] = "CRASH", [RESULT_NOT_RUN] = "",
	};

	return names[result];
}

const struct cell *cell_named(const struct monitor *monitor, const char *name)
{
	const struct scene *scene;

	for (unsigned int i = 0; (scene = scene_at(i)); i++)
		if (!strcmp(scene->name, name))
			return &monitor->cell[i];
	return NULL;
}

struct count count_rows(const struct monitor *monitor, unsigned int kinds)
{
	struct count count = { 0 };
	const struct scene *scene;

	for (unsigned int i = 0; (scene = scene_at(i)); i++) {
		enum result result = monitor->cell[i].result;

		if (!(scene->flags & kinds) || result == RESULT_SKIP || result == RESULT_NO ||
		    result == RESULT_NOT_RUN)
			continue;
		count.of++;
		count.stale += result == RESULT_STALE;
		count.hang +=
			result == RESULT_HANG || result == RESULT_CRASH || result == RESULT_BROKEN;
	}
	return count;
}

/* What raises no event is found by the strict cache alone. */
static bool promised(const struct monitor *monitor, const struct scene *scene)
{
	return monitor->ours &&
	       (!(scene->flags & SCENE_NO_EVENT) || !strcmp(monitor->name, "hmm-strict"));
}

unsigned int demo_findings(void)
{
	unsigned int findings = 0;

	for (const struct monitor *m = monitors; m->name; m++) {
		const struct scene *scene;

		for (unsigned int i = 0; (scene = scene_at(i)); i++) {
			enum result result = m->cell[i].result;

			findings += promised(m, scene) &&
				    (result == RESULT_STALE || result == RESULT_BROKEN ||
				     result == RESULT_HANG || result == RESULT_CRASH);
		}
		for (int i = 0; i < 2; i++)
			findings += m->ours && m->nobody[i].result == RESULT_STALE;
	}
	return findings;
}

unsigned int demo_unlinked(void)
{
	unsigned int unlinked = 0;

	for (const struct monitor *m = monitors; m->name; m++)
		unlinked += m->wanted && m->unlinked;
	return unlinked;
}
