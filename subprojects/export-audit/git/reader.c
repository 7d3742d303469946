// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads objects from packs; those in no pack from memory or through libgit2. */
#include "git/reader.h"
#include "git/delta.h"
#include "git/recent.h"

#include <errno.h>
#include <git2/odb_backend.h>
#include <git2/sys/odb_backend.h>
#include <libdeflate.h>
#include <string.h>

#define MAX_CHAIN 4096u /* of differences; git makes none longer than 4095 */
#define MAX_SIZE (1ull << 30)
#define RECENT_BYTES (48u << 20) /* for each thread */

struct reader {
	const struct objects *objects;
	git_repository *git;
	git_odb *odb; /* opened when needed */
	git_odb_object *object;
	char *written; /* a copy of the last object that was in memory only */
	struct libdeflate_decompressor *inflate;
	char *delta; /* scratch */
	size_t delta_cap;
	struct pack_entry chain[MAX_CHAIN];
	uint64_t places[MAX_CHAIN];
	struct recent recent;
};

int reader_new(const struct objects *o, git_repository *git, struct reader **out)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->objects = o;
	r->git = git;
	recent_init(&r->recent, RECENT_BYTES);
	r->inflate = libdeflate_alloc_decompressor();
	if (!r->inflate) {
		reader_free(r);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

void reader_free(struct reader *r)
{
	if (!r)
		return;
	recent_fini(&r->recent);
	if (r->inflate)
		libdeflate_free_decompressor(r->inflate);
	git_odb_object_free(r->object);
	git_odb_free(r->odb);
	free(r->written);
	free(r->delta);
	free(r);
}

static int inflate(struct reader *r, const struct pack *p, const struct pack_entry *e, char *out)
{
	size_t in, n;

	return libdeflate_zlib_decompress_ex(r->inflate, p->data + e->at,
					     p->data_size - PACK_ID - e->at, out, e->size, &in,
					     &n) == LIBDEFLATE_SUCCESS &&
			       n == e->size
		       ? 0
		       : -EBADMSG;
}

/* Applies the delta E to BASE. */
static int resolve(struct reader *r, const struct pack *p, const struct pack_entry *e,
		   const struct recent_object *base, char **out, size_t *size)
{
	const uint8_t *d, *end;
	uint64_t was, is;
	int err;

	if (e->size > r->delta_cap) {
		free(r->delta);
		r->delta_cap = e->size * 2;
		r->delta = malloc(r->delta_cap);
		if (!r->delta) {
			r->delta_cap = 0;
			return -ENOMEM;
		}
	}
	err = inflate(r, p, e, r->delta);
	d = (const uint8_t *)r->delta;
	end = d + e->size;
	if (err || delta_number(&d, end, &was) || delta_number(&d, end, &is) || was != base->size)
		return -EBADMSG;
	if (is > MAX_SIZE)
		return -EFBIG;
	*out = malloc(is + 1);
	if (!*out)
		return -ENOMEM;
	*size = is;
	(*out)[is] = 0;
	err = delta_apply(d, end, base->data, base->size, *out, is);
	if (err)
		free(*out);
	return err;
}

/* Follows the deltas from PLACE to an object that was read lately (*known) or that is whole. */
static int walk(struct reader *r, const struct pack *p, uint64_t place, uint32_t *n,
		const struct recent_object **known)
{
	uint64_t pack = place >> PACK_SHIFT << PACK_SHIFT;
	int err;

	for (*n = 0; *n < MAX_CHAIN; place = pack | r->chain[*n - 1].base) {
		struct pack_entry *e = &r->chain[*n];

		*known = recent_find(&r->recent, place);
		if (*known)
			return 0;
		err = pack_entry(p, place & ~pack, e);
		if (err)
			return err;
		if (e->size > MAX_SIZE)
			return -EFBIG;
		r->places[(*n)++] = place;
		if (e->type != PACK_DELTA)
			return 0;
	}
	return -EBADMSG;
}

static int whole(struct reader *r, const struct pack *p, const struct pack_entry *e, uint64_t place,
		 const struct recent_object **out)
{
	char *data = malloc(e->size + 1);
	int err;

	if (!data)
		return -ENOMEM;
	err = inflate(r, p, e, data);
	if (err) {
		free(data);
		return err;
	}
	data[e->size] = 0;
	*out = recent_add(&r->recent, place, e->type, data, e->size);
	return 0;
}

static int unpack(struct reader *r, uint64_t place, const struct recent_object **out)
{
	const struct pack *p = &r->objects->packs[place >> PACK_SHIFT];
	const struct recent_object *o = NULL;
	uint32_t n;
	int err = walk(r, p, place, &n, &o);

	if (!err && !o) {
		n--;
		err = whole(r, p, &r->chain[n], r->places[n], &o);
	}
	while (!err && n--) {
		unsigned int type = o->type;
		size_t size;
		char *data;

		err = resolve(r, p, &r->chain[n], o, &data, &size);
		if (!err)
			o = recent_add(&r->recent, r->places[n], type, data, size);
	}
	if (!err)
		*out = o;
	return err;
}

/*
 * Opens the objects that are in no pack. libgit2 must not see the packs that are read here: in a
 * damaged pack it reads where the index says, even outside of the file.
 */
static int open_loose(struct reader *r)
{
	const struct objects *o = r->objects;
	int err;

	if (o->foreign)
		return git_repository_odb(&r->odb, r->git);
	err = git_odb_new(&r->odb);
	for (size_t i = 0; i < o->n_dirs && !err; i++) {
		git_odb_backend *b;

		err = git_odb_backend_loose(&b, o->dirs[i], -1, 0, 0, 0);
		if (!err)
			err = git_odb_add_backend(r->odb, b, 1);
	}
	return err;
}

/* Return: 0; -ENOENT: it was not written by this program; -ENOMEM. */
static int read_memory(struct reader *r, const git_oid *id, git_object_t type, const char **data,
		       size_t *size)
{
	git_odb_backend *m = r->objects->memory;
	git_object_t is;
	void *found;
	char *copy;

	if (!m || m->read(&found, size, &is, m, id))
		return -ENOENT;
	copy = is == type ? malloc(*size + 1) : NULL;
	if (copy) {
		memcpy(copy, found, *size);
		copy[*size] = 0;
		free(r->written);
		*data = r->written = copy;
	}
	git_odb_backend_data_free(m, found);
	return copy ? 0 : is == type ? -ENOMEM : -ENOENT;
}

static int read_loose(struct reader *r, const git_oid *id, git_object_t type, const char **data,
		      size_t *size)
{
	if (!r->odb && open_loose(r))
		return -ENOENT;
	git_odb_object_free(r->object);
	r->object = NULL;
	if (git_odb_read(&r->object, r->odb, id) || git_odb_object_type(r->object) != type)
		return -ENOENT;
	*data = git_odb_object_data(r->object);
	*size = git_odb_object_size(r->object);
	return 0;
}

int reader_read_at(struct reader *r, uint64_t place, const git_oid *id, git_object_t type,
		   const char **data, size_t *size)
{
	const struct recent_object *o;
	int err = -ENOENT;

	if (place != OBJECTS_LOOSE)
		err = unpack(r, place, &o);
	else if ((err = read_memory(r, id, type, data, size)) != -ENOENT)
		return err;
	if (err == -ENOMEM || err == -EFBIG)
		return err;
	if (err || o->type != (unsigned int)type)
		return read_loose(r, id, type, data, size);
	*data = o->data;
	*size = o->size;
	return 0;
}

int reader_read(struct reader *r, const git_oid *id, git_object_t type, const char **data,
		size_t *size)
{
	return reader_read_at(r, objects_place(r->objects, id), id, type, data, size);
}
