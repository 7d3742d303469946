// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm run: options, then each file through a job on one device. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../attach.h"
#include "../command.h"
#include "../map/map.h"
#include "../options.h"
#include "../suggest.h"
#include "../term.h"
#include "job.h"
#include "report.h"

static const struct job *const jobs[] = { &job_checksum, &job_search, &job_sort, &job_graph };

#define N_JOBS (sizeof(jobs) / sizeof(jobs[0]))

static const struct job *job_named(const char *name)
{
	for (size_t i = 0; i < N_JOBS; i++)
		if (!strcmp(jobs[i]->name, name))
			return jobs[i];
	return NULL;
}

static int say(const struct work *work, int error)
{
	const char *path = work->input->path;

	switch (error) {
	case -COMPLAINED:
		return work->status;
	case -ENOMEM:
		return complain(EXIT_FAILED, "not enough memory for '%s'", path);
	case -EACCES:
		return complain(EXIT_FINDING,
				"the device reached for memory that it was not allowed");
	case -EFAULT:
		return complain(EXIT_INPUT, "'%s' shrank while it was read", path);
	case -EHWPOISON:
		return complain(EXIT_INPUT,
				"'%s' has a page that is lost to a media or memory error", path);
	case -EIO:
		return complain(EXIT_FAILED, "device '%s' failed on '%s'", work->options->device,
				path);
	case -EOPNOTSUPP:
		return complain(EXIT_HOST, "device '%s' cannot run this job",
				work->options->device);
	}
	return complain(EXIT_FAILED, "the job failed on '%s': %s", path, strerror(-error));
}

struct step {
	int (*fn)(struct work *work);
	struct work *work;
};

static int take_step(void *arg)
{
	struct step *step = arg;

	return step->fn(step->work);
}

/* What the CPU does with the file: it may shrink meanwhile. */
static int guarded(int (*fn)(struct work *work), struct work *work)
{
	struct step step = { fn, work };

	return shrink_guard(take_step, &step);
}

