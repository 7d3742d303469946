// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Folders with Makefiles, and the folders that descend into them. */
#include "kbuild/folder.h"
#include "base/grow.h"
#include "base/hash.h"
#include "base/hmap.h"
#include "text/facts.h"
#include "text/source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct folder {
	char *path;
	uint32_t by; /* a folder that descends into it; 0: none */
	bool named;  /* some list does, perhaps one that nothing can switch on */
	bool lists;  /* its Makefile has lists */
	bool settled, reached;
};

struct folders {
	const struct mentions *mentions;
	struct folder *v;
	size_t n, cap;
	struct hmap by_path; /* hash of a path to its place */
};

int folders_new(const struct mentions *mentions, struct folders **out)
{
	struct folders *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->mentions = mentions;
	if (hmap_init(&f->by_path, 4096)) {
		folders_free(f);
		return -ENOMEM;
	}
	*out = f;
	return 0;
}

void folders_free(struct folders *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n; i++)
		free(f->v[i].path);
	free(f->v);
	hmap_fini(&f->by_path);
	free(f);
}

uint32_t folders_add(struct folders *f, const char *path)
{
	uint32_t *slot = hmap_slot(&f->by_path, hash_bytes(path, strlen(path)));

	if (!slot)
		return 0;
	if (*slot != HMAP_NONE)
		return *slot + 1;
	if (grow_room(f->v, f->n, f->cap))
		return 0;
	*slot = (uint32_t)f->n;
	f->v[f->n] = (struct folder){ .path = strdup(path) };
	return f->v[f->n].path ? (uint32_t)++f->n : 0;
}

void folders_lists(struct folders *f, uint32_t folder)
{
	f->v[folder - 1].lists = true;
}

int folders_descend(struct folders *f, uint32_t folder, const char *into, bool live)
{
	uint32_t to = folders_add(f, into);

	if (!to)
		return -ENOMEM;
	f->v[folder - 1].lists = f->v[to - 1].named = true;
	if (live)
		f->v[to - 1].by = folder;
	return 0;
}

/* The root of a tree that was added to the one that is judged: nothing is above it. */
static bool is_added_root(const char *path)
{
	return path_is_added(path) && !strchr(path, '/');
}

/* The nearest folder above whose Makefile has lists, from 1; 0: none. */
static uint32_t above(const struct folders *f, const char *path)
{
	char up[1024];

	if (strlen(path) >= sizeof(up))
		return 0;
	strcpy(up, path);
	while (*up && !is_added_root(up)) {
		char *slash = strrchr(up, '/');
		uint32_t at;

		*(slash ? slash : up) = 0;
		at = hmap_get(&f->by_path, hash_bytes(up, strlen(up)));
		if (at != HMAP_NONE && f->v[at].lists)
			return at + 1;
	}
	return 0;
}

/*
 * Does a Makefile descend into the folder, and a Makefile into the folder of that one? If a
 * Makefile is not understood, or has no lists, the answer is yes. Folders of architectures always
 * count.
 */
bool folders_reached(struct folders *f, uint32_t folder)
{
	struct folder *at = &f->v[folder - 1];
	uint32_t up;

	if (at->settled)
		return at->reached;
	at->settled = at->reached = true; /* this ends a circle of folders */
	up = strncmp(at->path, "arch/", 5) ? above(f, at->path) : 0;
	if (!up)
		return true;
	if (at->by)
		at->reached = folders_reached(f, at->by);
	else
		at->reached =
			!at->named && mentions_has(f->mentions, at->path) && folders_reached(f, up);
	return at->reached;
}
