// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Threads that read and scan blobs. */
#include "harvest/intake.h"
#include "base/complain.h"
#include "base/grow.h"
#include "git/reader.h"
#include "text/scan.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define CHUNK 128u              /* blobs that a thread takes at a time: neighbours in a pack */
#define TRIM_CHUNKS 32u         /* of them between two times that the packs' memory goes */
#define FLUSH_BYTES (96u << 20) /* of facts, before they go to disk */
#define REST_BYTES (16u << 20)  /* the same, when all are read */

struct job {
	uint64_t place;
	git_oid id;
	uint8_t kind;
	bool done;
};

struct pool {
	struct harvest *harvest;
	const struct intake *in;
	atomic_size_t next;
	pthread_mutex_t lock; /* of the members below, and of the cache */
	int err;
};

int intake_add(struct intake *in, struct harvest *h, const struct tree_files *files)
{
	size_t size;
	int err = 0;

	for (size_t i = 0; !err && i < files->n; i++) {
		const struct tree_file *f = &files->v[i];

		if (store_find(h->store, f->id.id, f->kind, &size))
			continue;
		err = grow_room(in->v, in->n, in->cap);
		if (!err)
			in->v[in->n++] = (struct job){ .place = objects_place(h->objects, &f->id),
						       .id = f->id,
						       .kind = (uint8_t)f->kind };
	}
	return err;
}

static int compare(const void *a, const void *b)
{
	const struct job *x = a, *y = b;
	int c;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	c = git_oid_cmp(&x->id, &y->id);
	return c ? c : (int)x->kind - (int)y->kind;
}

static void sort(struct intake *in)
{
	size_t n = 0;

	if (in->n)
		qsort(in->v, in->n, sizeof(*in->v), compare);
	for (size_t i = 0; i < in->n; i++)
		if (!n || compare(&in->v[n - 1], &in->v[i]))
			in->v[n++] = in->v[i];
	in->n = n;
}

/* Return: 0 (*out is NULL if the blob is too large to be source); -ENOENT; -ENOMEM. */
static int scan(struct reader *r, struct blob_scanner *sc, const struct job *j, struct blob **out)
{
	const char *data;
	size_t size;
	int err = reader_read_at(r, j->place, &j->id, GIT_OBJECT_BLOB, &data, &size);

	*out = NULL;
	if (!err)
		err = blob_scan(sc, (enum blob_kind)j->kind, data, size, out);
	return err == -EFBIG ? 0 : err;
}

static int store(struct harvest *h, struct job *j, struct blob *b)
{
	int err = b ? store_add(h->store, j->id.id, j->kind, b, b->size) : 0;

	if (err)
		free(b);
	j->done = !err;
	h->blobs_read += !err && b;
	return err;
}

static int store_chunk(struct pool *p, struct job *jobs, struct blob **blobs, const bool *have,
		       size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n; i++) {
		if (!have[i])
			continue;
		if (err)
			free(blobs[i]);
		else
			err = store(p->harvest, &jobs[i], blobs[i]);
	}
	if (!err) /* finish() tries again, and reports the failure */
		store_flush(p->harvest->store, FLUSH_BYTES, true);
	return err;
}

/* One chunk; what cannot be read is left for finish(). */
static int run_chunk(struct pool *p, struct reader *r, struct blob_scanner *sc, struct job *jobs,
		     size_t n)
{
	struct blob *blobs[CHUNK];
	bool have[CHUNK] = { false };
	int err = 0, stored;

	for (size_t i = 0; err != -ENOMEM && i < n; i++) {
		err = scan(r, sc, &jobs[i], &blobs[i]);
		have[i] = !err;
	}
	pthread_mutex_lock(&p->lock);
	stored = store_chunk(p, jobs, blobs, have, n);
	p->err = p->err ? p->err : err == -ENOMEM ? err : stored;
	err = p->err;
	pthread_mutex_unlock(&p->lock);
	return err;
}

static void *work(void *arg)
{
	struct pool *p = arg;
	const struct objects *objects = p->harvest->objects;
	struct blob_scanner *sc = NULL;
	git_repository *git = NULL;
	struct reader *r = NULL;

	/*
	 * a handle of libgit2 is for one thread; finish() does the jobs of a thread that has none
	 */
	if (blob_scanner_new(&sc) || git_repository_open(&git, p->harvest->repo->path) ||
	    reader_new(objects, git, &r))
		goto out;
	for (;;) {
		size_t chunk = atomic_fetch_add(&p->next, 1), first = chunk * CHUNK;

		if (first >= p->in->n ||
		    run_chunk(p, r, sc, p->in->v + first,
			      p->in->n - first < CHUNK ? p->in->n - first : CHUNK))
			break;
		if (chunk % TRIM_CHUNKS == 0)
			objects_trim(objects);
	}
out:
	reader_free(r);
	git_repository_free(git);
	blob_scanner_free(sc);
	return NULL;
}

/* Does the jobs that no thread did: few ones, and blobs that are only in memory or missing. */
static int finish(struct intake *in, struct harvest *h)
{
	struct blob_scanner *sc = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	int err = 0;

	for (size_t i = 0; !err && i < in->n; i++) {
		struct job *j = &in->v[i];
		struct blob *b;

		if (j->done)
			continue;
		if (!sc)
			err = blob_scanner_new(&sc);
		if (!err)
			err = scan(h->reader, sc, j, &b);
		if (!err)
			err = store(h, j, b);
		if (err == -ENOENT) {
			git_oid_tostr(hex, sizeof(hex), &j->id);
			complain("%s is broken: it has no blob %s", h->repo->name, hex);
		}
	}
	blob_scanner_free(sc);
	if (err == -ENOMEM)
		complain("out of memory");
	return err;
}

int intake_run(struct intake *in, struct harvest *h)
{
	struct pool p = { .harvest = h, .in = in, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t threads[HARVEST_THREADS];
	unsigned int n = 0, want = in->n < 2 * CHUNK ? 0 : h->threads;

	sort(in);
	while (n < want && !pthread_create(&threads[n], NULL, work, &p))
		n++;
	for (unsigned int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	if (n) {
		objects_trim(h->objects);
		store_flush(h->store, REST_BYTES, true);
		malloc_trim(0); /* gives back what the threads freed, some hundred megabytes */
	}
	if (p.err) {
		complain("out of memory");
		return p.err;
	}
	return finish(in, h);
}

void intake_free(struct intake *in)
{
	free(in->v);
	*in = (struct intake){ 0 };
}