/* Of all threads of the process, ended ones too. */
static uint64_t page_faults(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		return 0;
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

/* The CPU's side; its time in *seconds. */
static int on_cpu(const struct job *job, struct work *work, double *seconds)
{
	const uint64_t faults = page_faults();
	double begin = now_seconds();
	int ret = guarded(job->cpu, work);

	*seconds = now_seconds() - begin;
	work->cpu_faults = page_faults() - faults;
	return ret;
}

/* The file's mapping, for devices that must be allowed or told what a job uses. */
static int use_input(const struct job *job, struct work *work)
{
	const struct input *in = work->input;
	int ret = 0;

	if (work->options->confine)
		ret = session_allow(work->session, in->base, in->size,
				    PROT_READ | (job->writes ? PROT_WRITE : 0));
	/* The nodes of a graph lie where malloc put them. */
	if (!ret)
		ret = session_migrate(work->session, job == &job_graph ? NULL : in->base, in->size);
	return ret ? ret : session_name(work->session, in->base, in->size, PROT_READ);
}

/* One file. Returns an exit status. */
static int run_file(const struct job *job, struct work *work, struct report *report)
{
	bool cpu_first = work->options->in_place;
	double device_seconds, cpu_seconds = 0;
	int ret = guarded(job->prepare, work), same = 1;

	if (!ret && work->options->verify && cpu_first)
		ret = on_cpu(job, work, &cpu_seconds);
	work->session->seconds = 0;
	if (!ret)
		ret = use_input(job, work);
	if (!ret)
		ret = job->device(work);
	device_seconds = work->session->seconds;
	if (!ret && work->options->verify && !cpu_first)
		ret = on_cpu(job, work, &cpu_seconds);
	if (!ret && work->options->verify) {
		same = guarded(job->same, work);
		ret = same < 0 ? same : 0;
	}
	if (!ret && same && job->finish)
		ret = job->finish(work);
	if (!ret && work->options->svg) {
		work->status =
			map_draw_svg(work->session->mm, work->session->svm, work->options->svg);
		ret = work->status ? -COMPLAINED : 0;
	}
	if (!ret)
		report_file(report, work, device_seconds, cpu_seconds, same);
	if (work->options->confine)
		session_forbid(work->session, work->input->base, work->input->size);
	job->release(work);
	if (ret == -ECANCELED && interrupted())
		return EXIT_INPUT; /* the caller ends by the signal */
	return ret ? say(work, ret) : 0;
}

/* Each file stays open: as many as may be, not as many as a shell is content with. */
static void allow_files(void)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* The picture must not take the place of what is worked on. 0 or an exit status. */
static int check_svg(const char *svg, const struct input *input)
{
	struct stat in, out;

	if (!svg || stat(svg, &out) || fstat(input->fd, &in) || in.st_dev != out.st_dev ||
	    in.st_ino != out.st_ino)
		return 0;
	return complain(EXIT_INPUT, "'%s' is input, and the picture would be written over it", svg);
}

/* Of device memory. A graph's nodes take more than its file. */
static uint64_t room_for(const struct input *input)
{
	return 4 * input->size + (64ULL << 20);
}

/* The jobs have ended: looks where the pages are, then brings them home. 0 or an exit status. */
static int finish(struct session *session, const struct run_options *options, struct report *report)
{
	int ret = options->map ? places_read(&report->places, session->mm, session->svm) : 0;

	if (ret)
		return complain(EXIT_FAILED, "cannot read the address space: %s", strerror(-ret));
	ret = session_evict(session);
	if (ret)
		return complain(EXIT_FAILED, "what is in device memory cannot come home: %s",
				strerror(-ret));
	return 0;
}

static int run_files(const struct job *job, const struct run_options *options, int n, char **paths)
{
	struct report report = { .job = job, .options = options, .verified = true };
	struct input *inputs = calloc((size_t)n, sizeof(*inputs));
	struct session session = { 0 };
	enum input_use use = options->in_place  ? INPUT_WRITE
			     : options->migrate ? INPUT_MEMORY
			     : job->writes      ? INPUT_COPY
						: INPUT_READ;
	struct session_options how = { .confined = options->confine,
				       .threads = (unsigned int)options->fault_threads,
				       .coherent = options->coherent };
	int opened = 0, status = inputs ? 0 : complain(EXIT_FAILED, "not enough memory");

	/* All are looked at before the first is worked on. */
	allow_files();
	for (; opened < n && !status; opened++) {
		status = input_open(&inputs[opened], paths[opened], use);
		if (status)
			break;
		status = check_svg(options->svg, &inputs[opened]);
		if (options->migrate)
			how.device_memory += room_for(&inputs[opened]);
	}
	if (!status)
		status = session_open_as(&session, options->device, (unsigned int)options->engines,
					 &how);
	report.fields = json_object_new_object();
	report.files = json_object_new_array();
	report.engines = session.engines;
	session.progress = !options->json && can_redraw(stderr);
	for (int i = 0; i < n && !status && !interrupted(); i++) {
		struct work work = { .options = options, .session = &session, .input = &inputs[i] };

		status = run_file(job, &work, &report);
		/*
		 * The last one is unmapped while it is mirrored: the device learns of it by the
		 * event.
		 */
		if (i + 1 < n)
			session_done(&session, inputs[i].base, inputs[i].size);
	}
	if (!status && !interrupted()) {
		report.stats.size = sizeof(report.stats);
		hmm_device_get_stats(hmm_svm_device(session.svm), &report.stats);
		status = finish(&session, options, &report);
		report.mirror.size = sizeof(report.mirror);
		hmm_svm_get_stats(session.svm, &report.mirror);
		report.region.size = sizeof(report.region);
		if (session.devmem)
			hmm_devmem_get_stats(session.devmem, &report.region);
	}
	if (!status && !interrupted()) {
		status = report_print(&report);
	} else {
		json_object_put(report.fields);
		json_object_put(report.files);
	}
	/* Mappings go while they are mirrored: the last thing that the device learns. */
	for (int i = 0; i < opened; i++)
		input_close(&inputs[i]);
	free(inputs);
	places_free(&report.places);
	session_close(&session);
	return status;
}

static int check(const struct job *job, struct run_options *o, int *argc, char ***argv)
{
	if (job->takes_pattern) {
		if (!*argc)
			return complain(EXIT_INPUT, "%s needs a PATTERN and a FILE", job->name);
		if (*argc == 1)
			return complain(EXIT_INPUT,
					"%s needs a PATTERN and a FILE; only '%s' is given",
					job->name, **argv);
		o->pattern = *(*argv)++;
		(*argc)--;
	}
	if (!*argc)
		return complain(EXIT_INPUT, "%s needs a FILE", job->name);
	if (!job->writes && (o->in_place || o->output))
		return complain(EXIT_INPUT,
				"%s writes nothing: --in-place and --output are for sort",
				job->name);
	if (o->in_place && o->output)
		return complain(EXIT_INPUT, "--in-place and --output exclude each other");
	if (o->in_place && o->migrate)
		return complain(EXIT_INPUT, "a file's pages cannot move: --in-place and --migrate "
					    "exclude each other");
	if (o->output && *argc > 1)
		return complain(EXIT_INPUT, "--output takes one FILE");
	if (o->confine && job == &job_graph)
		return complain(
			EXIT_INPUT,
			"graph works on memory of malloc's choice: --confine is for the others");
	if (o->from && job != &job_graph)
		return complain(EXIT_INPUT, "--from is for graph");
	return 0;
}

int cmd_run(int argc, char **argv)
{
	struct run_options o = { .device = "soft" };
	const struct option_row rows[] = {
		{ "device", 'd', OPTION_STRING, "NAME",
		  "which device; 'hmm info' lists them (soft)", &o.device },
		{ "engines", 'e', OPTION_NUMBER, "N", "execution engines (one a CPU)", &o.engines,
		  1, 256 },
		{ "fault-threads", 0, OPTION_NUMBER, "N",
		  "threads that serve faults, in batches (the engine that faults)",
		  &o.fault_threads, 1, 16 },
		{ "verify", 'v', OPTION_FLAG, NULL, "compute it on the CPU as well, and compare",
		  &o.verify },
		{ "json", 'j', OPTION_FLAG, NULL, "print one JSON object", &o.json },
		{ "in-place", 0, OPTION_FLAG, NULL,
		  "sort: write to the file, not to a private copy", &o.in_place },
		{ "output", 'o', OPTION_STRING, "FILE", "sort: write the sorted lines to FILE",
		  &o.output },
		{ "confine", 0, OPTION_FLAG, NULL,
		  "the device may reach the file's mapping, nothing else", &o.confine },
		{ "migrate", 0, OPTION_FLAG, NULL,
		  "the job's memory lives in device memory while the device works on it",
		  &o.migrate },
		{ "coherent", 0, OPTION_FLAG, NULL,
		  "the same with device memory that the CPU reaches, too", &o.coherent },
		{ "map", 0, OPTION_FLAG, NULL,
		  "show where each page lives when the jobs have ended", &o.map },
		{ "from", 0, OPTION_STRING, "NODE", "graph: where to begin (the first node)",
		  &o.from },
		{ "svg", 0, OPTION_STRING, "FILE", "draw the address space when the job has ended",
		  &o.svg },
		PROVIDER_ROW,
		{ NULL },
	};
	const struct option_table table = {
		"JOB [OPTION]... [PATTERN] FILE...",
		"Runs a job on a device, through the program's own pointers",
		rows,
		"Jobs:\n"
		"  checksum FILE...        CRC-32 of each file, as gzip and zip compute it\n"
		"  search PATTERN FILE...  count where PATTERN, a string of bytes, occurs "
		"(overlaps count)\n"
		"  sort FILE...            sort the lines, bytewise, in the mapping: a private "
		"one, or --in-place\n"
		"  graph FILE...           breadth-first search over nodes that malloc made of "
		"'FROM TO' lines\n",
	};
	const struct job *job;
	struct suggestion near;
	char text[64];
	int status, first = options_parse(&table, argc, argv, &status);

	if (first == OPTIONS_EXIT)
		return status;
	if (first == argc)
		return complain(EXIT_INPUT, "which JOB? checksum, search, sort or graph");
	job = job_named(argv[first]);
	near = suggest(argv[first]);
	for (size_t i = 0; i < N_JOBS; i++)
		suggest_one(&near, jobs[i]->name);
	if (!job)
		return complain(EXIT_INPUT,
				"no job '%s'%s; there are checksum, search, sort and graph",
				argv[first], did_you_mean(text, &near, ""));
	argc -= first + 1;
	argv += first + 1;
	o.migrate |= o.coherent;
	status = check(job, &o, &argc, &argv);
	if (status)
		return status;
	interrupts_catch();
	shrink_catch();
	status = run_files(job, &o, argc, argv);
	if (interrupted())
		interrupts_die();
	return status;
}
