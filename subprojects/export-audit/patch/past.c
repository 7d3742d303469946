// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "patch/past.h"
#include "base/complain.h"
#include "base/grow.h"

#include <string.h>

/* A commit whose parents are being looked at. */
struct frame {
	git_oid id;
	unsigned int next;
	bool cut;
};

struct walk {
	struct repo *repo;
	const struct past *without;
	struct past *out;
	git_time_t newest; /* of the commits that were met */
	struct frame *stack;
	size_t n, cap;
};

static uint64_t key_of(const git_oid *id)
{
	uint64_t key;

	memcpy(&key, id->id, sizeof(key));
	return key;
}

bool past_has(const struct past *p, const git_oid *id)
{
	return hmap_get(&p->known, key_of(id)) != HMAP_NONE;
}

void past_free(struct past *p)
{
	hmap_fini(&p->known);
	free(p->v);
	free(p->cut);
	*p = (struct past){ 0 };
}

static void meet(struct walk *w, const git_oid *id)
{
	git_time_t when = 0;
	git_commit *c;

	if (!git_commit_lookup(&c, w->repo->git, id)) {
		when = git_commit_time(c);
		git_commit_free(c);
	}
	if (!w->out->met || when > w->newest) {
		w->out->newest = *id;
		w->newest = when;
	}
	w->out->met = true;
}

/* Return: 1 when it is another one to look at; 0; -ENOMEM. */
static int enter(struct walk *w, const git_oid *id)
{
	uint32_t *slot;

	if (w->without && past_has(w->without, id)) {
		meet(w, id);
		return 0;
	}
	slot = hmap_slot(&w->out->known, key_of(id));
	if (!slot || grow_room(w->stack, w->n, w->cap))
		return -ENOMEM;
	if (*slot != HMAP_NONE)
		return 0;
	*slot = 0;
	w->stack[w->n++] = (struct frame){ .id = *id };
	return 1;
}

static int leave(struct walk *w)
{
	struct frame *f = &w->stack[--w->n];
	struct past *p = w->out;

	if (grow_room(p->v, p->n, p->cap) || grow_room(p->cut, p->n, p->c_cut))
		return -ENOMEM;
	p->cut[p->n] = f->cut;
	p->v[p->n++] = f->id;
	return 0;
}

/* The next parent of the topmost commit, or back to the one below it. */
static int step(struct walk *w)
{
	struct frame *f = &w->stack[w->n - 1];
	git_oid parent;
	git_commit *c;
	git_odb *odb;
	bool there, more;

	if (git_commit_lookup(&c, w->repo->git, &f->id))
		return repo_complain(w->repo, "a commit cannot be read");
	more = f->next < git_commit_parentcount(c);
	if (more)
		parent = *git_commit_parent_id(c, f->next++);
	git_commit_free(c);
	if (!more)
		return leave(w);
	if (git_repository_odb(&odb, w->repo->git))
		return repo_complain(w->repo, "its objects cannot be read");
	there = git_odb_exists(odb, &parent);
	git_odb_free(odb);
	if (!there)
		f->cut = true;
	return there ? enter(w, &parent) : 0;
}

int past_read(struct repo *r, const git_oid *from, const struct past *without, struct past *out)
{
	struct walk w = { .repo = r, .without = without, .out = out };
	int err;

	*out = (struct past){ 0 };
	err = hmap_init(&out->known, 1024);
	if (!err)
		err = enter(&w, from);
	while (err >= 0 && w.n)
		err = step(&w);
	free(w.stack);
	if (err == -ENOMEM)
		complain("out of memory");
	return err < 0 ? err : 0;
}

int past_contains(struct repo *r, const git_oid *new, const git_oid *old)
{
	struct past p;
	int ret;

	if (git_oid_equal(new, old))
		return 1;
	if (!r->shallow) {
		ret = git_graph_descendant_of(r->git, new, old);
		return ret < 0 ? repo_complain(r, "its commits cannot be walked") : ret;
	}
	ret = past_read(r, new, NULL, &p);
	if (!ret)
		ret = past_has(&p, old);
	past_free(&p);
	return ret;
}
