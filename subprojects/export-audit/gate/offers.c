// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Changed files: do they export, are they public, and what shape do they have? */
#include "gate/offers.h"
#include "base/complain.h"
#include "text/kind.h"

#include <errno.h>
#include <string.h>

#define MAX_TEXT (16u << 20) /* of a file that is looked into; the largest of 6.12 has 23 MB */

bool gate_offers(const struct gate *g, const char *path)
{
	for (uint32_t i = 0; i < g->base->n; i++)
		if (summary_exports_in(g->base, &g->base->symbols[i], path))
			return true;
	return false;
}

static int read_shape(struct gate *g, const git_oid *id, struct shape *out)
{
	char *text = NULL;
	size_t len = 0;
	int err = git_oid_is_zero(id) ? 0 : repo_read(g->harvest->repo, id, &text, &len);

	if (!err)
		err = shape_new(text ? text : "", len < MAX_TEXT ? len : 0, out);
	if (err == -ENOMEM)
		complain("out of memory");
	free(text);
	return err;
}

int gate_shapes(struct gate *g, struct changed_file *c)
{
	int err = c->was.code ? 0 : read_shape(g, &c->before, &c->was);

	return err || c->is.code ? err : read_shape(g, &c->after, &c->is);
}

bool gate_is_public(const char *path)
{
	return blob_kind(path) == BLOB_HEADER && !strstr(path, "/uapi/") &&
	       (!strncmp(path, "include/", 8) || strstr(path, "/include/"));
}

bool gate_same_stem(const char *a, const char *b)
{
	size_t n = strcspn(a, ".");

	return strcspn(b, ".") == n && !memcmp(a, b, n);
}
