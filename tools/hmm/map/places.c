// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../json.h"
#include "../term.h"
#include "places.h"

/* ---- what the library tells ----------------------------------------------------------------- */

static int add_mapping(const struct hmm_vma *vma, void *arg)
{
	struct places *p = arg;
	struct mapping *more = reallocarray(p->mappings, p->n + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	p->mappings = more;
	more[p->n++] = (struct mapping){ .vma = *vma, .stays = -1 };
	return 0;
}

static struct mapping *mapping_of(const struct places *p, uint64_t addr)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (p->mappings[middle].vma.end <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low < p->n && p->mappings[low].vma.start <= addr ? &p->mappings[low] : NULL;
}

static int add_run(const struct hmm_place_run *run, void *arg)
{
	struct mapping *m = mapping_of(arg, run->start);
	struct hmm_place_run *more;

	if (!m) /* it is new since the mappings were read */
		return 0;
	more = reallocarray(m->runs, m->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	m->runs = more;
	m->runs[m->n++] = *run;
	m->stays = run->stays;
	m->used |= run->device_start != 0;
	return 0;
}

static int add_held(const struct hmm_svm_chunk *chunk, void *arg)
{
	struct places *p = arg;
	struct mapping *m = mapping_of(p, chunk->start);

	for (; m && m < p->mappings + p->n && m->vma.start < chunk->end; m++)
		m->used = true;
	return 0;
}

int places_read(struct places *p, struct hmm_mm *mm, struct hmm_svm *svm)
{
	int ret;

	memset(p, 0, sizeof(*p));
	ret = hmm_vma_walk(mm, 0, UINT64_MAX, add_mapping, p);
	if (!ret)
		ret = hmm_place_walk(mm, 0, UINT64_MAX, add_run, p);
	if (!ret)
		ret = hmm_svm_walk(svm, 0, UINT64_MAX, add_held, p);
	if (ret)
		places_free(p);
	return ret;
}

void places_free(struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->mappings[i].runs);
	free(p->mappings);
	memset(p, 0, sizeof(*p));
}

/* ---- shown ---------------------------------------------------------------------------------- */

struct sums {
	uint64_t place[HMM_PLACE_NR];
	uint64_t stays[HMM_MIGRATE_REASON_NR]; /* of pages that are somewhere */
};

static void sum_up(const struct places *p, struct sums *s)
{
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < p->n; i++) {
		const struct mapping *m = &p->mappings[i];

		for (size_t k = 0; m->used && k < m->n; k++) {
			const struct hmm_place_run *run = &m->runs[k];
			uint64_t bytes = run->end - run->start;

			if (run->place < HMM_PLACE_NR)
				s->place[run->place] += bytes;
			if (run->place != HMM_PLACE_NONE && run->stays >= 0 &&
			    run->stays < HMM_MIGRATE_REASON_NR)
				s->stays[run->stays] += bytes;
		}
	}
}

static const char *words_of(enum hmm_place place)
{
	static const char *const words[HMM_PLACE_NR] = {
		[HMM_PLACE_NONE] = "not there",    [HMM_PLACE_ZERO] = "zero page",
		[HMM_PLACE_SYSTEM] = "system",     [HMM_PLACE_SWAP] = "swapped or guard",
		[HMM_PLACE_DEVICE] = "device",     [HMM_PLACE_EXCLUSIVE] = "exclusive",
		[HMM_PLACE_COHERENT] = "coherent",
	};

	return place < HMM_PLACE_NR ? words[place] : "?";
}

static const char *prot_of(char out[4], const struct hmm_vma *vma)
{
	snprintf(out, 4, "%c%c%c", vma->prot & PROT_READ ? 'r' : '-',
		 vma->prot & PROT_WRITE ? 'w' : '-', vma->prot & PROT_EXEC ? 'x' : '-');
	return out;
}

static void print_run(const struct hmm_place_run *run)
{
	char size[WORDS], pages[WORDS], more[2 * WORDS] = "", at[64] = "";

	if (run->place != HMM_PLACE_NONE)
		snprintf(more, sizeof(more), ", pages of %s",
			 bytes_in_words(pages, run->page_size));
	if (run->device_start)
		snprintf(at, sizeof(at), " at %012" PRIx64, run->device_start);
	put_paragraph(16, "  %012" PRIx64 " %11s %s%s%s", run->start,
		      bytes_in_words(size, run->end - run->start),
		      words_of((enum hmm_place)run->place), more, at);
}

