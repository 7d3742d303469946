// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Reads the objects whose ids and types are on stdin, and says of each where it was found and the
 * CRC of its bytes.  Usage: objects REPOSITORY
 */
#include "git/objects.h"
#include "git/reader.h"

#include <libdeflate.h>
#include <stdio.h>
#include <string.h>

static const char *describe(struct reader *r, const struct objects *o, const git_oid *id,
			    git_object_t type, char *out, size_t room)
{
	const char *data;
	size_t size;

	if (reader_read(r, id, type, &data, &size))
		return "missing";
	snprintf(out, room, "%s %zu %08x", objects_place(o, id) == OBJECTS_LOOSE ? "loose" : "pack",
		 size, libdeflate_crc32(0, data, size));
	return data[size] ? "not ended by a NUL" : out;
}

int main(int argc, char **argv)
{
	char hex[64], type[16], text[64];
	git_repository *git;
	struct objects *o;
	struct reader *r;
	git_oid id;

	git_libgit2_init();
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	if (argc != 2 || git_repository_open(&git, argv[1]) || objects_open(git, &o) ||
	    reader_new(o, git, &r))
		return 2;
	while (scanf("%63s %15s", hex, type) == 2 && !git_oid_fromstr(&id, hex))
		printf("%s %s\n", hex,
		       describe(r, o, &id, git_object_string2type(type), text, sizeof(text)));
	reader_free(r);
	objects_close(o);
	git_repository_free(git);
	git_libgit2_shutdown();
	return 0;
}
