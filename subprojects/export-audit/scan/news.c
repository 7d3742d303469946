// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "scan/news.h"
#include "base/complain.h"
#include "base/path.h"
#include "harvest/harvest.h"
#include "text/source.h"

#include <errno.h>
#include <string.h>

static bool path_is_there(const char *pattern, const struct source_file *files, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (path_matches(pattern, files[i].path))
			return true;
	return false;
}

int news_check_filter(const struct report *r, const struct source_file *files, uint32_t n_files,
		      const struct maint *maint, const struct filter *f)
{
	struct filter any = *f;
	struct report all;

	if (r->n_rows)
		return 0;
	if (f->path && !path_is_there(f->path, files, n_files))
		return complain("%s has no file below '%s', or like it", r->tree, f->path);
	if (!f->symbol && (!f->subsystem || maint_knows(maint, f->subsystem)))
		return 0;
	any.licence = any.verdict = -1;
	if (report_build(r->graph, files, maint, &any, r->tree, &all))
		return complain("out of memory");
	report_fini(&all);
	if (all.n_rows)
		return 0;
	return complain("%s exports nothing that matches %s%s%s%s%s", r->tree,
			f->symbol ? "--symbol=" : "", f->symbol ? f->symbol : "",
			f->symbol && f->subsystem ? " and " : "",
			f->subsystem ? "--subsystem=" : "", f->subsystem ? f->subsystem : "");
}

int news_results(const struct report *r, struct results *out)
{
	int err = 0;

	*out = (struct results){ 0 };
	for (uint32_t i = 0; !err && i < r->n_rows; i++) {
		const struct graph_symbol *s = r->rows[i].symbol;

		if (s->verdict == VERDICT_UNCONSUMED)
			err = results_add(out, "unconsumed", true, s->name, site_path(r, s),
					  s->sites[0].line, s->reason);
	}
	if (err)
		complain("out of memory");
	return err;
}

static void compare(struct results *r, const struct graph *then, bool modular)
{
	r->compared = true;
	for (size_t i = 0; i < r->n; i++) {
		const struct graph_symbol *s = graph_find(then, r->v[i].symbol);

		if (s && (modular ? s->modular : s->verdict) == VERDICT_UNCONSUMED)
			r->v[i].known = true;
	}
}

static int compare_tree(struct repo *repo, const git_oid *tree, bool modular, struct results *r)
{
	struct harvested then;
	struct harvest h;
	int err = harvest_open(&h, repo, NULL);

	if (err)
		return err;
	err = harvest_tree(&h, tree, &then);
	if (!err) {
		compare(r, then.graph, modular);
		harvested_free(&then);
	}
	harvest_close(&h);
	return err;
}

int news_since(const char *root, const char *tag, bool modular, struct results *r)
{
	git_oid commit, tree;
	struct repo repo;
	int err = repo_open(root, &repo);

	if (err)
		return err;
	err = repo_commit(&repo, tag, &commit);
	if (!err)
		err = repo_tree_of(&repo, &commit, &tree);
	if (!err)
		err = compare_tree(&repo, &tree, modular, r);
	repo_close(&repo);
	return err;
}
