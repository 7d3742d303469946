// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hmm/hmm.h>

#include "attach.h"
#include "command.h"
#include "info.h"
#include "json.h"
#include "term.h"

int json_print(struct json_object *o)
{
	/* What cannot be written is found by streams_end(). */
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return EXIT_DONE;
}

void put_name(struct json_object *o, const char *key, const char *name)
{
	char *text = malloc(3 * strlen(name) + 1), *end = text;

	for (const char *p = name, *next = p; text && *p; p = next) {
		if (next_character(&next) < 0)
			end = stpcpy(end, "\xef\xbf\xbd");
		else
			end = mempcpy(end, p, (size_t)(next - p));
	}
	if (text)
		*end = 0;
	put_text(o, key, text);
	free(text);
}

static struct json_object *host_json(const struct host *host)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "kernel", host->kernel);
	put_text(o, "machine", host->machine);
	put_number(o, "cpus", host->cpus);
	put_number(o, "memory", host->memory);
	put_text(o, "thp", *host->thp ? host->thp : NULL);
	return o;
}

static struct json_object *privilege_json(const struct host *host)
{
	struct json_object *o = json_object_new_object();

	put_number(o, "uid", host->uid);
	put_bool(o, "cap_sys_ptrace", host->cap_sys_ptrace);
	put_bool(o, "cap_sys_admin", host->cap_sys_admin);
	put_bool(o, "cap_bpf_and_perfmon", host->cap_bpf);
	put_bool(o, "no_new_privs", host->no_new_privs);
	put_text(o, "seccomp", host->seccomp);
	if (host->seccomp_filters >= 0)
		put_number(o, "seccomp_filters", host->seccomp_filters);
	return o;
}

static struct json_object *limits_json(const struct host *host)
{
	struct json_object *o = json_object_new_object();

	put_number(o, "max_map_count", host->max_map_count);
	put_number(o, "maps_in_use", host->maps_in_use);
	put_number(o, "unprivileged_userfaultfd", host->unprivileged_userfaultfd);
	put_text(o, "dev_userfaultfd", host->dev_uffd);
	put_number(o, "memlock", host->memlock);
	put_number(o, "open_files", host->open_files);
	return o;
}

static struct json_object *features_json(const struct hmm_mm_info *mm)
{
	struct json_object *o = json_object_new_object();
	struct json_object *available = json_object_new_array();
	struct json_object *used = json_object_new_array();
	const char *name;
	uint64_t bit;

	put_text(o, "provider", provider_name(mm->provider));
	put_text(o, "provider_error", mm->provider_error ? strerror(-mm->provider_error) : NULL);
	put_text(o, "better_provider", info_better(mm));
	put_bool(o, "anchored", mm->anchored);
	put_text(o, "anchor_error", mm->anchor_error ? strerror(-mm->anchor_error) : NULL);
	put_number(o, "log_records", (int64_t)mm->log_records);
	put_number(o, "log_resets", (int64_t)mm->log_resets);
	put_bool(o, "reduced", mm->reduced);
	put_bool(o, "user_mode_only", mm->user_mode_only);
	put_bool(o, "wp_async", mm->wp_async);
	put_bool(o, "pagemap_scan", mm->pagemap_scan);
	put_bool(o, "procmap_query", mm->procmap_query);
	put_bool(o, "event_fork", mm->event_fork);
	put_bool(o, "dumpable", mm->dumpable);
	put_bool(o, "keeper", mm->keeper);
	put_bool(o, "lost", mm->lost);
	put_number(o, "descriptors", mm->descriptors);
	put_number(o, "page_size", mm->page_size);
	put_number(o, "thp_size", (int64_t)mm->thp_size);
	put_number(o, "max_regions", (int64_t)mm->max_regions);
	for (unsigned int i = 0; (name = info_feature(i, &bit)); i++) {
		if (mm->uffd_available & bit)
			json_object_array_add(available, json_object_new_string(name));
		if (mm->uffd_features & bit)
			json_object_array_add(used, json_object_new_string(name));
	}
	json_object_object_add(o, "userfaultfd_available", available);
	json_object_object_add(o, "userfaultfd_used", used);
	return o;
}

static struct json_object *device_memory_json(const struct info *info)
{
	struct json_object *o = json_object_new_object();
	const char *why = info_no_devmem(info);

	put_bool(o, "moves", !why);
	put_text(o, "why", why);
	put_text(o, "system_calls", why ? NULL : info->mm.user_mode_only ? "EFAULT" : "home");
	put_text(o, "sealed", why ? NULL : info->sealed_error ? "unsealed" : "sealed");
	put_text(o, "raw_clone", why ? NULL : info->mm.event_fork ? "copies" : "zeros");
	return o;
}

static struct json_object *coherence_json(const struct info *info)
{
	struct json_object *table = json_object_new_array();

	for (int op = 0; op < HMM_OP_NR; op++) {
		for (int kind = HMM_VMA_ANON; kind <= HMM_VMA_DAX; kind++) {
			const struct hmm_coherence_cell *cell = &info->cells[op][kind];
			struct json_object *o = json_object_new_object();

			put_text(o, "operation", hmm_operation_name(op));
			put_text(o, "kind", hmm_vma_kind_name(kind));
			put_text(o, "guarantee", hmm_guarantee_name(cell->guarantee));
			put_text(o, "noted", hmm_guarantee_name(cell->noted));
			put_text(o, "why", cell->why);
			json_object_array_add(table, o);
		}
	}
	return table;
}

static struct json_object *devices_json(void)
{
	struct json_object *list = json_object_new_array();
	const struct hmm_device_driver *driver;

	for (unsigned int i = 0; (driver = hmm_device_driver_at(i)); i++) {
		struct json_object *o = json_object_new_object();

		put_text(o, "name", driver->name);
		put_text(o, "summary", driver->summary);
		put_bool(o, "stacks", driver->stacks);
		put_text(o, "options", driver->options);
		json_object_array_add(list, o);
	}
	return list;
}

int info_print_json(const struct info *info)
{
	struct json_object *o = json_object_new_object();
	const char *why = info->attach_error ? attach_words(info->attach_error) : NULL;
	char version[16];

	if (info->attach_error && !why)
		why = strerror(-info->attach_error);
	put_text(o, "version", library_version(version, sizeof(version)));
	json_object_object_add(o, "host", host_json(&info->host));
	json_object_object_add(o, "privilege", privilege_json(&info->host));
	json_object_object_add(o, "limits", limits_json(&info->host));
	put_bool(o, "attached", !info->attach_error);
	put_text(o, "attach_error", why);
	json_object_object_add(o, "features", info->attach_error ? NULL : features_json(&info->mm));
	json_object_object_add(o, "device_memory",
			       info->attach_error ? NULL : device_memory_json(info));
	json_object_object_add(o, "devices", devices_json());
	json_object_object_add(o, "coherence", info->attach_error ? NULL : coherence_json(info));
	return json_print(o);
}
