// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm info: collects, then shows it to people or as JSON (info_json.c). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hmm/hmm.h>

#include "attach.h"
#include "command.h"
#include "info.h"
#include "log.h"
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

static const char *anchor_words(int error)
{
	switch (error) {
	case -ENOENT:
		return "there is no /dev/kvm";
	case -EACCES:
	case -EPERM:
		return "this user may not open /dev/kvm";
	case -ECANCELED:
		return "nobody asked for it: LIBHMM_ANCHOR=yes";
	case -EOPNOTSUPP:
		return "no program is at the kernel's notifiers";
	}
	return strerror(-error);
}

/* Why the kernel refuses what this process has the capabilities for; "": it does not. */
static char refused[512];

const char *info_better(const struct hmm_mm_info *mm)
{
	if (mm->provider == HMM_PROVIDER_BPF)
		return "callbacks run before munmap returns with --provider both, or "
		       "LIBHMM_PROVIDER=both";
	if (mm->provider == HMM_PROVIDER_BOTH)
		return NULL;
	if (*refused)
		return refused;
	if (!mm->provider_error)
		return "every change is seen with --provider both, or LIBHMM_PROVIDER=both";
	return log_words(mm->provider_error);
}

#define NARROW 60 /* columns, below which names have no column of their own */

const char *info_feature(unsigned int i, uint64_t *bit)
{
	*bit = uffd_features[i].bit;
	return uffd_features[i].name;
}

