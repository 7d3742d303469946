// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The report of a run, as text and as JSON. */
#include <stdio.h>
#include <json-c/json.h>
#include "../attach.h"
#include "bystander.h"
#include "ops.h"
#include "story.h"

/*
 * The columns of the report. Each is a window of the protocol that is held open at one or more
 * points.
 */
static const struct {
	const char *name;
	enum window first, last;
} columns[] = {
	{ "changed", WINDOW_CHANGED, WINDOW_CHANGED },
	{ "queued", WINDOW_POLLED, WINDOW_QUIESCED },
	{ "read", WINDOW_READ, WINDOW_INVALIDATED },
	{ "resumed", WINDOW_RESUMED, WINDOW_RESUMED },
	{ "announced", WINDOW_ANNOUNCED, WINDOW_ANNOUNCED },
};
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

static uint64_t cell(const _Atomic uint64_t (*counts)[WINDOW_NR], unsigned int op,
		     unsigned int column)
{
	uint64_t sum = 0;
	unsigned int w;

	for (w = columns[column].first; w <= columns[column].last; w++)
		sum += atomic_load(&counts[op][w]);
	return sum;
}

/* There are several slots of a kind, and the report names a kind once. */
static bool excluded_here(const struct torture *t, unsigned int op, unsigned int slot)
{
	unsigned int i;

	if (t->policy[slot][op] != OP_EXCLUDED)
		return false;
	for (i = 0; i < slot; i++)
		if (t->slots[i].kind == t->slots[slot].kind && t->policy[i][op] == OP_EXCLUDED)
			return false;
	return true;
}

static double share(const struct torture *t)
{
	double a = (double)torture_accepted(t), r = (double)torture_refused(t);

	return a + r > 0 ? a / (a + r) : 0;
}

/* Why none of the column's windows can be held open; NULL: one can. */
static const char *why_not(const struct torture *t, unsigned int op, unsigned int column)
{
	const char *why = NULL;
	unsigned int w;

	for (w = columns[column].first; w <= columns[column].last; w++) {
		why = t->why_not[op][w];
		if (!why)
			break;
	}
	return why;
}

/* How many of the table's cells were held open; *possible: how many can be. */
static unsigned int cells_forced(const struct torture *t, unsigned int *possible)
{
	unsigned int i, j, n = 0;

	*possible = 0;
	for (i = 0; i < ops_count; i++)
		for (j = 0; j < COLUMNS; j++)
			if (!why_not(t, i, j)) {
				++*possible;
				n += cell(t->windows.forced, i, j) != 0;
			}
	return n;
}

static void print_windows(const struct torture *t)
{
	unsigned int i, j;

	printf("\n%-21s %8s   %s\n", "operation", "times", "windows held open, uses tried in them");
	printf("%-21s %8s", "", "");
	for (j = 0; j < COLUMNS; j++)
		printf(" %13s", columns[j].name);
	printf("\n");
	for (i = 0; i < ops_count; i++) {
		if (!atomic_load(&t->op_runs[i]))
			continue;
		printf("%-21s %8llu", ops_table[i].name,
		       (unsigned long long)atomic_load(&t->op_runs[i]));
		for (j = 0; j < COLUMNS; j++)
			if (why_not(t, i, j))
				printf(" %13s", "-");
			else
				printf(" %5llu %7llu",
				       (unsigned long long)cell(t->windows.forced, i, j),
				       (unsigned long long)cell(t->windows.in_window, i, j));
		printf("\n");
	}
}

static bool printed_before(const struct torture *t, const char *why, unsigned int op,
			   unsigned int column)
{
	unsigned int i, j;

	for (i = 0; i <= op; i++)
		for (j = 0; j < (i < op ? COLUMNS : column); j++)
			if (atomic_load(&t->op_runs[i]) && why_not(t, i, j) == why)
				return true;
	return false;
}

/* Prints each reason once, with the windows and operations that it is about. */
static void print_why_not(const struct torture *t)
{
	unsigned int i, j, k, l, n;

	for (i = 0; i < ops_count; i++)
		for (j = 0; j < COLUMNS; j++) {
			const char *why = why_not(t, i, j);

			if (!why || !atomic_load(&t->op_runs[i]) || printed_before(t, why, i, j))
				continue;
			printf("- (");
			for (n = 0, l = 0; l < COLUMNS; l++)
				for (k = 0; k < ops_count; k++)
					if (atomic_load(&t->op_runs[k]) &&
					    why_not(t, k, l) == why) {
						printf("%s%s", n++ ? ", " : "", columns[l].name);
						break;
					}
			printf(") %s:", why);
			for (n = 0, k = 0; k < ops_count; k++)
				for (l = 0; l < COLUMNS; l++)
					if (atomic_load(&t->op_runs[k]) &&
					    why_not(t, k, l) == why) {
						printf("%s %s", n++ ? "," : "", ops_table[k].name);
						break;
					}
			printf("\n");
		}
}

