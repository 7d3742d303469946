// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Rows of figures: verdicts, Markdown, records. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../json.h"
#include "../term.h"
#include "bench.h"

double bench_ratio(const struct bench_row *row)
{
	return row->baseline > 0 ? row->value / row->baseline : NAN;
}

static bool reached(const struct bench_row *row)
{
	double ratio = bench_ratio(row);

	if (row->sense == BENCH_HIGHER)
		return ratio >= row->target;
	if (row->counts && row->sleeps > row->sleeps_target)
		return false;
	if (row->absolute)
		return row->value <= row->target;
	return ratio <= row->target || (row->slack > 0 && row->value - row->baseline <= row->slack);
}

/* A target that is reached is reached, however busy the machine is. */
enum bench_verdict bench_judge(const struct bench_row *row)
{
	if (isnan(row->value))
		return BENCH_UNKNOWN;
	if (reached(row))
		return BENCH_YES;
	if (row->counts)
		return BENCH_NO;
	if (row->machine.cpus < row->cpus)
		return BENCH_SMALL;
	return machine_is_busy(&row->machine) ? BENCH_BUSY : BENCH_NO;
}

static const char *const verdicts[] = {
	[BENCH_YES] = "yes",     [BENCH_NO] = "no",           [BENCH_BUSY] = "busy",
	[BENCH_SMALL] = "small", [BENCH_UNKNOWN] = "unknown",
};

/*
 * ---- records
 * --------------------------------------------------------------------------------------
 */

/* Neither true nor false where nothing can be said. */
static void put_verdict(struct json_object *o, enum bench_verdict verdict)
{
	if (verdict <= BENCH_NO)
		put_bool(o, "ok", verdict == BENCH_YES);
	else
		json_object_object_add(o, "ok", NULL);
	put_text(o, "verdict", verdicts[verdict]);
}

static void put_machine(struct json_object *o, const struct machine *m)
{
	struct json_object *machine = json_object_new_object();

	put_real(machine, "cpus", m->cpus);
	put_real(machine, "others", m->others);
	put_real(machine, "stolen", m->stolen);
	put_real(machine, "load", m->load);
	put_number(machine, "runnable", (int64_t)m->runnable);
	json_object_object_add(o, "machine", machine);
}

int bench_print_json(const struct bench *b)
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
		if (row->counts) {
			put_real(o, "sleeps", row->sleeps);
			put_real(o, "sleeps_baseline", row->sleeps_baseline);
			put_real(o, "sleeps_target", row->sleeps_target);
		}
		put_verdict(o, bench_judge(row));
		put_machine(o, &row->machine);
		if (*row->note)
			put_text(o, "note", row->note);
		json_object_array_add(list, o);
	}
	return json_print(list);
}

/*
 * ---- Markdown
 * ---------------------------------------------------------------------------------------
 */

static void number(char *text, double value)
{
	if (isnan(value))
		snprintf(text, WORDS, "-");
	else
		snprintf(text, WORDS, value < 10 ? "%.2f" : value < 1000 ? "%.1f" : "%.0f", value);
}

/* Behind the target: the verdict, and why there is none. */
static void print_verdict(const struct bench_row *row)
{
	static const enum colour colours[] = { GREEN, RED, YELLOW, YELLOW, YELLOW };
	const enum bench_verdict verdict = bench_judge(row);
	char why[128] = "";

	if (verdict == BENCH_BUSY)
		machine_describe(&row->machine, why, sizeof(why));
	else if (verdict == BENCH_SMALL)
		snprintf(why, sizeof(why), "needs %u CPUs, may use %.3g", row->cpus,
			 row->machine.cpus);
	printf("%s%-7s%s | %s%s%s |\n", colour(stdout, colours[verdict]),
	       verdict == BENCH_NO ? "NO" : verdicts[verdict], colour(stdout, PLAIN), row->note,
	       *why ? "; " : "", why);
}

static void print_time(const struct bench_row *row)
{
	char value[WORDS], baseline[WORDS], ratio[WORDS], target[WORDS + 32];

	number(value, row->value);
	number(baseline, row->baseline);
	number(ratio, bench_ratio(row));
	snprintf(target, sizeof(target), "%s %.4g%s",
		 row->sense == BENCH_HIGHER ? glyph("\u2265", ">=") : glyph("\u2264", "<="),
		 row->target, row->absolute ? row->unit : "x");
	if (row->slack > 0)
		snprintf(target + strlen(target), WORDS, " or +%.4g", row->slack);
	printf("| %-36s | %-9s | %9s | %9s | %5s | %-14s | ", row->name, row->unit, value, baseline,
	       ratio, target);
	print_verdict(row);
}

static void count(char *text, double value)
{
	if (isnan(value))
		snprintf(text, WORDS, "-");
	else
		snprintf(text, WORDS, "%.0f", value);
}

static void print_counts(const struct bench_row *row)
{
	const char *most = glyph("\u2264", "<=");
	char calls[WORDS], bare[WORDS], sleeps[WORDS], bare_sleeps[WORDS];

	count(calls, row->value);
	count(bare, row->baseline);
	count(sleeps, row->sleeps);
	count(bare_sleeps, row->sleeps_baseline);
	printf("| %-36s | %5s | %4s | %s %4.3g | %6s | %4s | %s %4.3g | ", row->name, calls, bare,
	       most, row->target, sleeps, bare_sleeps, most, row->sleeps_target);
	print_verdict(row);
}

static void print_header(bool counts)
{
	if (counts)
		printf("| %-36s | calls | bare | target | sleeps | bare | target | ok      | note "
		       "|\n"
		       "| ------------------------------------ | ----- | ---- | ------ | ------ | "
		       "---- "
		       "| ------ | ------- | ---- |\n",
		       "operation");
	else
		printf("| %-36s | %-9s | %9s | %9s | ratio | %-14s | ok      | note |\n"
		       "| ------------------------------------ | --------- | --------- | --------- "
		       "| ----- | -------------- | ------- | ---- |\n",
		       "figure", "unit", "value", "baseline", "target");
}

void bench_print_rows(const struct bench *b, size_t first)
{
	for (size_t i = first; i < b->n; i++) {
		const struct bench_row *row = &b->rows[i];

		if (i && b->rows[i - 1].counts != row->counts)
			printf("\n");
		if (!i || b->rows[i - 1].counts != row->counts)
			print_header(row->counts);
		if (row->counts)
			print_counts(row);
		else
			print_time(row);
	}
	fflush(stdout);
}
