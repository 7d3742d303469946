// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads all blobs that the cache lacks, then resolves the trees, one by each thread. */
#include "harvest/harvest.h"
#include "base/complain.h"
#include "core_id.h"
#include "git/reader.h"
#include "harvest/intake.h"
#include "text/kind.h"
#include "text/source.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

static bool valid(uint32_t kind, const void *block, size_t size)
{
	if (kind == SUMMARY_KIND)
		return summary_valid(block, size);
	return blob_valid(block, size) && ((const struct blob *)block)->kind == kind;
}

static unsigned int processors(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return n < 1 ? 1 : n < (int)HARVEST_THREADS ? (unsigned int)n : HARVEST_THREADS;
}

int harvest_open(struct harvest *h, struct repo *repo, const char *cache)
{
	char version[64];
	int err;

	*h = (struct harvest){ .repo = repo, .threads = processors() };
	snprintf(version, sizeof(version), "v1-%s", CORE_ID);
	err = store_open(cache, version, &h->store);
	if (!err)
		err = objects_open(repo->git, &h->objects);
	if (!err)
		objects_memory(h->objects, repo->memory);
	if (!err)
		err = reader_new(h->objects, repo->git, &h->reader);
	if (!err)
		err = trees_new(repo, h->reader, &h->trees);
	if (err) {
		complain("out of memory");
		harvest_close(h);
		return err;
	}
	store_check(h->store, valid);
	return 0;
}

void harvest_close(struct harvest *h)
{
	int err = h->store ? store_flush(h->store, 0, false) : 0;

	if (err)
		fprintf(stderr, "export-audit: warning: the cache could not be written: %s\n",
			strerror(-err));
	store_close(h->store);
	trees_free(h->trees);
	reader_free(h->reader);
	objects_close(h->objects);
	*h = (struct harvest){ 0 };
}

/* Adds the blobs of a tree that the cache lacks. */
static int want_tree(struct harvest *h, const git_oid *tree, struct intake *in)
{
	struct tree_files files;
	int err = trees_list_new(h->trees, tree, &files);

	if (err)
		return err;
	err = intake_add(in, h, &files);
	if (err)
		complain("out of memory");
	tree_files_free(&files);
	return err;
}

/* Tells the user of expansions that were cut. */
static void warn_of_cuts(const struct harvested *t)
{
	const struct graph *g = t->graph;

	if (g->n_cuts)
		fprintf(stderr,
			"export-audit: warning: the expansion of macros was cut short %u times, "
			"first "
			"in %s:%u: exports may be missing\n",
			g->n_cuts, t->facts[g->cuts[0].file].path, g->cuts[0].line);
}

/* The files and their facts, which are in the cache now. */
static int load(struct harvest *h, const git_oid *tree, struct harvested *t)
{
	int err = trees_list(h->trees, tree, &t->files);

	if (err)
		return err;
	t->facts = calloc(t->files.n + 1, sizeof(*t->facts));
	if (!t->facts) {
		complain("out of memory");
		return -ENOMEM;
	}
	for (size_t i = 0; i < t->files.n; i++) {
		const struct tree_file *f = &t->files.v[i];
		size_t size;
		const struct blob *b = store_find(h->store, f->id.id, f->kind, &size);

		if (b) /* else the scanner refused it: larger than a source file can be */
			t->facts[t->n++] = (struct source_file){ f->path, b };
	}
	h->trees_resolved++;
	return 0;
}

int harvest_tree(struct harvest *h, const git_oid *tree, struct harvested *out)
{
	struct harvested t = { 0 };
	struct intake in = { 0 };
	int err = want_tree(h, tree, &in);

	if (!err)
		err = intake_run(&in, h);
	intake_free(&in);
	if (!err)
		err = load(h, tree, &t);
	if (!err) {
		err = graph_resolve(t.facts, t.n, h->threads, &t.graph);
		if (err)
			complain("out of memory");
		else
			warn_of_cuts(&t);
	}
	if (err)
		harvested_free(&t);
	else
		*out = t;
	return err;
}

void harvested_free(struct harvested *t)
{
	if (t->graph)
		graph_free(t->graph);
	free(t->facts);
	tree_files_free(&t->files);
	*t = (struct harvested){ 0 };
}