static void print_excluded(const struct torture *t)
{
	unsigned int i, j, n = 0;

	for (i = 0; i < ops_count; i++)
		for (j = 0; j < t->nslots_ran; j++)
			if (excluded_here(t, i, j))
				printf("%s %s on %s", n++ ? "," : "excluded, unseen on this host:",
				       ops_table[i].name, kind_name(t->slots[j].kind));
	if (n)
		printf("\n");
	for (i = 0; i < ops_count; i++)
		if (atomic_load(&t->op_unsupported[i]))
			printf("not supported by this kernel: %s (%llu of %llu)\n",
			       ops_table[i].name,
			       (unsigned long long)atomic_load(&t->op_unsupported[i]),
			       (unsigned long long)atomic_load(&t->op_runs[i]));
}

static void print_told(const struct torture *t)
{
	unsigned int i, n = 0;

	for (i = 0; i < ops_count; i++)
		if (atomic_load(&t->op_noted[i]))
			printf("%s %s %llu",
			       n++ ? "," : "told to the library, as no event shows it:",
			       ops_table[i].name, (unsigned long long)atomic_load(&t->op_noted[i]));
	if (n)
		printf("\n");
}

static const char *verdict(const struct torture *t)
{
	if (!findings_all() && t->interrupted)
		return "interrupted, nothing found so far";
	return torture_passed(t) ? "sound" : "UNSOUND";
}

void torture_report(const struct torture *t)
{
	unsigned long long faults = 0, transient = 0, sections = 0, writes = 0, errors = 0;
	unsigned int i, n, possible;
	uint64_t times;
	char line[160];

	for (i = 0; i < USERS; i++) {
		faults += atomic_load(&t->counts[i].faults);
		errors += atomic_load(&t->counts[i].fault_errors);
		transient += atomic_load(&t->counts[i].transient);
		sections += atomic_load(&t->counts[i].sections);
		writes += atomic_load(&t->counts[i].writes);
	}
	print_windows(t);
	print_why_not(t);
	printf("\n");
	print_excluded(t);
	print_told(t);
	if (!t->pins)
		printf("io_uring is not available: anonymous memory is held by reference only\n");
	printf("device faults %llu (%llu collided or refused), transient %llu, sections %llu, "
	       "writes %llu\n",
	       faults, errors, transient, sections, writes);
	printf("uses through a pin %llu, a reference %llu, an alias %llu\n",
	       (unsigned long long)atomic_load(&t->method_uses[0]),
	       (unsigned long long)atomic_load(&t->method_uses[1]),
	       (unsigned long long)atomic_load(&t->method_uses[2]));
	printf("pump cycles %llu, callbacks %llu, probes %llu (%llu busy), overruns %llu, watchdog "
	       "%llu\n",
	       (unsigned long long)t->stats.pump_cycles, (unsigned long long)t->stats.callbacks,
	       (unsigned long long)t->stats.probes, (unsigned long long)t->stats.probes_busy,
	       (unsigned long long)t->stats.overruns, (unsigned long long)t->stats.watchdog_reads);
	printf("discards pending %llu, settled by proof %llu\n",
	       (unsigned long long)t->stats.discards_pending,
	       (unsigned long long)t->stats.discards_settled);
	for (i = 0; bystander_count(i, &times); i++)
		printf("%s%s %llu", i ? ", " : "beside that: ", bystander_count(i, &times),
		       (unsigned long long)times);
	printf("\n");
	n = cells_forced(t, &possible);
	printf("operation and window: %u of %u held open at least once; the drill took %.1f s\n", n,
	       possible, t->drill_seconds);
	for (i = 0; finding_text(i); i++)
		printf("FOUND %s\n", finding_text(i));
	for (i = 0; story_line(i, line, sizeof(line)); i++)
		printf("%s%s\n", i ? "" : "what happened to that memory before:\n", line);
	printf("%s: %llu hostile operations (%llu on pages that a device held), %llu accepted uses "
	       "(%.0f %% of all), %llu stale, %llu lost, %llu wrong in %.1f s; seed %llu\n",
	       verdict(t), (unsigned long long)atomic_load(&t->operations),
	       (unsigned long long)atomic_load(&t->operations_on_held),
	       (unsigned long long)torture_accepted(t), 100 * share(t),
	       (unsigned long long)findings_of(FINDING_STALE),
	       (unsigned long long)findings_of(FINDING_LOST),
	       (unsigned long long)findings_of(FINDING_WRONG), t->elapsed,
	       (unsigned long long)t->opt.seed);
	if (t->interrupted)
		return;
	if (!findings_all() && t->unfinished)
		printf("the time was over before there were %llu operations and as many accepted "
		       "uses\n",
		       LONG_TARGET);
	else if (!findings_all() && !torture_passed(t))
		printf("too few uses were accepted to prove anything (%.0f %% are needed)\n",
		       100 * ACCEPTED_SHARE);
}

