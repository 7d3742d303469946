// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm bench: which figures, and how they are shown. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../command.h"
#include "../json.h"
#include "../options.h"
#include "../suggest.h"
#include "../term.h"
#include "bench.h"

static const struct bench_group groups[] = {
	{ "calls", bench_calls },
	{ "snapshot", bench_snapshot }, { "fault-in", bench_fault_in },
	{ "munmap", bench_munmap },     { "valid", bench_valid },
	{ "lookup", bench_lookup },     { "device-fault", bench_device_fault },
	{ "checksum", bench_checksum }, { "disturbed", bench_disturbed },
};

#define N_GROUPS (sizeof(groups) / sizeof(groups[0]))

void bench_add(struct bench *b, const struct bench_row *row)
{
	struct bench_row *more = reallocarray(b->rows, b->n + 1, sizeof(*more));

	if (!more) {
		b->failed = true;
		return;
	}
	b->rows = more;
	b->rows[b->n++] = *row;
}

double bench_ratio(const struct bench_row *row)
{
	return row->baseline > 0 ? row->value / row->baseline : NAN;
}

bool bench_ok(const struct bench_row *row)
{
	double ratio = bench_ratio(row);

	if (row->sense == BENCH_HIGHER)
		return ratio >= row->target;
	if (row->absolute)
		return row->value <= row->target;
	return ratio <= row->target || (row->slack > 0 && row->value - row->baseline <= row->slack);
}

static int print_json(const struct bench *b)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < b->n; i++) {
		const struct bench_row *row = &b->rows[i];
		struct json_object *o = json_object_new_object();

		put_text(o, "name", row->name);
		put_text(o, "unit", row->unit);
		put_real(o, "value", row->value);
		put_real(o, "baseline", row->baseline);
		put_real(o, "ratio", bench_ratio(row));
		put_real(o, "target", row->target);
		put_text(o, "target_of", row->absolute ? "value" : "ratio");
		put_text(o, "better", row->sense == BENCH_HIGHER ? "higher" : "lower");
		put_bool(o, "ok", bench_ok(row));
		if (*row->note)
			put_text(o, "note", row->note);
		json_object_array_add(list, o);
	}
	return json_print(list);
}

static void number(char *text, double value)
{
	snprintf(text, WORDS, value < 10 ? "%.2f" : value < 1000 ? "%.1f" : "%.0f", value);
}

static void print_row(const struct bench_row *row)
{
	char value[WORDS], baseline[WORDS], target[WORDS + 32];
	bool ok = bench_ok(row);

	number(value, row->value);
	number(baseline, row->baseline);
	snprintf(target, sizeof(target), "%s %.4g%s",
		 row->sense == BENCH_HIGHER ? glyph("\u2265", ">=") : glyph("\u2264", "<="),
		 row->target, row->absolute ? row->unit : "x");
	if (row->slack > 0)
		snprintf(target + strlen(target), WORDS, " or +%.4g", row->slack);
	printf("| %-36s | %-9s | %9s | %9s | %5.2f | %-14s | %s%-3s%s | %s |\n", row->name,
	       row->unit, value, baseline, bench_ratio(row), target,
	       colour(stdout, ok ? GREEN : RED), ok ? "yes" : "NO", colour(stdout, PLAIN),
	       row->note);
	fflush(stdout);
}

/* A group by its name, or by that of one of its figures. */
static bool names_group(const char *name, const char *group)
{
	size_t length = strlen(group);

	return !strncmp(group, name, length) && (!name[length] || name[length] == '-');
}

static bool wanted(const char *group, int n, char **names)
{
	for (int i = 0; i < n; i++)
		if (names_group(names[i], group))
			return true;
	return !n;
}

static int run_group(struct bench *b, const struct bench_group *group, bool json)
{
	size_t before = b->n;
	int ret = group->run(b);

	for (size_t i = before; i < b->n && !json; i++)
		print_row(&b->rows[i]);
	if (ret == -EOPNOTSUPP)
		return complain(EXIT_DONE, "%s: this host lacks the feature", group->name);
	if (ret == -EPERM || ret == -ENOSYS)
		return complain_attach(ret);
	if (ret || b->failed)
		return complain(EXIT_FAILED, "%s: %s", group->name, strerror(ret ? -ret : ENOMEM));
	return EXIT_DONE;
}

static int check_names(int n, char **names)
{
	for (int i = 0; i < n; i++) {
		struct suggestion near = suggest(names[i]);
		char text[64];
		size_t g = 0;

		for (; g < N_GROUPS && !names_group(names[i], groups[g].name); g++)
			suggest_one(&near, groups[g].name);
		if (g == N_GROUPS)
			return complain(EXIT_INPUT, "no figure '%s'%s; see 'hmm bench --help'",
					names[i], did_you_mean(text, &near, ""));
	}
	return EXIT_DONE;
}

/* A host that lacks a feature lacks a figure; one that cannot attach has none. */
static int check_host(void)
{
	struct hmm_mm *mm = NULL;
	int ret = hmm_mm_attach(NULL, &mm);

	hmm_mm_detach(mm);
	return ret ? complain_attach(ret) : EXIT_DONE;
}

int cmd_bench(int argc, char **argv)
{
	uint64_t rounds = 7;
	bool json = false;
	const struct option_row rows[] = {
		{ "json", 'j', OPTION_FLAG, NULL, "one array of records", &json },
		{ "rounds", 'r', OPTION_NUMBER, "N", "measure each side so many times (7)", &rounds,
		  1, 1000 },
		{ NULL },
	};
	const struct option_table table = {
		"[OPTION]... [NAME]...",
		"Measures each figure beside its baseline, in turn, and shows medians", rows,
		"Figures: snapshot, fault-in, munmap, valid, lookup, device-fault, checksum, "
		"disturbed.\n"
		"The exit status is 0 whether or not the targets are reached.\n"
	};
	struct bench b = { 0 };
	int status, first = options_parse(&table, argc, argv, &status);

	if (first == OPTIONS_EXIT)
		return status;
	argc -= first;
	argv += first;
	status = check_names(argc, argv);
	if (!status)
		status = check_host();
	if (status)
		return status;
	b.rounds = (unsigned int)rounds;
	if (!json)
		printf("| %-36s | %-9s | %9s | %9s | ratio | %-14s | ok  | note |\n"
		       "| ------------------------------------ | --------- | --------- | --------- "
		       "| ----- | "
		       "-------------- | --- | ---- |\n",
		       "figure", "unit", "value", "baseline", "target");
	for (size_t i = 0; i < N_GROUPS && status == EXIT_DONE; i++)
		if (wanted(groups[i].name, argc, argv))
			status = run_group(&b, &groups[i], json);
	if (json && status == EXIT_DONE)
		status = print_json(&b);
	free(b.rows);
	return status;
}
