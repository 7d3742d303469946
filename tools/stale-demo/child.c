// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The executable of a peer: runs one scene with one monitor and prints one line,
 *
 *	OUTCOME STALE OF CACHED COST BESIDE WHY
 *
 * stale-demo starts it. Without arguments it lists its monitors.
 */
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "stage.h"

#define NOBODY 65534

static const struct peer *peer_named(const char *name)
{
	for (const struct peer *const *peer = peers; *peer; peer++)
		if (!strcmp((*peer)->name, name))
			return *peer;
	return NULL;
}

static enum outcome run(struct stage *s, const struct scene *scene)
{
	if (!(scene->flags & SCENE_EARLY)) {
		enum outcome outcome = stage_begin(s);

		if (outcome != OUTCOME_OK)
			return outcome;
	}
	return scene->run(s);
}

static bool drop_privilege(void)
{
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		return false;
	/* else it may not look at its own maps */
	return !prctl(PR_SET_DUMPABLE, 1);
}

static int usage(void)
{
	fputs("Usage: stale-demo-PEER MONITOR SCENE RACES [nobody]\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct stage s = { 0 };
	const struct scene *scene;
	enum outcome outcome;

	if (argc == 1) {
		for (const struct peer *const *peer = peers; *peer; peer++)
			puts((*peer)->name);
		return 0;
	}
	if (argc < 4 || argc > 5)
		return usage();
	s.peer = peer_named(argv[1]);
	scene = scene_named(argv[2]);
	s.races = (unsigned int)strtoul(argv[3], NULL, 0);
	if (!s.peer || !scene)
		return usage();
	if (argc == 5 && !drop_privilege())
		return usage();
	outcome = run(&s, scene);
	printf("%d %u %u %d %.1f %.1f %s\n", outcome, s.stale, s.of, s.cached, s.cost, s.beside,
	       s.why);
	fflush(stdout);
	/* Some peers cannot end once their memory was changed. */
	_exit(0);
}
