// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm bench: which figures, and how they are shown. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../attach.h"
#include "../command.h"
#include "../options.h"
#include "../suggest.h"
#include "bench.h"

#define MIB (1ULL << 20)

static const struct bench_group groups[] = {
	{ "calls", 64 * MIB, bench_calls },
	{ "snapshot", 1100 * MIB, bench_snapshot },
	{ "fault-in", 300 * MIB, bench_fault_in },
	{ "munmap", 64 * MIB, bench_munmap },
	{ "valid", 128 * MIB, bench_valid },
	{ "lookup", 64 * MIB, bench_lookup },
	{ "guarded", MIB, bench_guarded },
	{ "device-fault", 128 * MIB, bench_device_fault },
	{ "checksum", 1100 * MIB, bench_checksum },
	{ "disturbed", 300 * MIB, bench_disturbed },
	{ "regcache", 256 * MIB, bench_regcache },
	{ "peers", 64 * MIB, bench_peers },
	{ "migrate", 1100 * MIB, bench_migrate },
	{ "exact", 256 * MIB, bench_exact },
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

void bench_add_without_huge(struct bench *b, struct bench_row *row)
{
	row->value = row->baseline = NAN;
	snprintf(row->note, sizeof(row->note), "this host has no transparent huge pages to give");
	bench_add(b, row);
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

bool bench_wants(const struct bench *b, const char *figure)
{
	for (int i = 0; i < b->n_names; i++)
		if (names_group(figure, b->names[i]))
			return true;
	return !b->n_names;
}

static int run_group(struct bench *b, const struct bench_group *group, bool json)
{
	const uint64_t memory = machine_memory();
	struct machine_clock began;
	struct machine machine;
	size_t before = b->n;
	int ret;

	if (memory < group->memory)
		return complain(EXIT_DONE, "%s: needs %llu MiB of memory, %llu are free here",
				group->name, (unsigned long long)(group->memory / MIB),
				(unsigned long long)(memory / MIB));
	machine_begin(&began);
	ret = group->run(b);
	machine_end(&began, &machine);
	for (size_t i = before; i < b->n; i++)
		b->rows[i].machine = machine;
	if (!json)
		bench_print_rows(b, before);
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
	int ret = space_attach(&mm);

	hmm_mm_detach(mm);
	return ret ? complain_attach(ret) : EXIT_DONE;
}

static int make_dear(unsigned int instructions)
{
	int ret = bench_dear_calls(instructions);

	return ret ? complain(EXIT_HOST, "this host takes no filter of system calls: %s",
			      strerror(-ret))
		   : EXIT_DONE;
}

static int missed(const struct bench *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (bench_judge(&b->rows[i]) == BENCH_NO)
			return EXIT_FINDING;
	return EXIT_DONE;
}

int cmd_bench(int argc, char **argv)
{
	uint64_t rounds = 7, dear = 0;
	bool json = false, check = false;
	const struct option_row rows[] = {
		{ "check", 'c', OPTION_FLAG, NULL, "exit status 1 if a target is missed", &check },
		{ "dear-calls", 0, OPTION_NUMBER, "N",
		  "a filter of N instructions before each system call", &dear, 1, 30000 },
		{ "json", 'j', OPTION_FLAG, NULL, "one array of records", &json },
		{ "rounds", 'r', OPTION_NUMBER, "N", "measure each side so many times (7)", &rounds,
		  1, 1000 },
		PROVIDER_ROW,
		{ NULL },
	};
	const struct option_table table = {
		"[OPTION]... [NAME]...",
		"Measures each figure beside its baseline, in turn, and shows medians", rows,
		"Figures: calls, snapshot, fault-in, munmap, valid, lookup, guarded, "
		"device-fault,\n"
		"checksum, disturbed, regcache, peers, migrate, exact.\n"
		"A target that is missed is 'NO'; 'busy' where the machine did other things as "
		"well,\n"
		"'small' where it has too few CPUs for the figure. 'calls' counts and depends on "
		"neither.\n"
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
	if (!status && dear)
		status = make_dear((unsigned int)dear);
	if (status)
		return status;
	b.rounds = (unsigned int)rounds;
	b.n_names = argc;
	b.names = argv;
	for (size_t i = 0; i < N_GROUPS && status == EXIT_DONE; i++)
		if (wanted(groups[i].name, argc, argv))
			status = run_group(&b, &groups[i], json);
	if (json && status == EXIT_DONE)
		status = bench_print_json(&b);
	if (check && status == EXIT_DONE)
		status = missed(&b);
	free(b.rows);
	return status;
}
