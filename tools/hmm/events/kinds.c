// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "events.h"

#include <stdio.h>
#include <string.h>

#include "../command.h"
#include "../suggest.h"

static const char *const kinds[WATCH_KIND_NR] = {
	[WATCH_UNMAP] = "unmap",
	[WATCH_CLEAR] = "clear",
	[WATCH_PROTECT] = "protect",
	[WATCH_PROTECT_PAGE] = "protect-page",
	[WATCH_FORK] = "fork",
	[WATCH_MOVE] = "move",
	[WATCH_SOFT_DIRTY] = "soft-dirty",
	[WATCH_MIGRATE] = "migrate",
	[WATCH_EXCLUSIVE] = "exclusive",
};

const char *event_kind_name(unsigned int kind)
{
	return kind < WATCH_KIND_NR ? kinds[kind] : "unknown";
}

static bool parse(const char *name, uint32_t *bits)
{
	struct suggestion near = suggest(name);
	char text[64];

	for (unsigned int i = 0; i < WATCH_KIND_NR; i++) {
		if (!strcmp(kinds[i], name)) {
			*bits |= 1U << i;
			return true;
		}
		suggest_one(&near, kinds[i]);
	}
	complain(EXIT_INPUT, "no kind '%s'%s; see 'hmm events --help'", name,
		 did_you_mean(text, &near, ""));
	return false;
}

bool kinds_parse(const char *text, uint32_t *bits)
{
	*bits = 0;
	for (;; text++) {
		size_t length = strcspn(text, ",");
		char name[32];

		snprintf(name, sizeof(name), "%.*s", (int)(length < 31 ? length : 31), text);
		if (!parse(name, bits))
			return false;
		text += length;
		if (!*text)
			return true;
	}
}
