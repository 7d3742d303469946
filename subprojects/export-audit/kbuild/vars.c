// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Variables of a Makefile. */
#include "kbuild/vars.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *find_n(const struct make *m, const char *name, size_t n)
{
	for (size_t i = 0; i < m->n_vars; i++)
		if (!strncmp(m->vars[i].name, name, n) && !m->vars[i].name[n])
			return m->vars[i].value;
	return NULL;
}

const char *make_get(const struct make *m, const char *name)
{
	return find_n(m, name, strlen(name));
}

bool make_spend(struct make *m, size_t n)
{
	if (m->budget < n)
		m->budget = 0;
	else
		m->budget -= n;
	return m->budget > 0;
}

int make_set(struct make *m, const char *name, const char *value, bool append)
{
	struct make_var *v = NULL;
	char *joined;

	for (size_t i = 0; !v && i < m->n_vars; i++)
		if (!strcmp(m->vars[i].name, name))
			v = &m->vars[i];
	if (!v && m->n_vars == m->cap_vars) {
		size_t cap = m->cap_vars ? m->cap_vars * 2 : 64;
		struct make_var *vars = realloc(m->vars, cap * sizeof(*vars));

		if (!vars)
			return -ENOMEM;
		m->vars = vars;
		m->cap_vars = cap;
	}
	if (!v) {
		v = &m->vars[m->n_vars];
		*v = (struct make_var){ strdup(name), strdup("") };
		m->n_vars++;
		if (!v->name || !v->value)
			return -ENOMEM;
	}
	if (!make_spend(m, strlen(v->value) + strlen(value)))
		return 0;
	joined = malloc(strlen(v->value) + strlen(value) + 2);
	if (!joined)
		return -ENOMEM;
	*joined = 0;
	if (append && *v->value)
		strcat(strcpy(joined, v->value), " ");
	strcat(joined, value);
	free(v->value);
	v->value = joined;
	return 0;
}
