// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../command.h"
#include "../json.h"
#include "../term.h"
#include "report.h"

#define NAME 16385 /* a path, every byte of it as \ooo */

/* Numbers of several files add up; anything else is only said of a single one. */
static void merge(struct json_object *sum, struct json_object *fields)
{
	json_object_object_foreach(fields, key, value)
	{
		struct json_object *before = NULL;

		json_object_object_get_ex(sum, key, &before);
		if (before && json_object_is_type(value, json_type_int))
			json_object_int_inc(before, json_object_get_int64(value));
		else if (before)
			json_object_object_del(sum, key);
		else
			json_object_object_add(
				sum, key,
				json_object_is_type(value, json_type_int)
					? json_object_new_int64(json_object_get_int64(value))
					: json_object_get(value));
	}
}

void report_file(struct report *report, const struct work *work, double seconds, double cpu_seconds,
		 int same)
{
	struct json_object *fields = json_object_new_object(), *file = json_object_new_object();
	char text[LINE] = "", size[WORDS], time[WORDS], name[NAME];

	report->job->result(work, fields, text);
	report->bytes += work->bytes;
	report->seconds += seconds;
	report->cpu_seconds += cpu_seconds;
	report->cpu_threads = work->cpu_threads;
	report->cpu_faults += work->cpu_faults;
	report->verified = report->verified && same;
	merge(report->fields, fields);
	put_name(file, "path", work->input->path);
	put_number(file, "bytes", (int64_t)work->bytes);
	put_real(file, "seconds", seconds);
	merge(file, fields);
	json_object_array_add(report->files, file);
	json_object_put(fields);
	if (report->options->json)
		return;
	printf("%s%s%s  %s  %s in %s%s\n", colour(stdout, BOLD), text, colour(stdout, PLAIN),
	       printable(name, sizeof(name), work->input->path), bytes_in_words(size, work->bytes),
	       seconds_in_words(time, seconds), same ? "" : "  NOT what the CPU gets");
}

static double rate(uint64_t bytes, double seconds)
{
	return seconds > 0 ? (double)bytes / seconds : NAN;
}

static struct json_object *region_json(const struct report *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *in_place = json_object_new_object();

	for (int i = 0; i < HMM_MIGRATE_REASON_NR; i++)
		put_number(in_place, hmm_migrate_reason_name(i), (int64_t)r->mirror.in_place[i]);
	put_number(o, "moved", (int64_t)r->mirror.migrated);
	put_number(o, "moved_huge", (int64_t)r->mirror.migrated_huge);
	put_number(o, "home", (int64_t)(r->region.moved_home / HMM_PAGE_SIZE));
	put_number(o, "touches", (int64_t)r->region.faults);
	put_number(o, "kept", (int64_t)r->mirror.kept);
	put_number(o, "gathered", (int64_t)r->mirror.gathered);
	json_object_object_add(o, "in_place", in_place);
	return o;
}

static int print_json(struct report *r)
{
	const struct hmm_device_stats *s = &r->stats;
	struct json_object *o = json_object_new_object();

	put_text(o, "job", r->job->name);
	put_text(o, "device", r->options->device);
	put_number(o, "engines", r->engines);
	put_number(o, "bytes", (int64_t)r->bytes);
	put_number(o, "device_faults", (int64_t)s->device_faults);
	put_number(o, "fault_batches", (int64_t)r->mirror.batches);
	put_number(o, "pages_4k", (int64_t)s->pages_4k);
	put_number(o, "pages_2m", (int64_t)s->pages_2m);
	put_number(o, "pages_1g", (int64_t)s->pages_1g);
	put_number(o, "held_4k", (int64_t)s->held_4k);
	put_number(o, "held_2m", (int64_t)s->held_2m);
	put_number(o, "held_1g", (int64_t)s->held_1g);
	put_number(o, "invalidations", (int64_t)s->invalidations);
	put_number(o, "retries", (int64_t)s->retries);
	put_number(o, "stale_accesses", (int64_t)s->stale_accesses);
	put_number(o, "range_faults", (int64_t)r->mirror.range_faults);
	put_number(o, "prefetched", (int64_t)r->mirror.prefetched);
	put_number(o, "upgrades", (int64_t)r->mirror.upgrades);
	put_number(o, "restores", (int64_t)r->mirror.restores);
	json_object_object_add(o, "device_memory", r->options->migrate ? region_json(r) : NULL);
	json_object_object_add(o, "map", r->options->map ? places_json(&r->places) : NULL);
	put_real(o, "seconds", r->seconds);
	put_real(o, "bytes_per_s", rate(r->bytes, r->seconds));
	put_real(o, "cpu_bytes_per_s", r->options->verify ? rate(r->bytes, r->cpu_seconds) : NAN);
	put_number(o, "cpu_threads", r->cpu_threads);
	put_number(o, "cpu_page_faults", (int64_t)r->cpu_faults);
	put_bool(o, "verified", r->options->verify && r->verified);
	merge(o, r->fields);
	json_object_object_add(o, "files", json_object_get(r->files));
	return json_print(o);
}

