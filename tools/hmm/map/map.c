// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm map: of another process, or of this one with a mapping of each kind mirrored onto a device.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../attach.h"
#include "../command.h"
#include "../json.h"
#include "../options.h"
#include "../run/session.h"
#include "../term.h"
#include "map.h"
#include "places.h"
#include "sample.h"
#include "space.h"

/* A file that cannot be made is a bad option; one that cannot be written is a failure. */
static int complain_svg(const char *svg, int error)
{
	bool made = error == -ENOSPC || error == -EIO || error == -EDQUOT || error == -EFBIG ||
		    error == -ENOMEM || error == -EPIPE;

	return complain(made ? EXIT_FAILED : EXIT_INPUT, "cannot write '%s': %s", svg,
			strerror(-error));
}

static int show(struct space *space, const char *svg)
{
	int ret = 0;

	if (svg)
		ret = space_svg(space, svg);
	else
		space_print(space);
	space_free(space);
	return ret ? complain_svg(svg, ret) : EXIT_DONE;
}

int map_draw_svg(struct hmm_mm *mm, struct hmm_svm *svm, const char *path)
{
	struct space space;
	int ret = space_read(&space, getpid(), mm, svm);

	if (ret)
		return complain(EXIT_FAILED, "cannot read the address space: %s", strerror(-ret));
	return show(&space, path);
}

static int draw_other(const char *text, const char *svg)
{
	struct space space;
	char *end;
	long pid = strtol(text, &end, 10);
	int ret;

	if (*text < '0' || *text > '9' || *end || pid <= 0 || pid > INT32_MAX)
		return complain(EXIT_INPUT, "'%s' is no process id", text);
	ret = space_read(&space, (pid_t)pid, NULL, NULL);
	if (ret == -ESRCH)
		return complain(EXIT_INPUT, "no process %ld", pid);
	if (ret == -EACCES || ret == -EPERM)
		return complain(EXIT_INPUT, "no permission to look at process %ld", pid);
	if (ret == -ENOENT)
		return complain(EXIT_HOST, "/proc is not mounted here, or hidden");
	if (ret)
		return complain(EXIT_FAILED, "cannot read process %ld: %s", pid, strerror(-ret));
	return show(&space, svg);
}

/* What is mirrored is whole chunks; what the device holds of them is entries, each with a size. */
static int show_entries(struct hmm_device *device)
{
	struct hmm_device_stats stats = { .size = sizeof(stats) };
	int ret = hmm_device_get_stats(device, &stats);

	if (ret)
		return complain(EXIT_FAILED, "cannot ask the device: %s", strerror(-ret));
	put_paragraph(2, "The device's page table: %" PRIu64 " entries of 4K, %" PRIu64 " of 2M",
		      stats.held_4k, stats.held_2m);
	return EXIT_DONE;
}

struct map_options {
	const char *svg;
	const char *device;
	bool migrate;
	bool coherent;
	bool pages;
	bool json;
};

static int draw(const struct session *session, const char *svg)
{
	struct space space;
	int ret = space_read(&space, getpid(), session->mm, session->svm);

	if (ret)
		return complain(EXIT_FAILED, "cannot read the address space: %s", strerror(-ret));
	ret = show(&space, svg);
	return ret || svg ? ret : show_entries(session->device);
}

/* Where each page lives. */
static int show_places(const struct session *session, bool json)
{
	struct places places;
	int ret = places_read(&places, session->mm, session->svm);

	if (ret)
		return complain(EXIT_FAILED, "cannot read the address space: %s", strerror(-ret));
	if (json)
		ret = json_print(places_json(&places));
	else
		places_print(&places);
	places_free(&places);
	return ret;
}

static int draw_own(const struct map_options *o)
{
	struct session_options how = { .device_memory = o->migrate ? SAMPLE_BYTES : 0,
				       .coherent = o->coherent };
	const char *device = o->device ? o->device : "soft";
	struct session session;
	struct sample sample;
	int ret = session_open_as(&session, device, 1, &how);

	if (ret)
		return ret;
	ret = sample_make(&sample, &session);
	if (ret)
		ret = complain(EXIT_FAILED, "device '%s' cannot fault the sample mappings: %s",
			       device, strerror(-ret));
	else if (o->pages || o->json)
		ret = show_places(&session, o->json);
	else
		ret = draw(&session, o->svg);
	sample_free(&sample);
	session_close(&session);
	return ret;
}

int cmd_map(int argc, char **argv)
{
	struct map_options o = { NULL };
	const struct option_row rows[] = {
		{ "svg", 0, OPTION_STRING, "FILE", "write the picture to FILE", &o.svg },
		{ "device", 'd', OPTION_STRING, "NAME",
		  "without PID: the device that mirrors (soft)", &o.device },
		{ "migrate", 0, OPTION_FLAG, NULL,
		  "without PID: the device has memory, and what it uses moves there", &o.migrate },
		{ "coherent", 0, OPTION_FLAG, NULL,
		  "the same with memory that the CPU reaches, too", &o.coherent },
		{ "pages", 0, OPTION_FLAG, NULL, "without PID: list where each page lives",
		  &o.pages },
		{ "json", 'j', OPTION_FLAG, NULL, "the same as one JSON object", &o.json },
		PROVIDER_ROW,
		{ NULL },
	};
	const struct option_table table = {
		"[OPTION]... [PID]",
		"Draws an address space: kinds of mapping, page orders, what a device holds", rows,
		"Without PID it draws this program itself, with a mapping of each kind of which a "
		"device has\n"
		"faulted half. Of another process it tells what is mirrored, not what its devices "
		"hold, nor\n"
		"what is in their memory: a program asks the library that itself "
		"(hmm_place_walk).\n"
	};
	int status, first = options_parse(&table, argc, argv, &status);

	if (first == OPTIONS_EXIT)
		return status;
	if (argc - first > 1)
		return complain(EXIT_INPUT, "one PID, not %d", argc - first);
	o.migrate |= o.coherent;
	if (first < argc && (o.device || o.migrate || o.pages || o.json))
		return complain(EXIT_INPUT, "%s is for a picture without PID",
				o.device    ? "--device"
				: o.migrate ? "--migrate"
				: o.pages   ? "--pages"
					    : "--json");
	if (o.svg && (o.pages || o.json))
		return complain(EXIT_INPUT, "--svg draws no pages: it is not for --pages or "
					    "--json");
	return first < argc ? draw_other(argv[first], o.svg) : draw_own(&o);
}
