// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The list of findings, and the subsystems that a series touches. */
#include "gate/gate.h"
#include "base/complain.h"
#include "base/grow.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *gate_subsystem(const struct gate *g, const char *path)
{
	return g->maint ? maint_subsystem(g->maint, path) : "";
}

bool gate_in_subsystem(const struct gate *g, const char *title)
{
	for (size_t i = 0; i < g->n_subsystems; i++)
		if (!strcmp(g->subsystems[i], title))
			return true;
	return false;
}

int gate_note_subsystem(struct gate *g, const char *path)
{
	const char *title = gate_subsystem(g, path);

	if (gate_in_subsystem(g, title))
		return 0;
	if (grow_room(g->subsystems, g->n_subsystems, g->c_subsystems)) {
		complain("out of memory");
		return -ENOMEM;
	}
	g->subsystems[g->n_subsystems++] = title;
	return 0;
}

int gate_find(struct gate *g, enum rule rule, enum severity severity, const char *symbol,
	      const char *file, uint32_t line, const char *format, ...)
{
	struct finding f = { .rule = rule, .severity = severity, .line = line };
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&f.text, format, ap);
	va_end(ap);
	f.symbol = strdup(symbol);
	f.file = strdup(file);
	if (n < 0 || !f.symbol || !f.file || grow_room(g->findings, g->n_findings, g->c_findings)) {
		complain("out of memory");
		free(f.file);
		free(f.symbol);
		if (n >= 0)
			free(f.text);
		return -ENOMEM;
	}
	g->findings[g->n_findings++] = f;
	g->errors += severity == SEVERITY_ERROR;
	return 0;
}

struct finding *gate_last(struct gate *g)
{
	return &g->findings[g->n_findings - 1];
}
