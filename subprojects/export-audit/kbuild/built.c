// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the Makefiles make of each file. */
#include "kbuild/built.h"
#include "kbuild/mention.h"
#include "kbuild/state.h"
#include "text/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "kvm-intel" and "kvm_intel" are one module. */
static bool same_name(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i] && ((a[i] != '-' && a[i] != '_') || (b[i] != '-' && b[i] != '_')))
			return false;
	return true;
}

int built_words(struct built *b, uint32_t makefile)
{
	const struct source_file *f = &b->files[makefile];

	return mentions_read(b->mentions, f->path, blob_str(f->blob, f->blob->text_str));
}

static bool starts(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* A file in no list may be anything if a Makefile names it in a way that is not understood. */
int built_finish(struct built *b)
{
	for (uint32_t f = 0; f < b->n_files; f++) {
		struct state *s = &b->states[f];
		const char *path = b->files[f].path;
		const struct blob *blob = b->files[f].blob;
		bool program = blob->flags & BLOB_IS_PROGRAM && !(blob->flags & BLOB_IS_MODULE);

		if (s->listed && s->folder && !s->several &&
		    !folders_reached(b->folders, s->folder))
			s->how &= (uint8_t) ~(BUILT_IN | BUILT_MODULE);
		if (s->listed ||
		    (blob->kind != BLOB_C && blob->kind != BLOB_ASM && blob->kind != BLOB_RUST))
			continue;
		s->nameless = true;
		if (!b->any || blob->kind == BLOB_RUST || starts(path, "tools/") ||
		    starts(path, "scripts/") || (!program && mentions_has(b->mentions, path)))
			s->how = BUILT_IN | BUILT_MODULE;
		else if (program)
			s->how = BUILT_PROGRAM;
	}
	return 0;
}

bool built_join(struct built *b, uint32_t file, uint32_t includer)
{
	struct state *to = &b->states[file], *from = &b->states[includer], old = *to;

	if (b->files[includer].blob->kind == BLOB_HEADER) { /* part of all its includers */
		to->how |= BUILT_IN | BUILT_MODULE;
		to->nameless = true;
	}
	to->how |= from->how & (BUILT_IN | BUILT_MODULE);
	to->arches |= from->arches;
	if (from->how & BUILT_MODULE) /* it is in the same modules, whose names are not copied */
		to->nameless = true;
	return to->how != old.how || to->arches != old.arches || to->nameless != old.nameless;
}

uint32_t built_how(const struct built *b, uint32_t file)
{
	return b->states[file].how;
}

static bool names_module(const char *list, const char *module)
{
	size_t len = strlen(module);

	while (*list) {
		size_t n = strcspn(list, ","), m = n;

		while (m && *list == ' ') {
			list++;
			n--;
			m--;
		}
		while (m && list[m - 1] == ' ')
			m--;
		if (m && list[m - 1] == '*' ? m - 1 <= len && same_name(list, module, m - 1)
					    : m == len && same_name(list, module, m))
			return true;
		list += n + (list[n] == ',');
	}
	return false;
}

bool built_allowed(const struct built *b, uint32_t file, const char *list)
{
	const struct state *s = &b->states[file];

	if (s->nameless || !*list ||
	    strspn(list, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-,* ") !=
		    strlen(list))
		return true; /* made by a macro that is not known here */
	for (uint32_t i = s->modules; i; i = b->modules[i - 1].next)
		if (names_module(list, b->modules[i - 1].name))
			return true;
	return !(s->how & BUILT_MODULE);
}

uint64_t built_arches(const struct built *b, uint32_t file)
{
	return b->states[file].arches;
}

const struct wrap *built_wraps(const struct built *b, uint32_t *n)
{
	*n = (uint32_t)b->n_wraps;
	return b->wraps;
}

int built_new(const struct source_file *files, uint32_t n_files, struct built **out)
{
	struct built *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->files = files;
	b->n_files = n_files;
	b->states = calloc(n_files + 1ull, sizeof(*b->states));
	if (!b->states || mentions_new(&b->mentions) || folders_new(b->mentions, &b->folders)) {
		built_free(b);
		return -ENOMEM;
	}
	for (uint32_t f = 0; f < n_files; f++)
		b->states[f].arches = arches_of(&b->arches, files[f].path);
	*out = b;
	return 0;
}

void built_free(struct built *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_modules; i++)
		free(b->modules[i].name);
	for (size_t i = 0; i < b->n_wraps; i++)
		free(b->wraps[i].name);
	arches_fini(&b->arches);
	folders_free(b->folders);
	mentions_free(b->mentions);
	free(b->modules);
	free(b->wraps);
	free(b->states);
	free(b);
}
