// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reading MAINTAINERS. */
#include "base/grow.h"
#include "maintainers/sections.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

uint32_t maint_slot(const char *s, size_t len)
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

	err = grow_room(m->patterns, m->npatterns, m->cpatterns);
	if (err)
		return err;
	if (!*text)
		return 0;
	while (dirlen && text[dirlen - 1] != '/')
		dirlen--;
	slot = maint_slot(text, dirlen);
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

	err = grow_room(m->names, m->nnames, m->cnames);
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

	err = grow_room(m->people, m->npeople, m->cpeople);
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
	int err = grow_room(m->sections, m->nsections, m->csections);

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
