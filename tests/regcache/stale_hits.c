// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * stale_hits: gets registrations of memory that other threads change, and looks at the page behind
 * each. Fails on one of a page that was gone before the get began, and when fewer than a fifth of
 * the gets are hits, which would prove nothing.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "storm.h"
#ifdef HMM_MUTATIONS
#include "base/mutation.h"
#endif

enum { PASSED, FAILED, BAD, STUCK, SKIPPED = 77 };

#define ROUNDS 200000
#define LONG_ROUNDS 10000000
#define HITS_AT_LEAST 20 /* percent */
#define RESIDENT_MIB 512

static const char usage[] =
	"Usage: stale_hits [OPTION]...\n"
	"  --rounds N     gets (200000)\n"
	"  --long         10000000\n"
	"  --seed N       of an earlier run\n"
	"  --calm N       gets for each change (16)\n"
	"  --tags         without io_uring: pages are known by what is written in them\n"
	"  --peer NAME    another of this executable's caches\n"
	"  --break NAME   with a rule of the library broken (mutation build)\n"
	"  --mutations    which there are\n";

static const struct option options[] = {
	{ "rounds", required_argument, NULL, 'r' }, { "long", no_argument, NULL, 'l' },
	{ "seed", required_argument, NULL, 's' },   { "calm", required_argument, NULL, 'c' },
	{ "tags", no_argument, NULL, 't' },         { "peer", required_argument, NULL, 'p' },
	{ "break", required_argument, NULL, 'b' },  { "mutations", no_argument, NULL, 'm' },
	{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
};

static struct storm storm = { .rounds = ROUNDS,
			      .calm = 16,
			      .finding_lock = PTHREAD_MUTEX_INITIALIZER };
static bool tags;
static const char *broken;

static int list_mutations(void)
{
#ifdef HMM_MUTATIONS
	const char *name, *text;

	for (size_t i = 0; (name = hmm_mutation_name(i, &text)); i++)
		puts(name);
#endif
	return PASSED;
}

static int break_rule(const char *name)
{
	broken = name;
#ifdef HMM_MUTATIONS
	return hmm_mutation_set(name);
#else
	return -EOPNOTSUPP;
#endif
}

static const struct peer *peer_named(const char *name)
{
	for (const struct peer *const *peer = peers; *peer; peer++)
		if (!strcmp((*peer)->name, name))
			return *peer;
	return NULL;
}

/* Negative: go on. */
static int take_option(int option)
{
	switch (option) {
	case 'r':
		storm.rounds = strtoull(optarg, NULL, 0);
		return -1;
	case 'l':
		storm.rounds = LONG_ROUNDS;
		return -1;
	case 's':
		storm.seed = strtoull(optarg, NULL, 0);
		return -1;
	case 'c':
		storm.calm = (unsigned int)strtoul(optarg, NULL, 0);
		return -1;
	case 't':
		tags = true;
		return -1;
	case 'p':
		storm.peer = peer_named(optarg);
		return storm.peer ? -1 : BAD;
	case 'b':
		return break_rule(optarg) ? BAD : -1;
	case 'm':
		return list_mutations();
	case 'h':
		fputs(usage, stdout);
		return PASSED;
	}
	fputs(usage, stderr);
	return BAD;
}

static int begin(void)
{
	char why[160] = "";
	const struct pin_device *device = tags ? NULL : uring_device(why, sizeof(why));
	int err;

	if (why[0])
		printf("# %s: pages are known by their tags\n", why);
	pin_use_device(device);
	pin_hook = storm_slow_pin;
	storm.device = device;
	storm.strict = strstr(storm.peer->name, "strict");
	err = storm.peer->start(why, sizeof(why));
	if (!err)
		err = storm.peer->open(&storm.cache);
	if (err) {
		printf("# %s: %s\n", storm.peer->name, why[0] ? why : strerror(-err));
		return SKIPPED;
	}
	err = spots_make(&storm);
	if (err)
		printf("# no memory to change: %s\n", strerror(-err));
	return err ? FAILED : PASSED;
}

/* However long it runs. A sanitizer keeps more. */
static bool grows(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	if (used.ru_maxrss < RESIDENT_MIB << 10)
		return false;
	printf("%ld MiB are resident\n", used.ru_maxrss >> 10);
	return !SANITIZED;
}

static int report(double seconds)
{
	uint64_t gets = atomic_load(&storm.gets), hits = atomic_load(&storm.hits);
	unsigned int percent = gets ? (unsigned int)(hits * 100 / gets) : 0;
	uint64_t wrong = atomic_load(&storm.stale) + atomic_load(&storm.wrong);

	printf("%llu gets, %u %% hits, %llu changes, %llu races, %llu stale, %llu wrong, %llu "
	       "unknown, "
	       "%llu unmapped, %llu failed, %.1f s\n",
	       (unsigned long long)gets, percent, (unsigned long long)storm.changes,
	       (unsigned long long)storm.races, (unsigned long long)storm.stale,
	       (unsigned long long)storm.wrong, (unsigned long long)storm.unknown,
	       (unsigned long long)storm.unmapped, (unsigned long long)storm.failed, seconds);
	if (storm.finding[0])
		printf("%s\n", storm.finding);
	if (!wrong && percent < HITS_AT_LEAST)
		printf("too few hits, which proves nothing\n");
	return wrong || percent < HITS_AT_LEAST || grows() ? FAILED : PASSED;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	int option, status = -1;
	double began;

	storm.peer = peers[0];
	while (status < 0 && (option = getopt_long(argc, argv, "", options, NULL)) != -1)
		status = take_option(option);
	if (status >= 0)
		return status;
	if (!storm.seed && getrandom(&storm.seed, sizeof(storm.seed), 0) < 0)
		storm.seed = (uint64_t)time(NULL);
	printf("%s: seed %#llx%s%s\n", storm.peer->name, (unsigned long long)storm.seed,
	       broken ? ", broken: " : "", broken ? broken : "");
	fflush(stdout);
	status = begin();
	if (status)
		return status;
	began = now();
	if (!storm_run(&storm)) {
		report(now() - began);
		printf("it came to a stop\n");
		fflush(stdout);
		_exit(STUCK);
	}
	status = report(now() - began);
	fflush(stdout);
	_exit(status);
}