static void print_mapping(const struct mapping *m)
{
	char prot[4], name[512], stays[64] = "";

	if (m->stays >= 0)
		snprintf(stays, sizeof(stays), ", stays: %s",
			 hmm_migrate_reason_name((enum hmm_migrate_reason)m->stays));
	put_paragraph(2, "%012" PRIx64 "-%012" PRIx64 " %s %s%s%s%s%s", m->vma.start, m->vma.end,
		      prot_of(prot, &m->vma), hmm_vma_kind_name((enum hmm_vma_kind)m->vma.kind),
		      m->vma.shared ? " shared" : "", stays, *m->vma.name ? " " : "",
		      printable(name, sizeof(name), m->vma.name));
	for (size_t i = 0; i < m->n; i++)
		print_run(&m->runs[i]);
}

static void print_sums(const struct places *p)
{
	char text[512] = "", size[WORDS];
	struct sums s;
	size_t n = 0;

	sum_up(p, &s);
	for (int i = 0; i < HMM_PLACE_NR; i++)
		if (s.place[i])
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s", n ? ", " : "",
					      words_of((enum hmm_place)i),
					      bytes_in_words(size, s.place[i]));
	put_paragraph(2, "Where the pages are: %s", n ? text : "the device uses none");
	n = 0;
	for (int i = 0; i < HMM_MIGRATE_REASON_NR; i++)
		if (s.stays[i])
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s %s", n ? ", " : "",
					      hmm_migrate_reason_name((enum hmm_migrate_reason)i),
					      bytes_in_words(size, s.stays[i]));
	put_paragraph(2, "Used in place, and why: %s", n ? text : "none by its mapping");
}

void places_print(const struct places *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->mappings[i].used)
			print_mapping(&p->mappings[i]);
	print_sums(p);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static struct json_object *run_json(const struct hmm_place_run *run)
{
	struct json_object *o = json_object_new_object();

	put_number(o, "start", (int64_t)run->start);
	put_number(o, "end", (int64_t)run->end);
	put_text(o, "place", hmm_place_name((enum hmm_place)run->place));
	put_number(o, "page_size", (int64_t)run->page_size);
	put_number(o, "device_start", (int64_t)run->device_start);
	return o;
}

static struct json_object *mapping_json(const struct mapping *m)
{
	struct json_object *o = json_object_new_object(), *runs = json_object_new_array();
	char prot[4];

	put_number(o, "start", (int64_t)m->vma.start);
	put_number(o, "end", (int64_t)m->vma.end);
	put_text(o, "kind", hmm_vma_kind_name((enum hmm_vma_kind)m->vma.kind));
	put_text(o, "prot", prot_of(prot, &m->vma));
	put_bool(o, "shared", m->vma.shared);
	put_name(o, "name", m->vma.name);
	put_text(o, "stays",
		 m->stays < 0 ? NULL : hmm_migrate_reason_name((enum hmm_migrate_reason)m->stays));
	for (size_t i = 0; i < m->n; i++)
		json_object_array_add(runs, run_json(&m->runs[i]));
	json_object_object_add(o, "runs", runs);
	return o;
}

struct json_object *places_json(const struct places *p)
{
	struct json_object *o = json_object_new_object(), *mappings = json_object_new_array();
	struct json_object *place = json_object_new_object(), *stays = json_object_new_object();
	struct sums s;

	sum_up(p, &s);
	for (int i = 0; i < HMM_PLACE_NR; i++)
		put_number(place, hmm_place_name((enum hmm_place)i), (int64_t)s.place[i]);
	for (int i = 0; i < HMM_MIGRATE_REASON_NR; i++)
		put_number(stays, hmm_migrate_reason_name((enum hmm_migrate_reason)i),
			   (int64_t)s.stays[i]);
	for (size_t i = 0; i < p->n; i++)
		if (p->mappings[i].used)
			json_object_array_add(mappings, mapping_json(&p->mappings[i]));
	json_object_object_add(o, "bytes", place);
	json_object_object_add(o, "in_place", stays);
	json_object_object_add(o, "mappings", mappings);
	return o;
}
