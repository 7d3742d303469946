// SPDX-License-Identifier: GPL-2.0
/*
 * dax-mirror-test: conformance of mirrors of files on DAX filesystems.
 *
 * Prints KTAP. Each variant of a case is one test for each target; with both targets a table puts
 * them side by side at the end.
 */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "place.h"
#include "run.h"

#ifdef HMM_MUTATIONS
#include "base/mutation.h"
#endif

#define MAX_PLACES 16
#define MAX_VARIANTS 2048

struct options {
	bool list, rules, longer, times, destroy;
	bool target[2]; /* kernel, libhmm */
	char **names;   /* patterns; none: all */
	int nnames;
};

static const struct target_ops *const targets[2] = { &target_kernel, &target_libhmm };

static const struct case_list *const lists[] = { &cases_size,   &cases_fallocate, &cases_hole,
						 &cases_share,  &cases_writeback, &cases_mapping,
						 &cases_access, &cases_process,   &cases_name,
						 &cases_race,   &cases_control,   &cases_touch,
						 &cases_error,  &cases_device };

static struct place places[MAX_PLACES];
static size_t nplaces;
static struct variant variants[MAX_VARIANTS];
static size_t nvariants;
static const char *const usage =
	"usage: dax-mirror-test [--target kernel|libhmm|both] [--fs "
	"PATH]... [--long] [--destroy] [--times] [--list | --rules] [NAME]...\n"
	"--destroy: also cases that shut a filesystem down, unbind its device or spoil a block, "
	"and mount it anew.\n"
	"NAME may hold * and ?. Without --fs: every mounted filesystem "
	"that is DAX or has a dax= option, and /dev/shm.\n";

static bool wanted(const struct options *o, const char *name)
{
	int i;

	for (i = 0; i < o->nnames; i++)
		if (!fnmatch(o->names[i], name, 0))
			return true;
	return !o->nnames;
}

static void add_variant(const struct options *o, const struct dax_case *def,
			const struct place *place, bool pmd, bool by_other)
{
	struct variant v = {
		.def = def, .place = place, .pmd = pmd, .by_other = by_other, .longer = o->longer
	};

	snprintf(v.name, sizeof(v.name), "%s%s/%s%s%s", place->name, place->dax ? "" : "-cached",
		 def->name, def->flags & BY_ORDER && place->dax ? (pmd ? "/pmd" : "/pte") : "",
		 by_other ? "/other" : "");
	if (wanted(o, v.name) && nvariants < MAX_VARIANTS)
		variants[nvariants++] = v;
}

static void add_case(const struct options *o, const struct dax_case *def, const struct place *place)
{
	int pmd, other;

	if (!(def->flags & (place->dax ? ON_DAX : ON_CACHE)) || (def->flags & LONG && !o->longer) ||
	    (def->flags & DESTROYS && !o->destroy) || (def->flags & BY_NAME && !o->nnames))
		return;
	for (pmd = 0; pmd < (def->flags & BY_ORDER && place->dax ? 2 : 1); pmd++)
		/*
		 * It matters little for a mapping which process acts, so the short form leaves the
		 * product out.
		 */
		for (other = 0;
		     other < (def->flags & BY_ACTOR && (pmd || !place->dax || o->longer) ? 2 : 1);
		     other++)
			add_variant(o, def, place, def->flags & BY_ORDER ? pmd : place->dax, other);
}

