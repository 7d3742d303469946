// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * MAINTAINERS.  A tree has some ten thousand patterns and as many files with
 * exports, so F: and X: patterns are filed under the directory part that comes
 * before their first wildcard: a path needs to be tried only against the
 * patterns of its own parent directories.
 */
#include "maintainers/maintainers.h"
#include "maintainers/pattern.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NSLOTS 8192u /* a power of two, about the number of patterns */

struct pattern {
	const char *text;
	size_t dirlen; /* length of the wildcard-free directory part */
	uint32_t section;
	int32_t next; /* in the same hash slot, or -1 */
	bool exclude;
};

struct name_pattern {
	regex_t re;
	char literal[PATTERN_LITERAL]; /* occurs in every match; "" when none is known */
	uint32_t section;
};

struct maint {
	char *text;
	struct maint_section *sections;
	struct maint_person *people;
	struct pattern *patterns;
	struct name_pattern *names;
	size_t nsections, npeople, npatterns, nnames;
	size_t csections, cpeople, cpatterns, cnames;
	int32_t slots[NSLOTS];
};

/* Room for one more; the arrays hold up to 2^31 entries. */
static int grow(void **array, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 256;
	void *p;

	if (n < *cap)
		return 0;
	p = reallocarray(*array, want, size);
	if (!p)
		return -ENOMEM;
	*array = p;
	*cap = want;
	return 0;
}

static uint32_t hash_dir(const char *s, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 16777619u;
	return h & (NSLOTS - 1);
}

static int add_pattern(struct maint *m, const char *text, bool exclude)
{
	size_t wild = strcspn(text, "*?["), dirlen = wild;
	struct pattern *p;
	uint32_t slot;
	int err;

	err = grow((void **)&m->patterns, m->npatterns, &m->cpatterns, sizeof(*m->patterns));
	if (err)
		return err;
	if (!*text)
		return 0;
	while (dirlen && text[dirlen - 1] != '/')
		dirlen--;
	slot = hash_dir(text, dirlen);
	p = &m->patterns[m->npatterns];
	*p = (struct pattern){ text, dirlen, (uint32_t)m->nsections - 1, m->slots[slot], exclude };
	m->slots[slot] = (int32_t)m->npatterns++;
	return 0;
}

/* A pattern that does not compile matches nothing, as a typing error in the file should. */
static int add_name(struct maint *m, const char *value)
{
	struct name_pattern *n;
	char *re;
	int err;

	err = grow((void **)&m->names, m->nnames, &m->cnames, sizeof(*m->names));
	if (err)
		return err;
	re = regex_from_perl(value);
	if (!re)
		return -ENOMEM;
	n = &m->names[m->nnames];
	n->section = (uint32_t)m->nsections - 1;
	regex_literal(re, n->literal);
	if (*re && !regcomp(&n->re, re, REG_EXTENDED | REG_NOSUB))
		m->nnames++;
	free(re);
	return 0;
}

static char *trim(char *s)
{
	char *end;

	while (isspace((unsigned char)*s))
		s++;
	for (end = s + strlen(s); end > s && isspace((unsigned char)end[-1]); end--)
		;
	*end = 0;
	return s;
}

/* "Name <mail>", "\"Name\" <mail>" or a bare address; cut up in place. */
static int add_person(struct maint *m, char *value)
{
	struct maint_person *p;
	char *lt = strrchr(value, '<'), *gt;
	int err;

	err = grow((void **)&m->people, m->npeople, &m->cpeople, sizeof(*m->people));
	if (err)
		return err;
	p = &m->people[m->npeople++];
	*p = (struct maint_person){ "", value };
	if (!lt)
		return 0;
	*lt = 0;
	p->mail = lt + 1;
	gt = strchr(lt + 1, '>');
	if (gt)
		*gt = 0;
	value = trim(value);
	if (*value == '"') {
		value++;
		value[strcspn(value, "\"")] = 0;
	}
	p->name = value;
	return 0;
}

static int add_section(struct maint *m, const char *title)
{
	int err = grow((void **)&m->sections, m->nsections, &m->csections, sizeof(*m->sections));

	if (!err)
		m->sections[m->nsections++] =
			(struct maint_section){ .title = title, .status = "" };
	return err;
}

/* people holds an index while the array still moves; resolved by fix_people(). */
static int add_field(struct maint *m, char type, char *value)
{
	struct maint_section *s = &m->sections[m->nsections - 1];
	bool first = !s->npeople;
	int err = 0;

	switch (type) {
	case 'M':
	case 'R':
		if (first)
			s->people = (void *)(uintptr_t)m->npeople;
		err = add_person(m, value);
		if (!err && type == 'M' && s->nmaintainers == s->npeople)
			s->nmaintainers++;
		s->npeople += !err;
		break;
	case 'S':
		s->status = value;
		break;
	case 'F':
	case 'X':
		err = add_pattern(m, value, type == 'X');
		break;
	case 'N':
		err = add_name(m, value);
		break;
	}
	return err;
}

