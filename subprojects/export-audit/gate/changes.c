// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a series changes, file by file. */
#include "gate/changes.h"
#include "base/complain.h"
#include "base/grow.h"

#include <string.h>

static int compare_changed(const void *a, const void *b)
{
	return strcmp(((const struct changed_file *)a)->path,
		      ((const struct changed_file *)b)->path);
}

static int add_deltas(struct gate *g, git_diff *diff)
{
	for (size_t i = 0; i < git_diff_num_deltas(diff); i++) {
		const git_diff_delta *d = git_diff_get_delta(diff, i);
		struct changed_file f = { 0 };

		if (grow_room(g->changed, g->n_changed, g->c_changed))
			return -ENOMEM;
		if (d->status != GIT_DELTA_ADDED)
			f.before = d->old_file.id;
		if (d->status != GIT_DELTA_DELETED)
			f.after = d->new_file.id;
		f.path = strdup(d->new_file.path);
		f.old_path = strdup(d->old_file.path);
		g->changed[g->n_changed++] = f;
		if (!f.path || !f.old_path)
			return -ENOMEM;
	}
	if (g->n_changed)
		qsort(g->changed, g->n_changed, sizeof(*g->changed), compare_changed);
	return 0;
}

int gate_list_changes(struct gate *g)
{
	struct repo *r = g->harvest->repo;
	git_tree *a = NULL, *b = NULL;
	git_diff *diff = NULL;
	git_diff_find_options find = GIT_DIFF_FIND_OPTIONS_INIT;
	int err;

	find.flags = GIT_DIFF_FIND_RENAMES;
	if (git_tree_lookup(&a, r->git, &g->series->before) ||
	    git_tree_lookup(&b, r->git, &g->series->after) ||
	    git_diff_tree_to_tree(&diff, r->git, a, b, NULL) || git_diff_find_similar(diff, &find))
		err = repo_complain(r, "its trees cannot be compared");
	else if ((err = add_deltas(g, diff)))
		complain("out of memory");
	git_diff_free(diff);
	git_tree_free(b);
	git_tree_free(a);
	return err;
}

const struct changed_file *gate_changed(const struct gate *g, const char *path)
{
	struct changed_file key = { .path = (char *)(uintptr_t)path };

	return g->n_changed ? bsearch(&key, g->changed, g->n_changed, sizeof(key), compare_changed)
			    : NULL;
}
