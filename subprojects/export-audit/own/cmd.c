// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* export-audit own: a user-space library with a linker map. */
#include "own/cmd.h"
#include "base/clean.h"
#include "base/complain.h"
#include "own/own.h"
#include "report/results.h"

#include <errno.h>
#include <getopt.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

static const char options[] =
	"  --map=FILE           linker version script of the library\n"
	"  --root=DIR           tree with the library and its consumers; default .\n"
	"  --headers=DIR        public headers, below the root; default include\n"
	"  --library=DIR        sources linked into the library, below the root; may be repeated;\n"
	"                       default: the map's folder, and whatever defines its symbols\n"
	"  --consumers=DIR      another tree, all of whose files are consumers; may be repeated\n"
	"  --release=NODE       judge the symbols of this node only\n"
	"  --experimental=TEXT  nodes with TEXT in their name are experimental; default "
	"EXPERIMENTAL\n"
	"  --pending=FILE       symbols, one a line with the reason after it, whose findings are "
	"known\n"
	"                       and do not count; 'done' is said of one without a finding\n"
	"  --all                list the symbols without a finding too\n"
	"  --json\n"
	"  --gcc                one line a finding: file:line: error: ...\n"
	"  --sarif=FILE         write SARIF there too\n"
	"  --help\n";

#define FOLDERS 32

struct own_options {
	struct own_request q;
	const char *library[FOLDERS], *consumers[FOLDERS];
	struct result_options results;
	bool all, json, help;
};

static const struct option longs[] = {
	{ "map", 1, NULL, 'm' },          { "root", 1, NULL, 'r' },    { "headers", 1, NULL, 'H' },
	{ "library", 1, NULL, 'L' },      { "release", 1, NULL, 'R' }, { "pending", 1, NULL, 'p' },
	{ "experimental", 1, NULL, 'x' }, { "all", 0, NULL, 'a' },     { "json", 0, NULL, 'j' },
	{ "consumers", 1, NULL, 'c' },    { "help", 0, NULL, 'h' },    { "gcc", 0, NULL, OPT_GCC },
	{ "sarif", 1, NULL, OPT_SARIF },  { NULL, 0, NULL, 0 },
};

static int parse(int argc, char **argv, struct own_options *p)
{
	struct own_request *q = &p->q;
	int c;

	*p = (struct own_options){
		.q = { .root = ".", .headers = "include", .experimental = "EXPERIMENTAL" }
	};
	q->library = p->library;
	q->consumers = p->consumers;
	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		switch (c) {
		case 'm':
			q->map = optarg;
			break;
		case 'r':
			q->root = optarg;
			break;
		case 'H':
			q->headers = optarg;
			break;
		case 'R':
			q->release = optarg;
			break;
		case 'x':
			q->experimental = optarg;
			break;
		case 'p':
			q->pending = optarg;
			break;
		case 'a':
			p->all = true;
			break;
		case 'j':
			p->json = true;
			break;
		case 'h':
			p->help = true;
			return 0;
		case 'L':
			if (q->n_library == FOLDERS)
				return complain("--library can be given %d times", FOLDERS);
			p->library[q->n_library++] = optarg;
			break;
		case 'c':
			if (q->n_consumers == FOLDERS)
				return complain("--consumers can be given %d times", FOLDERS);
			p->consumers[q->n_consumers++] = optarg;
			break;
		case ':':
			return complain("%s needs a value", argv[optind - 1]);
		default:
			if (result_option(&p->results, c, optarg))
				break;
			return complain("no option '%s'; see export-audit own --help",
					argv[optind - 1]);
		}
	}
	if (optind != argc)
		return complain("own takes no '%s'", argv[optind]);
	return q->map ? 0 : complain("own needs --map");
}

static const char *state(const struct own_symbol *s)
{
	if (s->pending)
		return s->finding ? "pending" : "done";
	return s->finding ? "finding" : "ok";
}

static void print_table(const struct own *o, bool all)
{
	uint32_t in_map = 0;

	for (uint32_t i = 0; i < o->n_symbols; i++) {
		const struct own_symbol *s = &o->symbols[i];
		uint32_t programs = VEC_N(&s->users[USER_PROGRAM], uint32_t);

		in_map += s->in_map;
		if (!s->finding && !s->pending && !all)
			continue;
		printf("%-7s %-24s %-36s ", state(s), *s->node ? s->node : "-", s->name);
		if (s->finding && !s->in_map)
			printf("%s (%s:%u)\n", s->finding, s->header, s->line);
		else if (s->finding)
			puts(s->finding);
		else if (programs)
			printf("%u file%s, %s\n", programs, programs > 1 ? "s" : "",
			       o->files[VEC_AT(&s->users[USER_PROGRAM], uint32_t, 0)].path);
		else if (s->users[USER_EXAMPLE].n)
			printf("example %s\n",
			       o->files[VEC_AT(&s->users[USER_EXAMPLE], uint32_t, 0)].path);
		else
			puts("not judged");
	}
	printf("%u symbols in the map, %u findings\n", in_map, o->n_findings);
	if (o->n_unjudged)
		printf("%u C++ names and patterns of the map are not judged\n", o->n_unjudged);
}

static struct json_object *text(const char *s)
{
	char clean[4096];

	if (!s)
		return NULL;
	clean_text(s, clean, sizeof(clean));
	return json_object_new_string(clean);
}