static void line(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void line(const char *name, const char *format, ...)
{
	int width = columns(stdout);
	char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	if (width && width < NARROW)
		put_words(printf("  %s ", name), 4, text ? text : "");
	else
		put_words(printf("  %-22s ", name), 25, text ? text : "");
	putchar('\n');
	free(text);
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
	line("user", "%u%s%s%s%s", host->uid, host->cap_sys_ptrace ? ", CAP_SYS_PTRACE" : "",
	     host->cap_sys_admin ? ", CAP_SYS_ADMIN" : "",
	     host->cap_bpf ? ", CAP_BPF and CAP_PERFMON" : "",
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

/* What shows changes, and how to get more. */
static void show_provider(const struct hmm_mm_info *mm)
{
	const char *better = info_better(mm);

	switch (mm->provider) {
	case HMM_PROVIDER_BPF:
		line("provider", "bpf: the kernel's log alone; nothing is registered");
		break;
	case HMM_PROVIDER_BOTH:
		line("provider", "both: userfaultfd, and the kernel's log beside it");
		break;
	default:
		line("provider", "%s: userfaultfd alone", provider_name(mm->provider));
	}
	if (mm->provider >= HMM_PROVIDER_BPF && mm->anchored)
		line("log", "from where the kernel calls its own notifiers, with their ranges");
	else if (mm->provider >= HMM_PROVIDER_BPF)
		line("log", "from the functions that change page tables (no anchor: %s)",
		     anchor_words(mm->anchor_error));
	if (better)
		line("more", "%s", better);
}

static void show_features(const struct info *info)
{
	const struct hmm_mm_info *mm = &info->mm;
	char text[WORDS], names[512] = "";
	const char *name;
	uint64_t bit;
	size_t n = 0;

	title("Address space");
	if (info->attach_error) {
		const char *words = attach_words(info->attach_error);

		line("attach", "no: %s", words ? words : strerror(-info->attach_error));
		return;
	}
	show_provider(mm);
	line("mode", "%s", mm->reduced ? "reduced: files are never cached" : "full");
	line("kernel-mode faults", "%s",
	     mm->user_mode_only ? "not delivered (no privilege)" : "delivered");
	line("every VMA kind", "%s (WP_ASYNC)", yes(mm->wp_async));
	line("PAGEMAP_SCAN", "%s", yes(mm->pagemap_scan));
	line("PROCMAP_QUERY", "%s", yes(mm->procmap_query));
	line("every fork is seen", "%s", mm->event_fork ? "yes" : "through libc (atfork)");
	line("discards settle by", "%s",
	     mm->dumpable ? "system calls and CPU time of threads"
			  : "states and CPU time of threads");
	line("debuggers", "%s",
	     mm->keeper ? "attach (a keeper reads while they stop all threads)"
			: "may hang while a thread unmaps (no keeper can be made here)");
	line("page sizes", "%u B%s%s", mm->page_size, mm->thp_size ? ", " : "",
	     mm->thp_size ? bytes_in_words(text, mm->thp_size) : "");
	for (unsigned int i = 0; (name = info_feature(i, &bit)); i++)
		if (mm->uffd_available & bit)
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s ", name,
					      mm->uffd_features & bit ? "*" : "");
	if (mm->provider != HMM_PROVIDER_BPF)
		line("userfaultfd", "%s (* in use)", names);
}

/* What mirroring changes for the program. */
static void show_registration(const struct hmm_mm_info *mm)
{
	title("Registration");
	if (mm->provider == HMM_PROVIDER_BPF) {
		line("memory", "nothing: munmap does not wait, and no map entries are taken");
		return;
	}
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

const char *info_no_devmem(const struct info *info)
{
	if (!info->devmem_error)
		return NULL;
	if (info->devmem_error != -EOPNOTSUPP)
		return strerror(-info->devmem_error);
	if (info->mm.provider == HMM_PROVIDER_BPF)
		return "the space has no userfaultfd (--provider both, or LIBHMM_PROVIDER=both)";
	return "the kernel moves no pages (UFFDIO_MOVE, Linux 6.8)";
}

/* Pages of the program in memory of a device, and what becomes of them. */
static void show_device_memory(const struct info *info)
{
	const char *why = info_no_devmem(info);

	title("Device memory");
	line("pages move", "%s%s", why ? "no: " : "yes", why ? why : "");
	if (why)
		return;
	line("CPU touches", "bring pages home");
	line("system calls", "%s",
	     info->mm.user_mode_only ? "that touch a page there fail: EFAULT (kernel-mode faults "
				       "are not delivered)"
				     : "bring pages home");
	line("fork through libc", "brings all pages home first");
	line("raw clone", "%s",
	     info->mm.event_fork ? "gives the child copies"
				 : "leaves zeros in the child (no fork is seen without privilege)");
	line("debuggers, core dumps", "do not see pages there (hmm_evict_all)");
	line("sealed memory", "%s%s", info->sealed_error ? "unsealed: no memfd_secret: " : "yes",
	     info->sealed_error ? strerror(-info->sealed_error) : "");
}

static void show_devices(void)
{
	const struct hmm_device_driver *driver;

	title("Devices");
	for (unsigned int i = 0; (driver = hmm_device_driver_at(i)); i++)
		line(driver->name, "%s%s%s%s", driver->summary,
		     driver->stacks ? " (stacks upon another)" : "", driver->options ? "; " : "",
		     driver->options ? driver->options : "");
}

static const struct {
	char letter;
	enum colour colour;
} marks[] = {
	[HMM_SYNCHRONOUS] = { 'S', GREEN },  [HMM_VALIDATED] = { 'V', CYAN },
	[HMM_UNSEEN] = { 'u', YELLOW },      [HMM_NOT_MIRRORED] = { 'n', DIM },
	[HMM_NOT_APPLICABLE] = { '.', DIM }, [HMM_EXACT] = { 'E', GREEN },
};

#define N_MARKS (sizeof(marks) / sizeof(marks[0]))

/* A guarantee, and behind it what it becomes if the program tells. */
static void cell(const struct hmm_coherence_cell *cell, int width)
{
	uint32_t guarantee = cell->guarantee >= N_MARKS ? HMM_UNSEEN : cell->guarantee;
	bool told = guarantee == HMM_UNSEEN && cell->noted < HMM_UNSEEN;

	printf("%s%c%s%-*s", colour(stdout, marks[guarantee].colour), marks[guarantee].letter,
	       colour(stdout, PLAIN), width - 1,
	       !told                            ? ""
	       : cell->noted == HMM_SYNCHRONOUS ? "(S)"
						: "(V)");
}

static void coherence_of(const struct info *info, int from, int to, int first, int width)
{
	char name[128];

	printf("%*s", first, "");
	for (int kind = from; kind < to; kind++)
		printf("%-*s", width, hmm_vma_kind_name(kind));
	putchar('\n');
	for (int op = 0; op < HMM_OP_NR; op++) {
		printf("  %-*s", first - 2,
		       shorten(name, sizeof(name), hmm_operation_name(op), first - 3, ELLIPSIS));
		for (int kind = from; kind < to; kind++)
			cell(&info->cells[op][kind], width);
		putchar('\n');
	}
}

static bool has_exact(const struct info *info)
{
	for (int op = 0; op < HMM_OP_NR; op++)
		for (int kind = HMM_VMA_ANON; kind <= HMM_VMA_DAX; kind++)
			if (info->cells[op][kind].guarantee == HMM_EXACT)
				return true;
	return false;
}

/* As many kinds side by side as the terminal is wide. */
static void show_coherence(const struct info *info)
{
	int width = columns(stdout), first = 30, each = 9, room = HMM_VMA_DAX;

	if (width && width < first + each * HMM_VMA_DAX) {
		first = 25;
		each = 8;
		if (width < first + each)
			first = width - each > 8 ? width - each : 8;
		room = (width - first) / each > 0 ? (width - first) / each : 1;
	}
	title("Coherence");
	for (int kind = HMM_VMA_ANON; kind <= HMM_VMA_DAX; kind += room)
		coherence_of(info, kind, kind + room > HMM_VMA_DAX ? HMM_VMA_DAX + 1 : kind + room,
			     first, each);
	put_paragraph(
		4,
		"  S synchronous: no device has access any more when the program's call returns");
	if (has_exact(info))
		put_paragraph(4, "  E exact: the kernel's log has it before it takes effect; a use "
				 "after that is refused");
	put_paragraph(4, "  V validated: a use after the change is refused");
	put_paragraph(4, "  u unseen, (S) synchronous if the program tells (hmm_mm_note)");
	put_paragraph(4, "  n never cached by a device   . does not exist");
}

static void try_device_memory(struct hmm_mm *mm, struct info *info)
{
	const struct hmm_devmem_options options = { .size = sizeof(options),
						    .bytes = 2 << 20,
						    .owner = info };
	struct hmm_devmem *devmem;

	info->sealed_error = hmm_sealed_supported();
	info->devmem_error = hmm_devmem_create(mm, &options, &devmem);
	if (!info->devmem_error)
		hmm_devmem_destroy(devmem, HMM_FOREVER);
}

static int collect(struct info *info)
{
	struct hmm_mm *mm = NULL;
	int ret;

	host_read(&info->host);
	info->mm.size = sizeof(info->mm);
	info->attach_error = space_attach(&mm);
	if (info->attach_error)
		return 0;
	ret = hmm_mm_get_info(mm, &info->mm);
	if (!ret && info->mm.provider_error && may_load_programs()) {
		if (log_refused())
			snprintf(refused, sizeof(refused), "%s", log_said());
		else
			info->mm.provider_error = 0;
	}
	for (int op = 0; op < HMM_OP_NR && !ret; op++)
		for (int kind = HMM_VMA_ANON; kind <= HMM_VMA_DAX && !ret; kind++)
			ret = hmm_coherence(mm, op, kind, &info->cells[op][kind]);
	try_device_memory(mm, info);
	hmm_mm_detach(mm);
	return ret;
}

int cmd_info(int argc, char **argv)
{
	bool json = false;
	const struct option_row rows[] = {
		{ "json", 'j', OPTION_FLAG, NULL, "one JSON object", &json },
		PROVIDER_ROW,
		{ NULL },
	};
	const struct option_table table = {
		"[--json] [--provider NAME]",
		"What this kernel, privilege, seccomp profile and limits give", rows,
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
	if (!info.attach_error) {
		show_registration(&info.mm);
		show_device_memory(&info);
	}
	show_devices();
	if (!info.attach_error)
		show_coherence(&info);
	return EXIT_DONE;
}