/* A title is a line at the left margin right before the first "T:\t" line of its section. */
static int parse_lines(struct maint *m)
{
	char *title = NULL, *save = NULL;
	int err = 0;

	for (char *l = m->text; !err && l; l = save) {
		save = strchr(l, '\n');
		if (save)
			*save++ = 0;
		if (isupper((unsigned char)l[0]) && l[1] == ':' && isspace((unsigned char)l[2])) {
			if (title)
				err = add_section(m, title);
			title = NULL;
			if (!err && m->nsections)
				err = add_field(m, l[0], trim(l + 2));
		} else if (isspace((unsigned char)l[0]) || !l[0]) {
			title = NULL;
		} else {
			title = trim(l);
		}
	}
	return err;
}

static void fix_people(struct maint *m)
{
	for (size_t i = 0; i < m->nsections; i++) {
		struct maint_section *s = &m->sections[i];

		s->people = s->npeople ? m->people + (uintptr_t)s->people : NULL;
	}
}

int maint_parse(const char *text, size_t len, struct maint **out)
{
	struct maint *m = calloc(1, sizeof(*m));
	int err = -ENOMEM;

	if (!m)
		return -ENOMEM;
	memset(m->slots, 0xff, sizeof(m->slots));
	m->text = malloc(len + 1);
	if (!m->text)
		goto fail;
	memcpy(m->text, text, len);
	m->text[len] = 0;
	err = parse_lines(m);
	if (!err && !m->nsections)
		err = -EINVAL;
	if (err)
		goto fail;
	fix_people(m);
	*out = m;
	return 0;
fail:
	maint_free(m);
	return err;
}

static int read_all(int fd, char **buf, size_t *len)
{
	struct stat st;
	ssize_t n = 0;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*buf = malloc((size_t)st.st_size + 1);
	if (!*buf)
		return -ENOMEM;
	for (*len = 0; *len < (size_t)st.st_size; *len += (size_t)n) {
		n = read(fd, *buf + *len, (size_t)st.st_size - *len);
		if (n < 0)
			return -errno;
		if (!n)
			break;
	}
	return 0;
}

int maint_read(const char *path, struct maint **out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	char *buf = NULL;
	size_t len = 0;

	if (fd < 0)
		return -errno;
	err = read_all(fd, &buf, &len);
	close(fd);
	if (!err)
		err = maint_parse(buf, len, out);
	free(buf);
	return err;
}

void maint_free(struct maint *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->nnames; i++)
		regfree(&m->names[i].re);
	free(m->names);
	free(m->patterns);
	free(m->people);
	free(m->sections);
	free(m->text);
	free(m);
}

size_t maint_nsections(const struct maint *m)
{
	return m->nsections;
}

const struct maint_section *maint_section(const struct maint *m, size_t i)
{
	return i < m->nsections ? &m->sections[i] : NULL;
}

struct hit {
	uint32_t section;
	int depth;
	size_t length;
	bool exclude;
};

struct hits {
	struct hit *v;
	size_t n, cap;
};

static void add_hit(struct hits *h, uint32_t section, int depth, size_t length, bool exclude)
{
	for (size_t i = 0; i < h->n; i++) {
		struct hit *o = &h->v[i];

		if (o->section != section)
			continue;
		o->exclude |= exclude;
		if (depth > o->depth || (depth == o->depth && length > o->length)) {
			o->depth = depth;
			o->length = length;
		}
		return;
	}
	if (!grow((void **)&h->v, h->n, &h->cap, sizeof(*h->v)))
		h->v[h->n++] = (struct hit){ section, depth, length, exclude };
}

static void try_dir(const struct maint *m, const char *path, size_t dirlen, struct hits *h)
{
	for (int32_t i = m->slots[hash_dir(path, dirlen)]; i >= 0; i = m->patterns[i].next) {
		const struct pattern *p = &m->patterns[i];

		if (p->dirlen == dirlen && !memcmp(p->text, path, dirlen) &&
		    pattern_matches(p->text, path))
			add_hit(h, p->section, p->exclude ? -2 : pattern_depth(p->text),
				strlen(p->text), p->exclude);
	}
}

static int cmp_hits(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	if (x->length != y->length)
		return x->length > y->length ? -1 : 1;
	return x->section < y->section ? -1 : 1;
}

size_t maint_match(const struct maint *m, const char *path, const struct maint_section **hits,
		   size_t max)
{
	struct hits h = { 0 };
	size_t n = 0;

	try_dir(m, path, 0, &h);
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/'))
		try_dir(m, path, (size_t)(p - path) + 1, &h);
	for (size_t i = 0; i < m->nnames; i++) {
		const struct name_pattern *r = &m->names[i];

		if ((!r->literal[0] || strstr(path, r->literal)) &&
		    !regexec(&r->re, path, 0, NULL, 0))
			add_hit(&h, r->section, 0, 0, false);
	}
	if (h.n)
		qsort(h.v, h.n, sizeof(*h.v), cmp_hits);
	for (size_t i = 0; i < h.n; i++) {
		if (h.v[i].exclude)
			continue;
		if (n < max)
			hits[n] = &m->sections[h.v[i].section];
		n++;
	}
	free(h.v);
	return n;
}

const char *maint_subsystem(const struct maint *m, const char *path)
{
	const struct maint_section *s;

	return maint_match(m, path, &s, 1) ? s->title : "";
}

bool maint_knows(const struct maint *m, const char *text)
{
	for (size_t i = 0; m && i < maint_nsections(m); i++)
		if (strcasestr(maint_section(m, i)->title, text))
			return true;
	return false;
}
