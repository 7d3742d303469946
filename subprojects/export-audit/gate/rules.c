// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "gate/rules.h"
#include "base/complain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	bool has_deadline;
} table[RULES] = {
	[RULE_GPL] = { "gpl", false },
	[RULE_CONSUMER] = { "consumer", true },
	[RULE_FUNCTIONALITY] = { "functionality", false },
	[RULE_NEEDED] = { "needed", false },
	[RULE_ORPHANED] = { "orphaned", false },
	[RULE_STALE] = { "stale", true },
	[RULE_ACK] = { "ack", false },
	[RULE_NACK] = { "nack", false },
	[RULE_OVERDUE] = { "overdue", true },
};

/*
 * williams: a new export is consumed in its window or the following one, and nothing new is added
 * before. glisse: a missed deadline alone is no reason for a revert, so an export has a few
 * windows, and old exports without a consumer do not keep new work out; the maintainer of the
 * consumer decides.
 */
static const struct rules profiles[] = {
	{ "williams",
	  { true, true, true, true, true, true, true, true, true },
	  { [RULE_CONSUMER] = 0, [RULE_STALE] = 1, [RULE_OVERDUE] = 1 } },
	{ "glisse",
	  { true, true, true, true, true, false, true, true, true },
	  { [RULE_CONSUMER] = 0, [RULE_STALE] = 3, [RULE_OVERDUE] = 3 } },
};

const char *rule_name(enum rule r)
{
	return table[r].name;
}

bool rule_has_deadline(enum rule r)
{
	return table[r].has_deadline;
}

int rules_profile(struct rules *r, const char *name)
{
	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
		if (strcmp(profiles[i].profile, name))
			continue;
		*r = profiles[i];
		return 0;
	}
	return -EINVAL;
}

static int set_value(struct rules *r, enum rule rule, const char *value)
{
	char *end;
	unsigned long n;

	if (!strcmp(value, "on") || !strcmp(value, "off")) {
		r->on[rule] = !strcmp(value, "on");
		return 0;
	}
	errno = 0;
	n = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || n > 1000) {
		complain("rule %s: '%s' is not on, off or a number of windows", table[rule].name,
			 value);
		return -EINVAL;
	}
	if (!table[rule].has_deadline) {
		complain("rule %s has no deadline, only on and off", table[rule].name);
		return -EINVAL;
	}
	r->on[rule] = true;
	r->deadline[rule] = (unsigned int)n;
	return 0;
}

int rules_set(struct rules *r, const char *setting)
{
	size_t len = strcspn(setting, "=");

	for (int i = 0; setting[len] && i < RULES; i++)
		if (strlen(table[i].name) == len && !memcmp(table[i].name, setting, len))
			return set_value(r, (enum rule)i, setting + len + 1);
	complain("'%s' is not RULE=on|off|WINDOWS with a rule of gpl, consumer, functionality, "
		 "needed, orphaned, stale, ack, nack, overdue",
		 setting);
	return -EINVAL;
}
