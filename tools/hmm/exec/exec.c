// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm exec: options, the program, the report. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <hmm/hmm.h>

#include "../child.h"
#include "../attach.h"
#include "../command.h"
#include "../object.h"
#include "../options.h"
#include "../program.h"
#include "../suggest.h"
#include "exec.h"

static const char *const monitors[] = { "auto", "ofi", "ucx", "none" };

#define N_NAMES (sizeof(monitors) / sizeof(monitors[0]))

static bool is_monitor(const char *name)
{
	for (size_t i = 0; i < N_NAMES; i++)
		if (!strcmp(monitors[i], name))
			return true;
	return false;
}

static int check_monitor(const char *name)
{
	struct suggestion near = suggest(name);
	char text[64];

	if (is_monitor(name))
		return 0;
	for (size_t i = 0; i < N_NAMES; i++)
		suggest_one(&near, monitors[i]);
	return complain(EXIT_INPUT, "no monitor '%s'%s; there are auto, ofi, ucx and none", name,
			did_you_mean(text, &near, ""));
}

/* Which of them, if --monitor does not say: what the caller's environment says. */
static const char *monitor_by_default(void)
{
	const char *name = getenv("LIBHMM_MONITOR");

	return name && is_monitor(name) ? name : "auto";
}

/* The monitors that are asked for are there. 0 or an exit status. */
static int find_modules(struct run *r)
{
	static const struct module modules[N_MONITORS] = {
		[MONITOR_OFI] = { .monitor = "ofi",
				  .library = "libfabric",
				  .file = "libhmm-ofi.so" },
		[MONITOR_UCX] = { .monitor = "ucx", .library = "UCX", .file = "libhmm-ucx.so" },
	};
	const struct module *missing = NULL;
	bool found = false;

	memcpy(r->modules, modules, sizeof(modules));
	for (int i = 0; i < N_MONITORS; i++) {
		struct module *m = &r->modules[i];

		object_find("/monitor", m->file, m->path);
		m->wanted = !strcmp(r->monitor, "auto") || !strcmp(r->monitor, m->monitor);
		if (m->wanted && !*m->path)
			missing = m;
		found = found || (m->wanted && *m->path);
	}
	if (found || !missing)
		return 0;
	return complain(EXIT_HOST, "%s is not installed: neither beside this command nor in %s",
			missing->file, HMM_LIBDIR);
}

/* A monitor attaches to the program's address space as the library does here. */
static int attach_error(void)
{
	struct hmm_mm *mm = NULL;
	int ret = space_attach(&mm);

	hmm_mm_detach(mm);
	return ret;
}

/* What the program is to have; where nothing can serve it, nothing is changed. */
static int prepare(struct run *r, bool json)
{
	int ret = counters_open(&r->counters);

	if (ret)
		return complain(EXIT_FAILED, "no memory for the counters: %s", strerror(-ret));
	if (!strcmp(r->monitor, "none"))
		return 0;
	r->attach_error = attach_error();
	r->not_preloaded = program_ignores_preload(r->path);
	if (!r->attach_error)
		return set_environment(r);
	/* Now, and not when a program that takes hours has ended. */
	if (!json)
		complain_attach(r->attach_error);
	return 0;
}

static int run(struct run *r, char **argv)
{
	struct child child;
	int ret = child_start(&child, r->path, argv);

	if (!ret)
		ret = child_executed(&child);
	if (ret)
		return program_not_executed(argv[0], ret);
	child_wait(&child);
	r->status = child.status;
	return 0;
}

/* The program's status unless that is 0 and the report could not be written. */
static int report(const struct run *r, char **argv, bool json, FILE *to, const char *output)
{
	const int status = status_in_shell(r->status);
	bool failed;

	if (json)
		report_json(r, argv, to);
	else
		report_text(r, to);
	failed = fflush(to) || ferror(to);
	if (failed && output)
		complain(EXIT_FAILED, "cannot write '%s': %s", output, strerror(errno));
	return failed && !status ? EXIT_FAILED : status;
}

static int exec_program(struct run *r, char **argv, bool json, const char *output)
{
	FILE *to = output ? fopen(output, "we") : stderr;
	int status =
		to ? 0 : complain(EXIT_INPUT, "cannot write '%s': %s", output, strerror(errno));

	if (!status)
		status = program_resolve(argv[0], r->path);
	if (!status)
		status = find_modules(r);
	if (!status)
		status = prepare(r, json);
	if (!status)
		status = run(r, argv);
	if (!status)
		status = report(r, argv, json, to, output);
	if (to && output)
		fclose(to);
	counters_close(&r->counters);
	return status;
}

int cmd_exec(int argc, char **argv)
{
	static struct run r;
	const char *output = NULL;
	bool json = false;
	const struct option_row rows[] = {
		{ "monitor", 'm', OPTION_STRING, "NAME",
		  "which caches are watched: ofi, ucx, auto or none (auto)", &r.monitor },
		{ "json", 'j', OPTION_FLAG, NULL, "report one JSON object", &json },
		{ "output", 'o', OPTION_STRING, "FILE", "write the report to FILE, not to stderr",
		  &output },
		PROVIDER_ROW,
		{ NULL },
	};
	const struct option_table table = {
		.synopsis = "[OPTION]... [--] PROGRAM [ARGUMENT]...",
		.summary = "Runs a program whose registration caches cannot be stale, and tells "
			   "what happened",
		.rows = rows,
		.more = "Monitors:\n"
			"  ofi   the caches of libfabric\n"
			"  ucx   the caches of UCX\n"
			"  auto  both\n"
			"  none  nothing is preloaded: the program as it is\n"
			"The exit status is the program's; 126 it cannot be executed, 127 there is "
			"none.\n",
		.operands_last = true,
	};
	int status, first;

	r.monitor = monitor_by_default();
	first = options_parse(&table, argc, argv, &status);
	if (first == OPTIONS_EXIT)
		return status;
	if (first == argc)
		return complain(EXIT_INPUT, "which PROGRAM?");
	status = check_monitor(r.monitor);
	return status ? status : exec_program(&r, argv + first, json, output);
}
