// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Registration caches of others beside ours, by stale-demo: a process a monitor and a figure, all
 * of them in one run. Rows of peers that were not built are left out.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../json.h"
#include "../program.h"
#include "bench.h"

#define OUTPUT_MAX (256UL << 10)

/* What stale-demo prints about one scene; NULL: nothing. */
static struct json_object *run_scene(const char *demo, const char *scene)
{
	char command[PATH_MAX + 256];
	char *text = malloc(OUTPUT_MAX);
	struct json_object *all = NULL;
	size_t n = 0;
	FILE *from;

	snprintf(command, sizeof(command),
		 "'%s' --json --scene %s --monitor hmm --monitor ofi-hmm --monitor ofi-memhooks "
		 "--monitor ofi-uffd --monitor ucx-hooks --monitor ucx-hmm",
		 demo, scene);
	from = text ? popen(command, "r") : NULL;
	if (from) {
		n = fread(text, 1, OUTPUT_MAX - 1, from);
		pclose(from);
		text[n] = 0;
		all = json_tokener_parse(text);
	}
	free(text);
	return all;
}

/* ns of the scene with that monitor; NAN: it was not measured. */
static double ns_of(struct json_object *all, const char *scene, const char *monitor,
		    const char *key)
{
	for (size_t i = 0; all && i < json_object_array_length(all); i++) {
		struct json_object *m = json_object_array_get_idx(all, i), *o;

		if (!json_object_object_get_ex(m, "monitor", &o) ||
		    strcmp(json_object_get_string(o), monitor) != 0)
			continue;
		if (json_object_object_get_ex(m, "scenes", &o) &&
		    json_object_object_get_ex(o, scene, &o) &&
		    json_object_object_get_ex(o, key, &o))
			return json_object_get_double(o);
	}
	return NAN;
}

static double least(double a, double b)
{
	return isnan(a) || b < a ? b : a;
}

static void add(struct bench *b, const char *name, double value, double baseline, double target,
		const char *note)
{
	struct bench_row row = {
		.unit = "ns", .value = value, .baseline = baseline, .target = target
	};

	if (isnan(value) || isnan(baseline))
		return;
	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.note, sizeof(row.note), "%s", note);
	bench_add(b, &row);
}

static void add_munmap(struct bench *b, const char *demo, const char *scene, const char *name)
{
	struct json_object *all = run_scene(demo, scene);

	add(b, name, ns_of(all, scene, "ofi-hmm", "ns"), ns_of(all, scene, "ofi-uffd", "ns"), 1,
	    "munmap of what libfabric's cache has, libhmm-ofi.so; its own userfaultfd");
	json_object_put(all);
}

int bench_peers(struct bench *b)
{
	char demo[PATH_MAX];
	struct json_object *all;
	double probe;

	if (program_find("stale-demo", demo) || strchr(demo, '\''))
		return -EOPNOTSUPP;
	all = run_scene(demo, "hit");
	probe = ns_of(all, "hit", "ofi-hmm", "beside_ns");
	add(b, "peers-hit-ofi", ns_of(all, "hit", "ofi-hmm", "ns"),
	    ns_of(all, "hit", "ofi-memhooks", "ns") + probe, 1.3,
	    "a hit of libfabric's cache, libhmm-ofi.so; unvalidated, and a probe");
	json_object_put(all);
	all = run_scene(demo, "hit-ordered");
	add(b, "peers-hit-ordered", ns_of(all, "hit-ordered", "hmm", "ns"),
	    least(ns_of(all, "hit-ordered", "ofi-memhooks", "ns"),
		  ns_of(all, "hit-ordered", "ucx-hooks", "ns")),
	    1, "hmm_regcache_get() and its put, ordered; libfabric's or UCX's unvalidated hit");
	json_object_put(all);
	add_munmap(b, demo, "munmap-cost", "peers-munmap-p50");
	add_munmap(b, demo, "munmap-99", "peers-munmap-p99");
	return 0;
}
