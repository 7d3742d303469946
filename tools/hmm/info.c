// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm info: collects, then shows it to people or as JSON (info_json.c). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hmm/hmm.h>

#include "command.h"
#include "info.h"
#include "options.h"
#include "term.h"

static const struct {
	uint64_t bit;
	const char *name;
} uffd_features[] = {
	{ 1ULL << 0, "PAGEFAULT_FLAG_WP" },
	{ 1ULL << 1, "EVENT_FORK" },
	{ 1ULL << 2, "EVENT_REMAP" },
	{ 1ULL << 3, "EVENT_REMOVE" },
	{ 1ULL << 4, "MISSING_HUGETLBFS" },
	{ 1ULL << 5, "MISSING_SHMEM" },
	{ 1ULL << 6, "EVENT_UNMAP" },
	{ 1ULL << 7, "SIGBUS" },
	{ 1ULL << 8, "THREAD_ID" },
	{ 1ULL << 9, "MINOR_HUGETLBFS" },
	{ 1ULL << 10, "MINOR_SHMEM" },
	{ 1ULL << 11, "EXACT_ADDRESS" },
	{ 1ULL << 12, "WP_HUGETLBFS_SHMEM" },
	{ 1ULL << 13, "WP_UNPOPULATED" },
	{ 1ULL << 14, "POISON" },
	{ 1ULL << 15, "WP_ASYNC" },
	{ 1ULL << 16, "MOVE" },
	{ 0, NULL },
};

const char *info_feature(unsigned int i, uint64_t *bit)
{
	*bit = uffd_features[i].bit;
	return uffd_features[i].name;
}