static void print_region(const struct report *r)
{
	bool any = r->mirror.kept;

	printf("  %-16s %" PRIu64 " pages moved there (%" PRIu64 " in huge ones), %" PRIu64
	       " home, %" PRIu64 " touches by the CPU\n",
	       "device memory", r->mirror.migrated, r->mirror.migrated_huge,
	       (uint64_t)(r->region.moved_home / HMM_PAGE_SIZE), r->region.faults);
	printf("  %-16s ", "used in place");
	if (any)
		printf("%" PRIu64 " that the CPU had just touched", r->mirror.kept);
	for (int i = 0; i < HMM_MIGRATE_REASON_NR; i++) {
		if (!r->mirror.in_place[i])
			continue;
		printf("%s%" PRIu64 " %s", any ? ", " : "", r->mirror.in_place[i],
		       hmm_migrate_reason_name(i));
		any = true;
	}
	printf("%s\n", any ? "" : "none");
}

static void print_table(const struct report *r)
{
	const struct hmm_device_stats *s = &r->stats;
	char text[WORDS], speed[WORDS];
	const char *bold = colour(stdout, BOLD), *plain = colour(stdout, PLAIN);

	printf("\n  %-16s %s, %u engine%s\n", "device", r->options->device, r->engines,
	       r->engines == 1 ? "" : "s");
	printf("  %-16s %s in %s%s%s = %s%s%s\n", "worked on", bytes_in_words(text, r->bytes), bold,
	       seconds_in_words((char[WORDS]){ 0 }, r->seconds), plain, bold,
	       rate_in_words(speed, rate(r->bytes, r->seconds)), plain);
	printf("  %-16s %" PRIu64 " in %" PRIu64 " batches, served by %" PRIu64 " walks; %" PRIu64
	       " chunks ahead of need\n",
	       "device faults", s->device_faults, r->mirror.batches, r->mirror.range_faults,
	       r->mirror.prefetched);
	printf("  %-16s %" PRIu64 " of 4K, %" PRIu64 " of 2M", "entries", s->pages_4k, s->pages_2m);
	if (s->pages_1g)
		printf(", %" PRIu64 " of 1G", s->pages_1g);
	printf("; held at the end: %" PRIu64 ", %" PRIu64, s->held_4k, s->held_2m);
	printf("\n  %-16s %" PRIu64 ", %" PRIu64 " commits tried again\n", "invalidations",
	       s->invalidations, s->retries);
	if (r->options->migrate)
		print_region(r);
	printf("  %-16s %s%" PRIu64 "%s\n", "stale accesses",
	       colour(stdout, s->stale_accesses ? RED : GREEN), s->stale_accesses, plain);
	if (!r->options->verify)
		return;
	printf("  %-16s %s = %s by %u thread%s, %" PRIu64 " page faults\n", "CPU",
	       seconds_in_words(text, r->cpu_seconds),
	       rate_in_words(speed, rate(r->bytes, r->cpu_seconds)), r->cpu_threads,
	       r->cpu_threads == 1 ? "" : "s", r->cpu_faults);
	printf("  %-16s %.2fx of the CPU's\n", "speed", r->cpu_seconds / r->seconds);
	printf("  %-16s %s%s%s\n", "verified", colour(stdout, r->verified ? GREEN : RED),
	       r->verified ? "yes, the CPU gets the same" : "NO, the CPU gets something else",
	       plain);
}

int report_print(struct report *r)
{
	int status = EXIT_DONE;

	if (r->options->json)
		status = print_json(r);
	else
		print_table(r);
	if (r->options->map && !r->options->json) {
		putchar('\n');
		places_print(&r->places);
	}
	json_object_put(r->fields);
	json_object_put(r->files);
	if (r->stats.stale_accesses)
		status = complain(EXIT_FINDING, "%" PRIu64 " stale accesses",
				  r->stats.stale_accesses);
	else if (r->options->verify && !r->verified)
		status = complain(EXIT_FINDING, "the device's result is not the CPU's");
	return status;
}
