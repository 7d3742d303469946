// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Words of Makefiles that look like files. */
#include "kbuild/mention.h"
#include "base/grow.h"
#include "base/hash.h"
#include "base/hmap.h"
#include "kbuild/path.h"
#include "text/facts.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD 256
#define LITERAL_MIN 3 /* characters of a name that is a variable in part */

/* A path without its suffix, where a part of the name is a variable. */
struct pattern {
	char *text;
	size_t head, tail; /* characters before the first variable, and after the last */
	int flags;         /* of fnmatch() */
};

struct mentions {
	struct hmap stems;    /* path without its suffix */
	struct hmap distinct; /* the patterns */
	struct pattern *patterns;
	size_t n_patterns, c_patterns;
};

int mentions_new(struct mentions **out)
{
	struct mentions *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	if (hmap_init(&m->stems, 16384) || hmap_init(&m->distinct, 1024)) {
		mentions_free(m);
		return -ENOMEM;
	}
	*out = m;
	return 0;
}

void mentions_free(struct mentions *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_patterns; i++)
		free(m->patterns[i].text);
	free(m->patterns);
	hmap_fini(&m->stems);
	hmap_fini(&m->distinct);
	free(m);
}

/* Length of the path without ".o", ".c" or the like. */
static size_t stem_length(const char *s)
{
	static const char *const ends[] = { ".o",  ".c",  ".S",         ".s",        ".rs",
					    ".ko", ".lo", ".c_shipped", ".S_shipped" };
	size_t n = strlen(s);

	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
		size_t k = strlen(ends[i]);

		if (n > k && !strcmp(s + n - k, ends[i]))
			return n - k;
	}
	return n;
}

static int add_pattern(struct mentions *m, const char *path)
{
	uint32_t *slot = hmap_slot(&m->distinct, hash_bytes(path, strlen(path)));
	struct pattern *p;

	if (!slot || grow_room(m->patterns, m->n_patterns, m->c_patterns))
		return -ENOMEM;
	if (*slot != HMAP_NONE)
		return 0;
	*slot = (uint32_t)m->n_patterns;
	p = &m->patterns[m->n_patterns];
	*p = (struct pattern){ .text = strdup(path), .head = strcspn(path, "*?[\\") };
	if (!p->text)
		return -ENOMEM;
	for (const char *rest = path + p->head; *rest; rest++)
		p->tail = strchr("*?[]\\", *rest) ? 0 : p->tail + 1;
	p->flags = strstr(path, "/*/") ? 0 : FNM_PATHNAME;
	m->n_patterns++;
	return 0;
}

static bool matches(const struct pattern *p, const char *stem, size_t n)
{
	return n >= p->head + p->tail && !memcmp(stem, p->text, p->head) &&
	       !memcmp(stem + n - p->tail, p->text + strlen(p->text) - p->tail, p->tail) &&
	       !fnmatch(p->text, stem, p->flags);
}

/* Is enough of the name written to tell it from others? */
static bool telling(const char *path)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	size_t n = 0;

	for (size_t i = 0; base[i]; i++)
		n += base[i] != '*' && base[i] != '.';
	return n >= LITERAL_MIN || (n && !strchr(base, '*'));
}

/* "$(obj)/x.o" is of this folder or of any below the same top; "*" alone would be all of it. */
static int add_word(struct mentions *m, const char *dir, char *w)
{
	char path[1024];
	uint32_t *slot;
	size_t n;

	while (!strncmp(w, "*/", 2)) {
		char any[1024];

		w += 2;
		snprintf(any, sizeof(any), "%.*s/*/%s", (int)strcspn(dir, "/"), dir, w);
		any[stem_length(any)] = 0;
		if (*dir && telling(any) && add_pattern(m, any))
			return -ENOMEM;
	}
	if (!*w || strlen(w) >= WORD)
		return 0;
	make_path(dir, w, path, sizeof(path));
	n = stem_length(path);
	path[n] = 0;
	if (!telling(path))
		return 0;
	if (strchr(path, '*'))
		return add_pattern(m, path);
	slot = hmap_slot(&m->stems, hash_bytes(path, strlen(path)));
	if (slot)
		*slot = 0;
	return slot ? 0 : -ENOMEM;
}

static bool of_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_-.+/%*", c));
}

/* Length of "$(name)" at s; 0 if it is a function or no reference. */
static size_t variable(const char *s)
{
	size_t n;

	if (s[0] != '$' || (s[1] != '(' && s[1] != '{'))
		return 0;
	n = 2 + strcspn(s + 2, " \t\n,()${}:");
	return s[n] == ')' || s[n] == '}' ? n + 1 : 0;
}

/* A $(wildcard *.c) names all files of the folder. */
static int wildcards(struct mentions *m, const char *dir, const char *text)
{
	char path[1024];

	for (const char *p = text; *dir && (p = strstr(p, "$(wildcard ")); p++) {
		const char *star = strchr(p, '*');

		if (!star || star > p + strcspn(p, "\n") ||
		    (strncmp(star, "*.c", 3) && strncmp(star, "*.o", 3) && strncmp(star, "*.S", 3)))
			continue;
		snprintf(path, sizeof(path), "%s/*", dir);
		return add_pattern(m, path);
	}
	return 0;
}

/*
 * The Makefile of an architecture is a part of the one of the root, and names folders from there:
 * "drivers-y += drivers/s390/".
 */
static int add_rooted(struct mentions *m, const char *dir, char *w)
{
	bool arch = !strncmp(dir, "arch/", 5) && !strchr(dir + 5, '/');
	char copy[WORD];
	int err = 0;

	if (arch && strchr(w, '/')) {
		strcpy(copy, w);
		err = add_word(m, "", copy);
	}
	return err ? err : add_word(m, dir, w);
}

int mentions_read(struct mentions *m, const char *makefile, const char *text)
{
	const char *slash = strrchr(makefile, '/');
	char dir[512], w[WORD];
	size_t n = 0;
	int err;

	if (slash && (size_t)(slash - makefile) >= sizeof(dir))
		return 0;
	snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - makefile) : 0, makefile);
	err = wildcards(m, dir, text);
	for (const char *p = text; !err; p++) {
		size_t ref = variable(p);

		if (ref || *p == '%') {
			if (n + 1 < WORD && (!n || w[n - 1] != '*'))
				w[n++] = '*';
			p += ref ? ref - 1 : 0;
			continue;
		}
		if (of_word(*p)) {
			if (n + 1 < WORD)
				w[n++] = *p;
			continue;
		}
		w[n] = 0;
		if (n)
			err = add_rooted(m, dir, w);
		n = 0;
		if (*p == '#' && (p == text || p[-1] != '\\'))
			p += strcspn(p, "\n");
		if (!*p)
			break;
	}
	return err;
}

bool mentions_has(const struct mentions *m, const char *path)
{
	char stem[1024];
	size_t n;

	if (strlen(path) >= sizeof(stem))
		return true;
	strcpy(stem, path);
	n = stem_length(stem);
	stem[n] = 0;
	if (hmap_get(&m->stems, hash_bytes(stem, n)) != HMAP_NONE)
		return true;
	for (size_t i = 0; i < m->n_patterns; i++)
		if (matches(&m->patterns[i], stem, n))
			return true;
	return false;
}