/* All nodes that list the symbol: it may have versions. */
static struct json_object *nodes(const struct own *o, const struct own_symbol *s)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < o->map.n; i++)
		if (!o->map.symbols[i].local && !strcmp(o->map.symbols[i].name, s->name))
			json_object_array_add(list, text(o->map.symbols[i].node));
	return list;
}

static void print_json(const struct own *o)
{
	static const char *const names[USERS] = { "library", "tests", "examples", "consumers" };
	struct json_object *root = json_object_new_object(), *list = json_object_new_array();

	for (uint32_t i = 0; i < o->n_symbols; i++) {
		const struct own_symbol *s = &o->symbols[i];
		struct json_object *one = json_object_new_object();

		json_object_object_add(one, "name", text(s->name));
		json_object_object_add(one, "node", text(s->node));
		json_object_object_add(one, "nodes", nodes(o, s));
		json_object_object_add(one, "file", text(s->defined_in));
		json_object_object_add(one, "header", text(s->header));
		json_object_object_add(one, "verdict", text(state(s)));
		json_object_object_add(one, "reason", text(s->finding));
		for (int u = 0; u < USERS; u++) {
			struct json_object *files = json_object_new_array();

			for (uint32_t k = 0; k < VEC_N(&s->users[u], uint32_t); k++)
				json_object_array_add(
					files,
					text(o->files[VEC_AT(&s->users[u], uint32_t, k)].path));
			json_object_object_add(one, names[u], files);
		}
		json_object_array_add(list, one);
	}
	json_object_object_add(root, "symbols", list);
	json_object_object_add(root, "findings", json_object_new_int64(o->n_findings));
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
							  JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}

/* Findings are at the line of the map, or of the header. */
static int other_forms(const struct own *o, const struct own_options *p)
{
	struct results r = { 0 };
	int err = 0;

	for (uint32_t i = 0; !err && i < o->n_symbols; i++) {
		const struct own_symbol *s = &o->symbols[i];
		char header[4096];

		if (!s->finding || s->pending)
			continue;
		snprintf(header, sizeof(header), "%s%s%s", strcmp(p->q.root, ".") ? p->q.root : "",
			 strcmp(p->q.root, ".") ? "/" : "", s->header ? s->header : "");
		err = results_add(&r, "own", true, s->name, s->in_map ? p->q.map : header, s->line,
				  s->finding);
	}
	if (err)
		complain("out of memory");
	else
		err = results_write(&r, &p->results, NULL);
	results_free(&r);
	return err;
}

static int bad_map(const char *path, int err, uint32_t line)
{
	if (err == -EINVAL)
		return complain("%s:%u: not a linker version script", path, line);
	if (err == -EEXIST)
		return complain("%s:%u: a symbol for the second time in one node", path, line);
	return complain("cannot read %s: %s", path, strerror(-err));
}

/* A mistyped folder is an error: its files would count as consumers. */
static int libraries_exist(const struct own_request *q)
{
	char path[4096];

	for (uint32_t i = 0; i < q->n_library; i++) {
		snprintf(path, sizeof(path), "%s/%s", q->root, q->library[i]);
		if (access(path, R_OK | X_OK))
			return complain("cannot read the library's sources in %s: %s", path,
					strerror(errno));
	}
	return 0;
}

static int release_exists(const struct own *o, const char *release)
{
	for (size_t i = 0; i < o->map.n; i++)
		if (!release || !strcmp(o->map.symbols[i].node, release))
			return 0;
	return release ? complain("the map has no symbols in node '%s'", release) : 0;
}

static int read_pending(const char *path, char **out)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;
	ssize_t got;

	if (!f)
		return -errno;
	errno = 0;
	got = getdelim(out, &n, 0, f);
	fclose(f);
	return got < 0 && errno ? -errno : 0;
}

static int own(const struct own_options *p)
{
	struct own o = { 0 };
	uint32_t line;
	int err = map_read(p->q.map, &o.map, &line), status = EXIT_BROKEN;
	const char *failed;
	char path[4096];

	if (err)
		return bad_map(p->q.map, err, line);
	snprintf(path, sizeof(path), "%s/%s", p->q.root, p->q.headers);
	err = own_read(&p->q, &o, &failed);
	if (!err && p->q.pending) {
		failed = p->q.pending;
		err = read_pending(failed, &o.pending);
	}
	if (err) {
		complain("cannot read %s: %s", failed, strerror(-err));
	} else if (access(path, R_OK | X_OK)) {
		complain("cannot read the public headers in %s: %s", path, strerror(errno));
	} else if (!libraries_exist(&p->q) && !release_exists(&o, p->q.release)) {
		err = own_judge(&p->q, &o);
		if (err)
			complain("%s", strerror(-err));
		else if ((err = other_forms(&o, p)) || results_only(&p->results))
			;
		else if (p->json)
			print_json(&o);
		else
			print_table(&o, p->all);
		status = err ? EXIT_BROKEN : o.n_findings ? EXIT_FINDINGS : EXIT_CLEAN;
		if (!err && fflush(stdout))
			status = complain("cannot write the result");
	}
	own_fini(&o);
	return status;
}

int cmd_own(const struct command *self, int argc, char **argv)
{
	struct own_options p;
	int err = parse(argc, argv, &p);

	if (err)
		return err;
	return p.help ? command_usage(self, options) : own(&p);
}
