// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Tree objects, parsed and kept by id. */
#include "git/trees.h"
#include "base/complain.h"
#include "base/grow.h"
#include "base/hash.h"
#include "text/facts.h"
#include "text/kind.h"

#include <string.h>

#define MAX_DEPTH 64 /* of folders; the deepest kernel tree has 13 */

struct entry {
	const char *name;
	git_oid id;
	struct node *dir; /* NULL: a file, or not read yet */
	bool is_dir;
};

struct node {
	git_oid id;
	uint32_t n;
	uint64_t listed; /* hash of the path under which it was listed; 0: never */
	struct node *chain;
	struct entry v[]; /* names follow */
};

struct trees {
	struct repo *repo;
	struct reader *reader;
	struct node **heads; /* by hash of the id */
	size_t n, mask;
	/* the list being made */
	struct tree_files *out;
	bool only_new;
	char path[4096];
};

int trees_new(struct repo *r, struct reader *reader, struct trees **out)
{
	struct trees *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->repo = r;
	t->reader = reader;
	t->mask = (1u << 14) - 1;
	t->heads = calloc(t->mask + 1, sizeof(*t->heads));
	if (!t->heads) {
		free(t);
		return -ENOMEM;
	}
	*out = t;
	return 0;
}

void trees_free(struct trees *t)
{
	struct node *next;

	if (!t)
		return;
	for (size_t i = 0; i <= t->mask; i++)
		for (struct node *n = t->heads[i]; n; n = next) {
			next = n->chain;
			free(n);
		}
	free(t->heads);
	free(t);
}

static struct node **head_of(struct trees *t, const git_oid *id)
{
	uint32_t h;

	memcpy(&h, id->id, sizeof(h));
	return &t->heads[h & t->mask];
}

/* "100644 name\0" and the id: the length of the name, 0 when it is none. */
static size_t parse_entry(const char **p, const char *end, struct entry *e)
{
	const char *space = memchr(*p, ' ', (size_t)(end - *p)), *nul;
	size_t n;

	nul = space ? memchr(space, 0, (size_t)(end - space)) : NULL;
	if (!nul || end - nul <= GIT_OID_RAWSZ)
		return 0;
	n = (size_t)(nul - space) - 1;
	*e = (struct entry){ .name = space + 1 };
	memcpy(e->id.id, nul + 1, GIT_OID_RAWSZ);
	e->is_dir = **p == '4';
	/* links are 12...., submodules 16....: no files */
	if (!e->is_dir && strncmp(*p, "100", 3))
		e->name = NULL;
	*p = nul + 1 + GIT_OID_RAWSZ;
	return n;
}

static int parse(const git_oid *id, const char *data, size_t size, struct node **out)
{
	const char *end = data + size;
	struct node *node;
	struct entry e;
	size_t n = 0, names = 0, len;
	char *to;

	for (const char *p = data; p < end; n++) {
		len = parse_entry(&p, end, &e);
		if (!len)
			return -EBADMSG;
		names += len + 1;
	}
	node = malloc(sizeof(*node) + n * sizeof(e) + names);
	if (!node)
		return -ENOMEM;
	*node = (struct node){ .id = *id };
	to = (char *)&node->v[n];
	for (const char *p = data; p < end;) {
		len = parse_entry(&p, end, &e);
		if (!e.name)
			continue;
		memcpy(to, e.name, len + 1);
		e.name = to;
		to += len + 1;
		node->v[node->n++] = e;
	}
	*out = node;
	return 0;
}

static void rehash(struct trees *t)
{
	size_t size = (t->mask + 1) * 4;
	struct node **heads = calloc(size, sizeof(*heads)), **old = t->heads;
	size_t was = t->mask + 1;

	if (!heads)
		return; /* longer chains, no more */
	t->heads = heads;
	t->mask = size - 1;
	for (size_t i = 0; i < was; i++)
		for (struct node *n = old[i], *next; n; n = next) {
			struct node **head = head_of(t, &n->id);

			next = n->chain;
			n->chain = *head;
			*head = n;
		}
	free(old);
}

