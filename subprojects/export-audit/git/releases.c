// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Which tags are releases, and how many merge windows lie between two of them. */
#include "base/complain.h"
#include "base/grow.h"
#include "git/repo.h"

#include <string.h>

/* Decimal without sign or leading zero; moves *s behind it. */
static bool number(const char **s, unsigned int *out)
{
	const char *p = *s;
	unsigned int v = 0;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (v > 100000)
			return false;
		v = v * 10 + (unsigned int)(*p - '0');
	}
	*s = p;
	*out = v;
	return true;
}

/* Up to 2.6 the third number counted the windows; v2.5.x and earlier are no releases. */
static bool parse_tag(const char *tag, bool pre, struct release *r)
{
	const char *s = tag + 1;

	*r = (struct release){ 0 };
	if (*tag != 'v' || !number(&s, &r->major) || *s++ != '.' || !number(&s, &r->minor))
		return false;
	if (r->major == 2 && r->minor == 6) {
		if (*s++ != '.' || !number(&s, &r->minor))
			return false;
	}
	if (!*s)
		return true;
	return pre && !strncmp(s, "-rc", 3) && (s += 3, number(&s, &r->pre)) && r->pre && !*s;
}

/* The same with leading zeros, as in 22.04. */
static bool padded(const char **s, unsigned int *out)
{
	while (**s == '0' && (*s)[1] >= '0' && (*s)[1] <= '9')
		++*s;
	return number(s, out);
}

/* "1.2.3" with any of . _ - between up to four numbers; *S moves behind it. */
static bool version(const char **s, struct release *r)
{
	unsigned int *const parts[] = { &r->major, &r->minor, &r->more[0], &r->more[1] };
	size_t n = 0;

	for (const char *p = *s; n < 4 && padded(&p, parts[n]); n++) {
		*s = p;
		if (!*p || !strchr("._-", *p))
			return true;
		p++;
	}
	return n > 0;
}

/* Is it PATTERN with a version in the place of the *? */
static bool like(const char *tag, const char *pattern, bool pre, struct release *r)
{
	const char *star = strchr(pattern, '*');
	size_t n = (size_t)(star - pattern);

	*r = (struct release){ 0 };
	if (strncmp(tag, pattern, n))
		return false;
	tag += n;
	if (!version(&tag, r))
		return false;
	if (pre && !strncmp(tag, "-rc", 3)) {
		tag += 3;
		if (!number(&tag, &r->pre) || !r->pre)
			return false;
	}
	return !strcmp(tag, star + 1);
}

static int by_number(unsigned int a, unsigned int b)
{
	return a < b ? -1 : a > b;
}

static int compare(const void *a, const void *b)
{
	const struct release *x = a, *y = b;

	if (x->major != y->major || x->minor != y->minor)
		return by_number(x->major, y->major) ?: by_number(x->minor, y->minor);
	if (x->more[0] != y->more[0] || x->more[1] != y->more[1])
		return by_number(x->more[0], y->more[0]) ?: by_number(x->more[1], y->more[1]);
	if (x->pre != y->pre) /* 0, the release itself, is last */
		return x->pre - 1 < y->pre - 1 ? -1 : 1;
	return 0;
}

struct tags {
	struct repo *repo;
	struct releases *out;
	const char *pattern;
	bool pre, told;
};

static int add_tag(const char *name, git_oid *oid, void *payload)
{
	struct tags *t = payload;
	git_object *o = NULL, *c = NULL;
	struct release r;

	if (strncmp(name, "refs/tags/", 10) ||
	    !(t->pattern ? like(name + 10, t->pattern, t->pre, &r)
			 : parse_tag(name + 10, t->pre, &r)))
		return 0;
	/* A tag of something else than a commit, as the kernel's v2.6.11, is no release. */
	if (git_object_lookup(&o, t->repo->git, oid, GIT_OBJECT_ANY)) {
		t->told = true;
		return repo_complain(t->repo, name + 10);
	}
	if (!git_object_peel(&c, o, GIT_OBJECT_COMMIT) &&
	    !grow_room(t->out->v, t->out->n, t->out->cap)) {
		r.tag = strdup(name + 10);
		r.commit = *git_object_id(c);
		r.tree = *git_commit_tree_id((git_commit *)c);
		if (r.tag)
			t->out->v[t->out->n++] = r;
	}
	git_object_free(c);
	git_object_free(o);
	return 0;
}

