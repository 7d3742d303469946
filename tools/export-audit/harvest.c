// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads and scans, with some threads, the blobs of a tree that the cache does not know. */
#include "harvest.h"

#include "command.h"
#include "core_id.h"
#include "grow.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define FLUSH_BYTES (64u << 20)

static bool valid(uint32_t kind, const void *block, size_t size)
{
	if (kind == SUMMARY_KIND)
		return summary_valid(block, size);
	return blob_valid(block, size) && ((const struct blob *)block)->kind == kind;
}

int harvest_open(struct harvest *h, struct repo *repo, const char *cache)
{
	char version[64];

	*h = (struct harvest){ .repo = repo, .threads = 2 };
	snprintf(version, sizeof(version), "v1-%s", CORE_ID);
	if (store_open(cache, version, &h->store)) {
		complain("out of memory");
		return -ENOMEM;
	}
	store_check(h->store, valid);
	return 0;
}

void harvest_close(struct harvest *h)
{
	int err = store_flush(h->store, 0, false);

	if (err)
		fprintf(stderr, "export-audit: warning: the cache could not be written: %s\n",
			strerror(-err));
	store_close(h->store);
	h->store = NULL;
}

/* A blob to scan; several files can have it. */
struct job {
	git_oid id;
	enum blob_kind kind;
	struct blob *out;
	int err; /* -ENOENT: this thread's object database did not have it */
};

struct pool {
	const char *path;
	struct job *jobs;
	size_t n;
	atomic_size_t next;
};

static int run_job(git_odb *odb, struct blob_scanner *sc, struct job *j)
{
	git_odb_object *o;
	int err;

	if (git_odb_read(&o, odb, &j->id))
		return -ENOENT;
	if (git_odb_object_type(o) != GIT_OBJECT_BLOB)
		err = -ENOENT;
	else
		err = blob_scan(sc, j->kind, git_odb_object_data(o), git_odb_object_size(o),
				&j->out);
	git_odb_object_free(o);
	return err;
}

/* Each thread has its own repository: libgit2 locks less that way. */
static void *work(void *arg)
{
	struct blob_scanner *sc = NULL;
	git_repository *git = NULL;
	struct pool *p = arg;
	git_odb *odb = NULL;

	if (blob_scanner_new(&sc) || git_repository_open(&git, p->path) ||
	    git_repository_odb(&odb, git))
		goto out; /* what is left undone is done by the caller's thread */
	for (;;) {
		size_t i = atomic_fetch_add(&p->next, 1);

		if (i >= p->n)
			break;
		p->jobs[i].err = run_job(odb, sc, &p->jobs[i]);
	}
out:
	git_odb_free(odb);
	git_repository_free(git);
	blob_scanner_free(sc);
	return NULL;
}

/* Jobs that no thread could do: their blobs are only in memory, or are really missing. */
static int finish_jobs(struct harvest *h, struct job *jobs, size_t n)
{
	struct blob_scanner *sc = NULL;
	git_odb *odb = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	int err = 0;

	if (git_repository_odb(&odb, h->repo->git))
		return repo_complain(h->repo, "its objects cannot be read");
	for (size_t i = 0; !err && i < n; i++) {
		struct job *j = &jobs[i];

		if (j->err == -ENOENT && !sc)
			err = blob_scanner_new(&sc);
		if (!err && j->err == -ENOENT)
			j->err = run_job(odb, sc, j);
		if (j->err == -ENOENT) {
			git_oid_tostr(hex, sizeof(hex), &j->id);
			complain("%s is broken: it has no blob %s", h->repo->name, hex);
			err = -EIO;
		} else if (j->err == -ENOMEM) {
			err = -ENOMEM;
		}
	}
	git_odb_free(odb);
	blob_scanner_free(sc);
	if (err == -ENOMEM)
		complain("out of memory");
	return err;
}

static int run_jobs(struct harvest *h, struct job *jobs, size_t n)
{
	struct pool p = { .path = h->repo->path, .jobs = jobs, .n = n };
	pthread_t threads[16];
	unsigned int started = 0, want = n < 64 ? 0 : h->threads;

	for (size_t i = 0; i < n; i++)
		jobs[i].err = -ENOENT;
	while (started < want && started < 16 && !pthread_create(&threads[started], NULL, work, &p))
		started++;
	for (unsigned int i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return finish_jobs(h, jobs, n);
}

static int store_jobs(struct harvest *h, struct job *jobs, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n; i++) {
		struct job *j = &jobs[i];

		if (!j->out)
			continue;
		if (!err)
			err = store_add(h->store, j->id.id, j->kind, j->out, j->out->size);
		if (err)
			free(j->out);
		h->blobs_read++;
	}
	if (err)
		complain("out of memory");
	return err;
}

static int compare_jobs(const void *a, const void *b)
{
	const struct job *x = a, *y = b;
	int c = git_oid_cmp(&x->id, &y->id);

	return c ? c : (int)x->kind - (int)y->kind;
}

/*
 * The blobs that the cache lacks, each once.  They are sorted by id, which costs the
 * locality of a pack's deltas and saves reading what several files share.
 */
