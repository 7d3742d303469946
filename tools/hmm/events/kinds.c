// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "events.h"

#include <stdio.h>
#include <string.h>

#include "../command.h"
#include "../suggest.h"

static bool parse(const char *name, uint32_t *bits)
{
	struct suggestion near = suggest(name);
	char text[64];

	for (unsigned int i = 0; i < WATCH_KIND_NR; i++) {
		if (!strcmp(event_kind_name(i), name)) {
			*bits |= 1U << i;
			return true;
		}
		suggest_one(&near, event_kind_name(i));
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
