// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "stage.h"

/* Below where the kernel puts mappings by itself, and beyond what sanitizers reserve. */
#define PLACE 0x200000000000ULL
#define STEP (64 * BUFFER_BYTES)

static const struct scene *const lists[] = { map_scenes,  file_scenes, process_scenes,
					     race_scenes, cost_scenes, sequence_scenes };

const struct scene *scene_at(unsigned int i)
{
	for (size_t list = 0; list < sizeof(lists) / sizeof(*lists); list++)
		for (const struct scene *scene = lists[list]; scene->name; scene++)
			if (!i--)
				return scene;
	return NULL;
}

const struct scene *scene_named(const char *name)
{
	const struct scene *scene;

	for (unsigned int i = 0; (scene = scene_at(i)); i++)
		if (!strcmp(scene->name, name))
			return scene;
	return NULL;
}

enum outcome stage_begin(struct stage *s)
{
	int err = s->peer->start(s->why, sizeof(s->why));

	if (!err)
		err = s->peer->open(&s->cache);
	if (err && !s->why[0])
		snprintf(s->why, sizeof(s->why), "%s", strerror(-err));
	return err ? OUTCOME_NO : OUTCOME_OK;
}

enum outcome stage_skip(struct stage *s, const char *why)
{
	snprintf(s->why, sizeof(s->why), "%s", why);
	return OUTCOME_SKIP;
}

enum outcome stage_broken(struct stage *s, const char *why)
{
	snprintf(s->why, sizeof(s->why), "%s", why);
	return OUTCOME_BROKEN;
}

enum outcome stage_failed(struct stage *s, const char *what)
{
	snprintf(s->why, sizeof(s->why), "%s: %s", what, strerror(errno));
	return OUTCOME_SKIP;
}

char *stage_place(void)
{
	static unsigned int places;

	return (char *)(uintptr_t)(PLACE + __atomic_fetch_add(&places, 1, __ATOMIC_RELAXED) * STEP);
}

bool map_at(char *at, size_t bytes)
{
	return mmap(at, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at;
}

char *stage_map(void)
{
	char *at = stage_place();

	if (!map_at(at, BUFFER_BYTES))
		return NULL;
	paint(at, BUFFER_PAGES);
	return at;
}

void paint(char *at, unsigned int pages)
{
	static uint64_t tag;

	for (unsigned int i = 0; i < pages; i++)
		__atomic_store_n(tag_of(at + i * PAGE_BYTES),
				 __atomic_add_fetch(&tag, 1, __ATOMIC_RELAXED), __ATOMIC_SEQ_CST);
}

/*
 * A page without a tag at its registration was registered with others, before it was painted. It
 * cannot be judged.
 */
static bool right(const struct peer_use *held, char *at, unsigned int pages)
{
	uint64_t words[PIN_PAGES];

	if (pin_words(held->id, (uint64_t)(uintptr_t)at, pages, words))
		return false;
	for (unsigned int i = 0; i < pages; i++)
		if (words[i] && words[i] != *tag_of(at + i * PAGE_BYTES))
			return false;
	return true;
}

bool use_of(struct stage *s, struct peer_cache *cache, char *at, unsigned int pages)
{
	uint64_t made = pin_made();
	struct peer_use held = { 0 };
	bool hit;

	s->of++;
	if (s->peer->get(cache, (uint64_t)(uintptr_t)at, pages * PAGE_BYTES, 0, &held))
		return false;
	hit = pin_made() == made;
	s->cached |= hit;
	if (hit && !right(&held, at, pages))
		s->stale++;
	s->peer->put(cache, &held);
	return hit;
}

bool use(struct stage *s, char *at, unsigned int pages)
{
	return use_of(s, s->cache, at, pages);
}

void warm(struct stage *s, char *at, unsigned int pages)
{
	for (int i = 0; i < 4 && !use(s, at, pages); i++)
		;
}

enum outcome verdict(const struct stage *s)
{
	return s->stale ? OUTCOME_STALE : OUTCOME_OK;
}

enum outcome look(struct stage *s, char *at)
{
	paint(at, BUFFER_PAGES);
	use(s, at, BUFFER_PAGES);
	return verdict(s);
}