static int missing(struct harvest *h, const struct tree_files *t, struct job **jobs, size_t *n)
{
	size_t cap = 0, all = 0, size;

	for (size_t i = 0; i < t->n; i++) {
		if (store_find(h->store, t->v[i].id.id, t->v[i].kind, &size))
			continue;
		if (grow_room(*jobs, all, cap)) {
			complain("out of memory");
			return -ENOMEM;
		}
		(*jobs)[all++] = (struct job){ .id = t->v[i].id, .kind = t->v[i].kind };
	}
	if (all)
		qsort(*jobs, all, sizeof(**jobs), compare_jobs);
	for (size_t i = 0; i < all; i++)
		if (!*n || compare_jobs(&(*jobs)[*n - 1], &(*jobs)[i]))
			(*jobs)[(*n)++] = (*jobs)[i];
	return 0;
}

static int scan_missing(struct harvest *h, const struct tree_files *t)
{
	struct job *jobs = NULL;
	size_t n = 0;
	int err = missing(h, t, &jobs, &n);

	if (!err && n) {
		err = run_jobs(h, jobs, n);
		if (!err)
			err = store_jobs(h, jobs, n);
		else
			for (size_t i = 0; i < n; i++)
				free(jobs[i].out);
	}
	free(jobs);
	return err;
}

/* The files, and their facts in the cache. */
static int prepare(struct harvest *h, const git_oid *tree, struct harvested *t)
{
	int err = repo_list(h->repo, tree, &t->files);

	return err ? err : scan_missing(h, &t->files);
}

/* Borrows the facts; nobody else may have borrowed any. */
static int collect(struct harvest *h, struct harvested *t)
{
	store_flush(h->store, FLUSH_BYTES, true); /* tried again, and reported, at the end */
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
			t->facts[t->n++] = (struct graph_file){ f->path, b };
	}
	return 0;
}

int harvest_tree(struct harvest *h, const git_oid *tree, struct harvested *out)
{
	struct harvested t = { 0 };
	int err = prepare(h, tree, &t);

	if (!err)
		err = collect(h, &t);
	if (!err) {
		h->trees_resolved++;
		err = graph_resolve(t.facts, t.n, h->threads, &t.graph);
		if (err)
			complain("out of memory");
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
	struct job j = { .id = *id, .kind = blob_kind(path) };
	size_t size;
	int err;

	if (j.kind == BLOB_SKIP)
		return -EINVAL;
	*out = store_find(h->store, id->id, j.kind, &size);
	if (*out)
		return 0;
	err = run_jobs(h, &j, 1);
	if (!err && !j.out)
		return -EINVAL;
	if (!err)
		err = store_jobs(h, &j, 1);
	if (!err)
		*out = store_find(h->store, id->id, j.kind, &size);
	return err;
}

/* A tree being resolved by a thread of its own, which touches nothing of the cache. */
struct resolving {
	struct harvested tree;
	git_oid id;
	const struct summary **out;
	struct summary *summary;
	pthread_t thread;
	bool threaded, busy;
	int err;
};

static void *resolve(void *arg)
{
	struct resolving *r = arg;

	r->err = graph_resolve(r->tree.facts, r->tree.n, 1, &r->tree.graph);
	if (!r->err)
		r->err = summary_new(r->tree.graph, r->tree.facts, &r->summary);
	return NULL;
}

static int finish(struct harvest *h, struct resolving *r)
{
	if (!r->busy)
		return 0;
	if (r->threaded)
		pthread_join(r->thread, NULL);
	r->busy = false;
	if (!r->err)
		r->err = store_add(h->store, r->id.id, SUMMARY_KIND, r->summary, r->summary->size);
	if (r->err) {
		free(r->summary);
		complain("out of memory");
	} else {
		*r->out = r->summary;
	}
	r->summary = NULL;
	harvested_free(&r->tree);
	return r->err;
}

/* Reads NEXT while R, the tree before it, is being resolved; then it is R's turn to be NEXT. */
static int follow(struct harvest *h, struct resolving *r, const git_oid *tree,
		  const struct summary **out)
{
	struct harvested t = { 0 };
	int err = prepare(h, tree, &t), before = finish(h, r);

	if (!err)
		err = before;
	if (!err)
		err = collect(h, &t);
	if (err) {
		harvested_free(&t);
		return err;
	}
	*r = (struct resolving){ .tree = t, .id = *tree, .out = out, .busy = true };
	h->trees_resolved++;
	r->threaded = !pthread_create(&r->thread, NULL, resolve, r);
	if (!r->threaded)
		resolve(r);
	return 0;
}

int harvest_summaries(struct harvest *h, const git_oid *const *trees, size_t n,
		      const struct summary **out)
{
	struct resolving r = { 0 };
	int err = 0, last;
	size_t size;

	for (size_t i = 0; !err && i < n; i++) {
		out[i] = store_find(h->store, trees[i]->id, SUMMARY_KIND, &size);
		if (!out[i] && r.busy && git_oid_equal(&r.id, trees[i])) {
			err = finish(h, &r); /* two releases with one tree */
			out[i] = *r.out;
		} else if (!out[i]) {
			err = follow(h, &r, trees[i], &out[i]);
		}
	}
	last = finish(h, &r);
	return err ? err : last;
}

int harvest_summary(struct harvest *h, const git_oid *tree, const struct summary **out)
{
	return harvest_summaries(h, &tree, 1, out);
}