/* The later of two versions of one commit goes; its name stays as the alias. */
static void merge_twins(struct releases *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++) {
		size_t j = 0;

		while (j < n && !git_oid_equal(&v->v[j].commit, &v->v[i].commit))
			j++;
		if (j == n) {
			v->v[n++] = v->v[i];
			continue;
		}
		free(v->v[j].alias);
		v->v[j].alias = v->v[i].tag;
	}
	v->n = n;
}

/* How many merge windows from A to the later B: the kernel's majors ended at these minors. */
static unsigned int windows_between(const struct release *a, const struct release *b)
{
	static const unsigned int last_minor[] = {
		[2] = 39, [3] = 19, [4] = 20, [5] = 19, [6] = 19
	};
	unsigned int n = 0;

	if (a->major == b->major)
		return b->minor - a->minor;
	for (unsigned int m = a->major; m < b->major; m++) {
		unsigned int start = m == a->major ? a->minor + 1 : 0;
		unsigned int last =
			m < sizeof(last_minor) / sizeof(*last_minor) ? last_minor[m] : 0;

		if (start <= last)
			n += last - start + 1;
		if (n > 1000)
			return n;
	}
	return n + b->minor + 1;
}

/* A release candidate is of the window of its release. */
static unsigned int one_window(const struct release *a, const struct release *b)
{
	return a->major != b->major || a->minor != b->minor || a->more[0] != b->more[0] ||
	       a->more[1] != b->more[1];
}

int repo_releases(struct repo *r, const char *pattern, bool pre, struct releases *out)
{
	struct tags t = { .repo = r, .out = out, .pattern = pattern, .pre = pre };

	*out = (struct releases){ 0 };
	if (pattern && (!strchr(pattern, '*') || strchr(pattern, '*') != strrchr(pattern, '*'))) {
		complain("'%s' is not a pattern of tags: it has one * for the version", pattern);
		return -EINVAL;
	}
	if (git_tag_foreach(r->git, add_tag, &t)) {
		releases_free(out);
		return t.told ? -EIO : repo_complain(r, "its tags cannot be read");
	}
	if (out->n)
		qsort(out->v, out->n, sizeof(*out->v), compare);
	merge_twins(out);
	for (size_t i = 1; i < out->n; i++)
		out->v[i].window = out->v[i - 1].window +
				   (pattern ? one_window(&out->v[i - 1], &out->v[i])
					    : windows_between(&out->v[i - 1], &out->v[i]));
	return 0;
}

void releases_free(struct releases *v)
{
	for (size_t i = 0; i < v->n; i++) {
		free(v->v[i].tag);
		free(v->v[i].alias);
	}
	free(v->v);
	*v = (struct releases){ 0 };
}

static int find(struct repo *r, const struct releases *v, const char *name, size_t *at)
{
	git_oid id;
	int err = repo_commit(r, name, &id);

	if (err)
		return err;
	for (*at = 0; *at < v->n; ++*at)
		if (git_oid_equal(&v->v[*at].commit, &id))
			return 0;
	complain("'%s' is not a release tag (vX.Y) of %s", name, r->name);
	return -ENOENT;
}

int releases_limit(struct repo *r, struct releases *v, const char *from, const char *to)
{
	size_t first = 0, last = v->n ? v->n - 1 : 0;
	int err = 0;

	if (from)
		err = find(r, v, from, &first);
	if (!err && to)
		err = find(r, v, to, &last);
	if (err)
		return err;
	if (first > last) {
		complain("'%s' comes after '%s'", from, to);
		return -EINVAL;
	}
	for (size_t i = 0; i < v->n; i++) {
		if (i >= first && i <= last)
			continue;
		free(v->v[i].tag);
		free(v->v[i].alias);
	}
	if (v->n) {
		v->n = last - first + 1;
		memmove(v->v, v->v + first, v->n * sizeof(*v->v));
	}
	return 0;
}