static void choose(const struct options *o)
{
	size_t p, l, c;

	for (p = 0; p < nplaces; p++)
		for (l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
			for (c = 0; c < lists[l]->count; c++)
				add_case(o, &lists[l]->cases[c], &places[p]);
}

static void print_variants(const struct options *o)
{
	size_t i;

	for (i = 0; i < nvariants; i++) {
		printf("%s\n", variants[i].name);
		if (o->rules)
			printf("\trule: %s\n\tentries: %s\n\tinvalidations: %s\n",
			       variants[i].def->rule, variants[i].def->entries,
			       variants[i].def->invalidations);
	}
}

static const char *seen_text(enum seen seen)
{
	static const char *const names[] = { "-", "synchronous", "validated", "unseen" };

	return names[seen];
}

static void report(size_t number, const struct variant *v, const struct target_ops *ops,
		   enum verdict verdict, const struct outcome *out)
{
	if (out->entries[0] || out->invalidations[0])
		printf("# entries: %s; invalidations: %s; seen: %s\n",
		       out->entries[0] ? out->entries : "-",
		       out->invalidations[0] ? out->invalidations : "none", seen_text(out->seen));
	if (verdict == VERDICT_FAIL)
		printf("# rule: %s\n# %s\n", v->def->rule, out->reason);
	printf("%s %zu %s %s%s%s\n", verdict == VERDICT_FAIL ? "not ok" : "ok", number, ops->name,
	       v->name, verdict == VERDICT_SKIP ? " # SKIP " : "",
	       verdict == VERDICT_SKIP ? out->reason : "");
}

static void side_by_side(const struct outcome *outs, const enum verdict *verdicts)
{
	static const char *const words[] = { "pass", "skip", "FAIL" };
	size_t i;

	printf("#\n# %-40s %-8s %-8s %-12s %s\n", "case", "kernel", "libhmm", "libhmm sees",
	       "the kernel's invalidations");
	for (i = 0; i < nvariants; i++)
		printf("# %-40s %-8s %-8s %-12s %s\n", variants[i].name, words[verdicts[2 * i]],
		       words[verdicts[2 * i + 1]], seen_text(outs[2 * i + 1].seen),
		       outs[2 * i].invalidations[0] ? outs[2 * i].invalidations : "-");
}

static int run_all(const struct options *o)
{
	size_t ntargets = o->target[0] + o->target[1], n = 0, i, t, count[3] = { 0, 0, 0 };
	enum verdict *verdicts = calloc(2 * nvariants, sizeof(*verdicts));
	struct outcome *outs = mmap(NULL, 2 * nvariants * sizeof(*outs), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	struct timespec begin, end;

	if (!verdicts || outs == MAP_FAILED) {
		fprintf(stderr, "dax-mirror-test: out of memory\n");
		return 1;
	}
	printf("TAP version 13\n1..%zu\n", nvariants * ntargets);
	for (i = 0; i < nvariants; i++) {
		for (t = 0; t < 2; t++) {
			if (!o->target[t])
				continue;
			clock_gettime(CLOCK_MONOTONIC, &begin);
			verdicts[2 * i + t] = run_case(&variants[i], targets[t],
						       o->longer ? 600 : 180, &outs[2 * i + t]);
			clock_gettime(CLOCK_MONOTONIC, &end);
			if (o->times)
				printf("# %ld ms\n",
				       (long)(end.tv_sec - begin.tv_sec) * 1000 +
					       (end.tv_nsec - begin.tv_nsec) / 1000000);
			report(++n, &variants[i], targets[t], verdicts[2 * i + t],
			       &outs[2 * i + t]);
			count[verdicts[2 * i + t]]++;
		}
	}
	if (ntargets == 2)
		side_by_side(outs, verdicts);
	printf("# Totals: pass:%zu fail:%zu xfail:0 xpass:0 skip:%zu error:0\n", count[0], count[2],
	       count[1]);
	return count[2] ? 1 : count[0] ? 0 : 77;
}

static void bad_use(const char *what, const char *value)
{
	fprintf(stderr, "dax-mirror-test: %s%s\n%s", what, value, usage);
	exit(2);
}

static void add_place(const char *path)
{
	int ret;

	if (nplaces == MAX_PLACES)
		bad_use("too many --fs at ", path);
	ret = place_probe(path, &places[nplaces]);
	if (ret) {
		fprintf(stderr, "dax-mirror-test: %s: %s\n", path, strerror(-ret));
		exit(2);
	}
	nplaces++;
}

/* Breaks a rule of the library, in a build that can. */
static void break_rule(const char *name)
{
#ifdef HMM_MUTATIONS
	if (!hmm_mutation_set(name))
		return;
	bad_use("no such rule to break: ", name);
#else
	bad_use("this is not a build with -Dmutations=true, it cannot break ", name);
#endif
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "target", required_argument, NULL, 't' }, { "fs", required_argument, NULL, 'f' },
		{ "long", no_argument, NULL, 'l' },         { "list", no_argument, NULL, 'L' },
		{ "break", required_argument, NULL, 'B' },  { "times", no_argument, NULL, 'T' },
		{ "destroy", no_argument, NULL, 'D' },      { "rules", no_argument, NULL, 'R' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 't') {
			o->target[0] = !strcmp(optarg, "kernel") || !strcmp(optarg, "both");
			o->target[1] = !strcmp(optarg, "libhmm") || !strcmp(optarg, "both");
			if (!o->target[0] && !o->target[1])
				bad_use("no such target: ", optarg);
		} else if (c == 'f') {
			add_place(optarg);
		} else if (c == 'l') {
			o->longer = true;
		} else if (c == 'L' || c == 'R') {
			o->list = true;
			o->rules = c == 'R';
		} else if (c == 'B') {
			break_rule(optarg);
		} else if (c == 'T') {
			o->times = true;
		} else if (c == 'D') {
			o->destroy = true;
		} else if (c == 'h') {
			fputs(usage, stdout);
			exit(0);
		} else {
			exit(2);
		}
	}
	o->names = argv + optind;
	o->nnames = argc - optind;
}

int main(int argc, char **argv)
{
	struct options o = { .target = { false, true } };
	const char *why;
	size_t t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse(argc, argv, &o);
	if (!nplaces)
		nplaces = place_find(places, MAX_PLACES);
	choose(&o);
	if (o.list) {
		print_variants(&o);
		return 0;
	}
	if (!nvariants)
		bad_use("no case matches", "");
	for (t = 0; t < 2; t++) {
		why = o.target[t] ? targets[t]->probe() : NULL;
		if (why) {
			printf("TAP version 13\n1..0 # SKIP %s: %s\n", targets[t]->name, why);
			return 77;
		}
	}
	return run_all(&o);
}