int harvest_blob(struct harvest *h, const char *path, const git_oid *id, const struct blob **out)
{
	struct tree_file file = { .path = path, .id = *id, .kind = blob_kind(path) };
	struct tree_files files = { .v = &file, .n = 1 };
	struct intake in = { 0 };
	size_t size;
	int err;

	if (file.kind == BLOB_SKIP)
		return -EINVAL;
	*out = store_find(h->store, id->id, file.kind, &size);
	if (*out)
		return 0;
	err = intake_add(&in, h, &files);
	if (err)
		complain("out of memory");
	else
		err = intake_run(&in, h);
	intake_free(&in);
	if (err)
		return err;
	*out = store_find(h->store, id->id, file.kind, &size);
	return *out ? 0 : -EINVAL;
}

/* Trees to be resolved, each by one thread. */
struct work {
	struct harvest *h;
	const git_oid *const *trees;
	const struct summary **out;
	size_t n, next;
	pthread_mutex_t lock; /* of this and of the harvest */
	int err;
};

/* Is the summary there, or does an earlier job make it, of the same tree? */
static bool is_settled(struct harvest *h, const git_oid *const *trees, const struct summary **out,
		       size_t i)
{
	size_t size;

	out[i] = store_find(h->store, trees[i]->id, SUMMARY_KIND, &size);
	for (size_t j = 0; j < i && !out[i]; j++)
		if (git_oid_equal(trees[i], trees[j]))
			return true;
	return out[i];
}

/* Gets the next tree with its facts; false if there is none, or on failure. */
static bool take(struct work *w, struct harvested *t, size_t *at)
{
	bool found = false;

	pthread_mutex_lock(&w->lock);
	while (!w->err && !found && w->next < w->n) {
		*at = w->next++;
		found = !is_settled(w->h, w->trees, w->out, *at);
	}
	if (found) {
		store_trim(w->h->store);
		w->err = load(w->h, w->trees[*at], t);
	}
	found = found && !w->err;
	pthread_mutex_unlock(&w->lock);
	return found;
}

static void give(struct work *w, size_t at, struct summary *s, int err)
{
	pthread_mutex_lock(&w->lock);
	if (!err)
		err = store_add(w->h->store, w->trees[at]->id, SUMMARY_KIND, s, s->size);
	if (err) {
		free(s);
		if (!w->err)
			complain("out of memory");
		w->err = err;
	} else {
		w->out[at] = s;
	}
	pthread_mutex_unlock(&w->lock);
}

static void *resolve(void *arg)
{
	struct work *w = arg;
	struct harvested t = { 0 };
	size_t at;

	while (take(w, &t, &at)) {
		struct summary *s = NULL;
		int err = graph_resolve(t.facts, t.n, w->n == 1 ? w->h->threads : 1, &t.graph);

		if (!err)
			warn_of_cuts(&t);
		if (!err)
			err = summary_new(t.graph, t.facts, &s);
		harvested_free(&t);
		malloc_trim(0); /* else each tree would leave unused memory behind */
		give(w, at, s, err);
	}
	harvested_free(&t);
	return NULL;
}

static int resolve_all(struct work *w)
{
	pthread_t threads[HARVEST_THREADS];
	unsigned int n = 0;
	size_t size;

	while (n + 1 < w->h->threads && n + 1 < w->n &&
	       !pthread_create(&threads[n], NULL, resolve, w))
		n++;
	resolve(w);
	while (n)
		pthread_join(threads[--n], NULL);
	for (size_t i = 0; !w->err && i < w->n; i++) /* two releases with one tree */
		if (!w->out[i])
			w->out[i] = store_find(w->h->store, w->trees[i]->id, SUMMARY_KIND, &size);
	return w->err;
}

int harvest_summaries(struct harvest *h, const git_oid *const *trees, size_t n,
		      const struct summary **out)
{
	struct work w = { .h = h, .trees = trees, .out = out, .n = n };
	struct intake in = { 0 };
	int err = 0;

	for (size_t i = 0; !err && i < n; i++)
		if (!is_settled(h, trees, out, i))
			err = want_tree(h, trees[i], &in);
	if (!err)
		err = intake_run(&in, h);
	intake_free(&in);
	if (err)
		return err;
	pthread_mutex_init(&w.lock, NULL);
	err = resolve_all(&w);
	pthread_mutex_destroy(&w.lock);
	return err;
}

int harvest_summary(struct harvest *h, const git_oid *tree, const struct summary **out)
{
	return harvest_summaries(h, &tree, 1, out);
}
