// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* stale-demo: options. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "demo.h"

enum { EXIT_DONE, EXIT_FINDING, EXIT_INPUT, EXIT_HOST };

static const char usage[] =
	"Usage: stale-demo [OPTION]...\n"
	"Which registration caches hand out memory that is gone? Changes memory that\n"
	"each of them keeps registered, and looks what it hands out afterwards.\n\n"
	"  -m, --monitor NAME  this one; may be repeated (default: not hmm-strict, ofi2)\n"
	"  -s, --scene NAME    this change alone\n"
	"  -r, --races N       of each race, 1 to 1000000 (2000)\n"
	"      --limit MS      for a change that hangs, 100 to 600000 (3000)\n"
	"      --sequences     longer sequences, too\n"
	"      --preload LIB   every process with this allocator\n"
	"      --all           every monitor and sequence; status 3 if one was not built\n"
	"  -j, --json          JSON\n"
	"      --markdown      the tables of docs/monitors.md; implies --sequences\n"
	"      --list          the monitors and the changes\n"
	"  -v, --verbose       what the peers say\n"
	"  -h, --help          this text\n\n"
	"Status: 1 if libhmm was to prevent it and did not, 2 bad options, 3 see --all.\n";

enum {
	OPTION_LIMIT = 256,
	OPTION_SEQUENCES,
	OPTION_PRELOAD,
	OPTION_ALL,
	OPTION_MARKDOWN,
	OPTION_LIST
};

static const struct option options[] = {
	{ "monitor", required_argument, NULL, 'm' },
	{ "scene", required_argument, NULL, 's' },
	{ "races", required_argument, NULL, 'r' },
	{ "limit", required_argument, NULL, OPTION_LIMIT },
	{ "sequences", no_argument, NULL, OPTION_SEQUENCES },
	{ "preload", required_argument, NULL, OPTION_PRELOAD },
	{ "all", no_argument, NULL, OPTION_ALL },
	{ "json", no_argument, NULL, 'j' },
	{ "markdown", no_argument, NULL, OPTION_MARKDOWN },
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct chosen {
	struct demo demo;
	bool json, markdown, all, some;
};

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "stale-demo: %s '%s'; see --help\n", what, value);
	return EXIT_INPUT;
}

static bool number(const char *text, unsigned int min, unsigned int max, unsigned int *value)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || n < min || n > max)
		return false;
	*value = (unsigned int)n;
	return true;
}

static bool want(const char *name)
{
	for (struct monitor *m = monitors; m->name; m++)
		if (!strcmp(m->name, name))
			return m->wanted = true;
	return false;
}

static int list(void)
{
	const struct scene *scene;

	puts("Monitors:");
	for (const struct monitor *m = monitors; m->name; m++)
		printf("  %-18s %s\n", m->name, m->text);
	puts("\nChanges, races and sequences:");
	for (unsigned int i = 0; (scene = scene_at(i)); i++)
		printf("  %-18s %s\n", scene->name, scene->text);
	return EXIT_DONE;
}

/* Negative: go on. */
static int take_option(struct chosen *c, int option)
{
	switch (option) {
	case 'm':
		c->some = true;
		return want(optarg) ? -1 : bad("no monitor", optarg);
	case 's':
		c->demo.only = optarg;
		return scene_named(optarg) ? -1 : bad("no scene", optarg);
	case 'r':
		return number(optarg, 1, 1000000, &c->demo.races) ? -1 : bad("races", optarg);
	case OPTION_LIMIT:
		return number(optarg, 100, 600000, &c->demo.limit_ms) ? -1 : bad("limit", optarg);
	case OPTION_PRELOAD:
		c->demo.preload = optarg;
		return -1;
	case OPTION_ALL:
		c->all = true;
		/* fall through */
	case OPTION_SEQUENCES:
		c->demo.kinds |= SCENE_SEQUENCE;
		return -1;
	case 'j':
		c->json = true;
		return -1;
	case OPTION_MARKDOWN:
		c->markdown = c->demo.nobody = true;
		c->demo.kinds |= SCENE_SEQUENCE | SCENE_HIT;
		return -1;
	case OPTION_LIST:
		return list();
	case 'v':
		c->demo.verbose = true;
		return -1;
	case 'h':
		fputs(usage, stdout);
		return EXIT_DONE;
	}
	return EXIT_INPUT;
}

int main(int argc, char **argv)
{
	struct chosen c = { .demo = { .races = RACES,
				      .limit_ms = 3000,
				      .kinds = SCENE_ROW | SCENE_RACE | SCENE_COST } };
	int option, status = -1;

	while (status < 0 && (option = getopt_long(argc, argv, "m:s:r:jvh", options, NULL)) != -1)
		status = take_option(&c, option);
	if (status >= 0)
		return status;
	if (optind < argc)
		return bad("no argument", argv[optind]);
	for (struct monitor *m = monitors; m->name && !c.some; m++)
		m->wanted = m->optional ? (c.all || c.markdown) && demo_has(m)
					: c.all || c.markdown || strcmp(m->name, "hmm-strict") != 0;
	c.demo.nobody &= !geteuid();
	demo_run(&c.demo);
	if (c.json)
		show_json(stdout);
	else if (c.markdown)
		show_markdown(stdout, &c.demo);
	else
		show_table(stdout, &c.demo);
	if (demo_findings())
		return EXIT_FINDING;
	return c.all && demo_unlinked() ? EXIT_HOST : EXIT_DONE;
}