static int node_of(struct trees *t, const git_oid *id, struct node **out)
{
	struct node **head = head_of(t, id), *n = *head;
	const char *data;
	size_t size;
	int err;

	while (n && !git_oid_equal(&n->id, id))
		n = n->chain;
	*out = n;
	if (n)
		return 0;
	err = reader_read(t->reader, id, GIT_OBJECT_TREE, &data, &size);
	if (err == -ENOENT || err == -EFBIG)
		return repo_complain(t->repo, "a tree cannot be read");
	if (!err)
		err = parse(id, data, size, &n);
	if (err == -EBADMSG)
		complain("%s: a tree is broken", t->repo->name);
	if (err)
		return err;
	n->chain = *head;
	*head = *out = n;
	if (++t->n > t->mask)
		rehash(t);
	return 0;
}

static int add_file(struct trees *t, size_t dirlen, const struct entry *e)
{
	struct tree_files *o = t->out;
	size_t len = strlen(e->name), need = o->names_n + dirlen + len + 1;
	enum blob_kind kind;
	char *path;

	if (need > o->names_cap) {
		size_t cap = need * 2 + 4096;
		char *p = realloc(o->names, cap);

		if (!p)
			return -ENOMEM;
		o->names = p;
		o->names_cap = cap;
	}
	path = o->names + o->names_n;
	memcpy(path, t->path, dirlen);
	memcpy(path + dirlen, e->name, len + 1);
	kind = blob_kind(path);
	if (kind == BLOB_SKIP)
		return 0;
	if (grow_room(o->v, o->n, o->cap))
		return -ENOMEM;
	/* paths are offsets until the walk is over, for the names move */
	o->v[o->n++] = (struct tree_file){ (char *)(uintptr_t)o->names_n, e->id, kind };
	o->names_n = need;
	return 0;
}

static int walk(struct trees *t, struct node *node, size_t dirlen, unsigned int depth);

static int walk_dir(struct trees *t, struct entry *e, size_t dirlen, unsigned int depth)
{
	size_t len = strlen(e->name);
	int err = 0;

	if (depth >= MAX_DEPTH || dirlen + len + 2 > sizeof(t->path)) {
		complain("%s: folders nest too deeply at %.*s", t->repo->name, (int)dirlen,
			 t->path);
		return -EINVAL;
	}
	if (!e->dir)
		err = node_of(t, &e->id, &e->dir);
	if (err)
		return err;
	memcpy(t->path + dirlen, e->name, len);
	t->path[dirlen + len] = '/';
	return walk(t, e->dir, dirlen + len + 1, depth + 1);
}

static int walk(struct trees *t, struct node *node, size_t dirlen, unsigned int depth)
{
	uint64_t here = hash_bytes(t->path, dirlen) | 1;
	int err = 0;

	if (t->only_new && node->listed == here)
		return 0;
	for (uint32_t i = 0; !err && i < node->n; i++)
		err = node->v[i].is_dir ? walk_dir(t, &node->v[i], dirlen, depth)
					: add_file(t, dirlen, &node->v[i]);
	if (t->only_new)
		node->listed = here;
	return err;
}

static int list(struct trees *t, const git_oid *tree, bool only_new, struct tree_files *out)
{
	struct node *root;
	int err = node_of(t, tree, &root);

	*out = (struct tree_files){ 0 };
	t->out = out;
	t->only_new = only_new;
	if (!err)
		err = walk(t, root, 0, 0);
	for (size_t i = 0; i < out->n; i++)
		out->v[i].path = out->names + (uintptr_t)out->v[i].path;
	if (err == -ENOMEM)
		complain("out of memory");
	if (err)
		tree_files_free(out);
	return err;
}

int trees_list(struct trees *t, const git_oid *tree, struct tree_files *out)
{
	return list(t, tree, false, out);
}

int trees_list_new(struct trees *t, const git_oid *tree, struct tree_files *out)
{
	return list(t, tree, true, out);
}

void tree_files_free(struct tree_files *t)
{
	free(t->v);
	free(t->names);
	*t = (struct tree_files){ 0 };
}