static void line(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(const char *name, const char *format, ...)
{
	va_list ap;

	printf("  %-22s ", name);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

static void title(const char *text)
{
	printf("%s%s%s\n", colour(stdout, BOLD), text, colour(stdout, PLAIN));
}

static const char *number(char *text, int64_t value, const char *instead)
{
	if (value < 0)
		return instead;
	snprintf(text, WORDS, "%lld", (long long)value);
	return text;
}

static const char *yes(bool value)
{
	return value ? "yes" : "no";
}

static void show_host(const struct host *host)
{
	char text[WORDS];

	title("Host");
	line("kernel", "%s, %s, %u CPUs, %s", host->kernel, host->machine, host->cpus,
	     bytes_in_words(text, (uint64_t)host->memory));
	line("transparent huge pages", "%s", *host->thp ? host->thp : "none");
	line("user", "%u%s%s%s", host->uid, host->cap_sys_ptrace ? ", CAP_SYS_PTRACE" : "",
	     host->cap_sys_admin ? ", CAP_SYS_ADMIN" : "",
	     host->no_new_privs ? ", no new privileges" : "");
	if (host->seccomp_filters >= 0)
		line("seccomp", "%s, %lld filters", host->seccomp,
		     (long long)host->seccomp_filters);
	else
		line("seccomp", "%s", host->seccomp);
}

static void show_limits(const struct host *host)
{
	char text[WORDS], more[WORDS];

	title("Limits");
	line("vm.max_map_count", "%s, %s in use", number(text, host->max_map_count, "unknown"),
	     number(more, host->maps_in_use, "?"));
	line("vm.unprivileged_uffd", "%s", number(text, host->unprivileged_userfaultfd, "unknown"));
	line("/dev/userfaultfd", "%s", host->dev_uffd);
	line("locked memory", "%s",
	     host->memlock < 0 ? "unlimited" : bytes_in_words(text, (uint64_t)host->memlock));
	line("open files", "%s", number(text, host->open_files, "unlimited"));
}

static void show_features(const struct info *info)
{
	const struct hmm_mm_info *mm = &info->mm;
	char text[WORDS];
	const char *name;
	uint64_t bit;

	title("Address space");
	if (info->attach_error) {
		line("attach", "%sno%s: %s", colour(stdout, RED), colour(stdout, PLAIN),
		     strerror(-info->attach_error));
		return;
	}
	line("mode", "%s", mm->reduced ? "reduced: files are never cached" : "full");
	line("kernel-mode faults", "%s",
	     mm->user_mode_only ? "not delivered (no privilege)" : "delivered");
	line("every VMA kind", "%s (WP_ASYNC)", yes(mm->wp_async));
	line("PAGEMAP_SCAN", "%s", yes(mm->pagemap_scan));
	line("PROCMAP_QUERY", "%s", yes(mm->procmap_query));
	line("every fork is seen", "%s", mm->event_fork ? "yes" : "through libc (atfork)");
	line("page sizes", "%u B%s%s", mm->page_size, mm->thp_size ? ", " : "",
	     mm->thp_size ? bytes_in_words(text, mm->thp_size) : "");
	printf("  %-22s", "userfaultfd");
	for (unsigned int i = 0; (name = info_feature(i, &bit)); i++)
		if (mm->uffd_available & bit)
			printf(" %s%s", name, mm->uffd_features & bit ? "*" : "");
	puts("  (* in use)");
}

/* What mirroring changes for the program. */
static void show_registration(const struct hmm_mm_info *mm)
{
	title("Registration");
	line("memory", "whole mappings (munmap there waits for the devices)");
	if (mm->wp_async) {
		line("files",
		     "what is in the page cache is mapped first, then fault-around is lost");
		line("mremap", "of a mirrored mapping works; across it and another fails: EFAULT");
	} else {
		line("files", "not registered");
	}
	line("map entries", "at most %llu, half of vm.max_map_count; 1 a mapping",
	     (unsigned long long)mm->max_regions);
}

static void show_devices(void)
{
	const struct hmm_device_driver *driver;

	title("Devices");
	for (unsigned int i = 0; (driver = hmm_device_driver_at(i)); i++)
		line(driver->name, "%s%s", driver->summary,
		     driver->stacks ? " (stacks upon another)" : "");
}

static const struct {
	char letter;
	enum colour colour;
} marks[] = {
	[HMM_SYNCHRONOUS] = { 'S', GREEN },  [HMM_VALIDATED] = { 'V', CYAN },
	[HMM_UNSEEN] = { 'u', YELLOW },      [HMM_NOT_MIRRORED] = { 'n', DIM },
	[HMM_NOT_APPLICABLE] = { '.', DIM },
};

static void mark(uint32_t guarantee, int width)
{
	if (guarantee > HMM_NOT_APPLICABLE)
		guarantee = HMM_UNSEEN;
	printf("%s%c%s%*s", colour(stdout, marks[guarantee].colour), marks[guarantee].letter,
	       colour(stdout, PLAIN), width - 1, "");
}

static void show_coherence(const struct info *info)
{
	title("Coherence");
	printf("  %-28s", "");
	for (int kind = HMM_VMA_ANON; kind <= HMM_VMA_DAX; kind++)
		printf("%-9s", hmm_vma_kind_name(kind));
	putchar('\n');
	for (int op = 0; op < HMM_OP_NR; op++) {
		printf("  %-28s", hmm_operation_name(op));
		for (int kind = HMM_VMA_ANON; kind <= HMM_VMA_DAX; kind++) {
			const struct hmm_coherence_cell *cell = &info->cells[op][kind];
			bool told = cell->guarantee == HMM_UNSEEN && cell->noted < HMM_UNSEEN;

			mark(cell->guarantee, told ? 1 : 9);
			if (told)
				printf("%-8s", cell->noted == HMM_SYNCHRONOUS ? "(S)" : "(V)");
		}
		putchar('\n');
	}
	puts("  S synchronous: no device has access any more when the program's call returns\n"
	     "  V validated: a use after the change is refused\n"
	     "  u unseen, (S) synchronous if the program tells (hmm_mm_note)\n"
	     "  n never cached by a device   . does not exist");
}

static int collect(struct info *info)
{
	struct hmm_mm *mm = NULL;
	int ret;

	host_read(&info->host);
	info->mm.size = sizeof(info->mm);
	info->attach_error = hmm_mm_attach(NULL, &mm);
	if (info->attach_error)
		return 0;
	ret = hmm_mm_get_info(mm, &info->mm);
	for (int op = 0; op < HMM_OP_NR && !ret; op++)
		for (int kind = HMM_VMA_ANON; kind <= HMM_VMA_DAX && !ret; kind++)
			ret = hmm_coherence(mm, op, kind, &info->cells[op][kind]);
	hmm_mm_detach(mm);
	return ret;
}

int cmd_info(int argc, char **argv)
{
	bool json = false;
	const struct option_row rows[] = {
		{ "json", 'j', OPTION_FLAG, NULL, "one JSON object", &json },
		{ NULL },
	};
	const struct option_table table = {
		"[--json]", "What this kernel, privilege, seccomp profile and limits give", rows,
		"A host where nothing can be attached is reported as such; the exit status is "
		"still 0.\n"
	};
	struct info info = { 0 };
	int status, first = options_parse(&table, argc, argv, &status);

	if (first == OPTIONS_EXIT)
		return status;
	if (first < argc)
		return complain(EXIT_INPUT, "takes no operand, and '%s' is one", argv[first]);
	status = collect(&info);
	if (status)
		return complain(EXIT_HOST, "cannot ask for features: %s", strerror(-status));
	if (json)
		return info_print_json(&info);
	show_host(&info.host);
	show_limits(&info.host);
	show_features(&info);
	if (!info.attach_error)
		show_registration(&info.mm);
	show_devices();
	if (!info.attach_error)
		show_coherence(&info);
	return EXIT_DONE;
}
