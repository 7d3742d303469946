// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The packs of a repository, and of the repositories that it borrows objects from. */
#include "git/objects.h"
#include "base/grow.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define MAX_ALTERNATES 5

/* Version 2 begins with a magic number, version 1 with its table. */
static bool is_foreign(const char *index)
{
	FILE *f = fopen(index, "r");
	char magic[4];
	bool foreign = f && fread(magic, 4, 1, f) == 1 && memcmp(magic, "\377tOc", 4);

	if (f)
		fclose(f);
	return foreign;
}

static int add_packs(struct objects *o, const char *dir)
{
	char path[4096];
	struct dirent *e;
	int err = 0;
	DIR *d;

	if (snprintf(path, sizeof(path), "%s/pack", dir) >= (int)sizeof(path))
		return 0;
	d = opendir(path);
	while (d && !err && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (n < 4 || strcmp(e->d_name + n - 4, ".idx") || o->n >> (64 - PACK_SHIFT) ||
		    snprintf(path, sizeof(path), "%s/pack/%s", dir, e->d_name) >= (int)sizeof(path))
			continue;
		err = grow_room(o->packs, o->n, o->cap);
		if (!err && !pack_open(path, &o->packs[o->n]))
			o->n++;
		else
			o->foreign |= is_foreign(path);
	}
	if (d)
		closedir(d);
	return err;
}

/* objects/info/alternates: further object directories, one a line. */
static int add_directory(struct objects *o, const char *dir, int depth)
{
	char path[4096], line[4096];
	int err = add_packs(o, dir);
	FILE *f = NULL;

	if (!err)
		err = grow_room(o->dirs, o->n_dirs, o->cap_dirs);
	if (!err && !(o->dirs[o->n_dirs++] = strdup(dir)))
		err = -ENOMEM;

	if (!err && depth < MAX_ALTERNATES &&
	    snprintf(path, sizeof(path), "%s/info/alternates", dir) < (int)sizeof(path))
		f = fopen(path, "r");
	while (f && !err && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (*line == '/')
			err = add_directory(o, line, depth + 1);
		else if (*line && *line != '#' &&
			 snprintf(path, sizeof(path), "%s/%s", dir, line) < (int)sizeof(path))
			err = add_directory(o, path, depth + 1);
	}
	if (f)
		fclose(f);
	return err;
}

int objects_open(git_repository *git, struct objects **out)
{
	struct objects *o = calloc(1, sizeof(*o));
	char dir[4096];
	int err = o ? 0 : -ENOMEM;

	if (!err && snprintf(dir, sizeof(dir), "%sobjects", git_repository_commondir(git)) <
			    (int)sizeof(dir))
		err = add_directory(o, dir, 0);
	if (err)
		objects_close(o);
	else
		*out = o;
	return err;
}

void objects_close(struct objects *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < o->n; i++)
		pack_close(&o->packs[i]);
	for (size_t i = 0; i < o->n_dirs; i++)
		free(o->dirs[i]);
	free(o->dirs);
	free(o->packs);
	free(o);
}

void objects_memory(struct objects *o, git_odb_backend *memory)
{
	o->memory = memory;
}

void objects_trim(const struct objects *o)
{
	for (size_t i = 0; i < o->n; i++)
		pack_trim(&o->packs[i]);
}

uint64_t objects_place(const struct objects *o, const git_oid *id)
{
	uint64_t offset;

	for (size_t i = 0; i < o->n; i++)
		if (pack_find(&o->packs[i], id->id, &offset) && !(offset >> PACK_SHIFT))
			return (uint64_t)i << PACK_SHIFT | offset;
	return OBJECTS_LOOSE;
}