static void add(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static struct json_object *json_operations(const struct torture *t)
{
	struct json_object *all = json_object_new_object();
	unsigned int i, j;

	for (i = 0; i < ops_count; i++) {
		struct json_object *o;

		if (!atomic_load(&t->op_runs[i]))
			continue;
		o = json_object_new_object();
		add(o, "times", atomic_load(&t->op_runs[i]));
		add(o, "told", atomic_load(&t->op_noted[i]));
		for (j = 0; j < COLUMNS; j++) {
			struct json_object *w = json_object_new_object();

			if (why_not(t, i, j)) {
				json_object_object_add(w, "cannot",
						       json_object_new_string(why_not(t, i, j)));
				json_object_object_add(o, columns[j].name, w);
				continue;
			}

			add(w, "held_open", cell(t->windows.forced, i, j));
			add(w, "uses", cell(t->windows.in_window, i, j));
			json_object_object_add(o, columns[j].name, w);
		}
		json_object_object_add(all, ops_table[i].name, o);
	}
	return all;
}

static struct json_object *json_bystander(void)
{
	struct json_object *all = json_object_new_object();
	const char *name;
	uint64_t times;

	for (unsigned int i = 0; (name = bystander_count(i, &times)); i++)
		add(all, name, times);
	return all;
}

void torture_report_json(const struct torture *t)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	struct json_object *excluded = json_object_new_array(), *told = json_object_new_array();
	char text[64], line[160];
	unsigned int i, j;

	for (i = 0; finding_text(i); i++)
		json_object_array_add(list, json_object_new_string(finding_text(i)));
	for (i = 0; story_line(i, line, sizeof(line)); i++)
		json_object_array_add(told, json_object_new_string(line));
	for (i = 0; i < ops_count; i++)
		for (j = 0; j < t->nslots_ran; j++)
			if (excluded_here(t, i, j)) {
				snprintf(text, sizeof(text), "%s on %s", ops_table[i].name,
					 kind_name(t->slots[j].kind));
				json_object_array_add(excluded, json_object_new_string(text));
			}
	add(o, "seed", t->opt.seed);
	json_object_object_add(o, "provider",
			       json_object_new_string(provider_name(attach_provider)));
	json_object_object_add(o, "seconds", json_object_new_double(t->elapsed));
	json_object_object_add(o, "mutation",
			       t->opt.mutation ? json_object_new_string(t->opt.mutation) : NULL);
	add(o, "operations", atomic_load(&t->operations));
	add(o, "operations_on_held", atomic_load(&t->operations_on_held));
	add(o, "accepted", torture_accepted(t));
	add(o, "refused", torture_refused(t));
	json_object_object_add(o, "accepted_share", json_object_new_double(share(t)));
	add(o, "stale_accesses", findings_of(FINDING_STALE));
	add(o, "lost_updates", findings_of(FINDING_LOST));
	add(o, "wrong_bytes", findings_of(FINDING_WRONG));
	add(o, "hangs", findings_of(FINDING_HANG));
	add(o, "leaks", findings_of(FINDING_LEAK));
	add(o, "errors", findings_of(FINDING_ERROR));
	add(o, "windows_forced", cells_forced(t, &i));
	add(o, "windows_possible", i);
	json_object_object_add(o, "drill_seconds", json_object_new_double(t->drill_seconds));
	json_object_object_add(o, "interrupted", json_object_new_boolean(t->interrupted));
	json_object_object_add(o, "passed", json_object_new_boolean(torture_passed(t)));
	json_object_object_add(o, "hostile", json_operations(t));
	json_object_object_add(o, "beside", json_bystander());
	json_object_object_add(o, "excluded", excluded);
	json_object_object_add(o, "findings", list);
	json_object_object_add(o, "story", told);
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	json_object_put(o);
}
