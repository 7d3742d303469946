/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Where each page of what a device uses lives, as the library tells it (hmm_place_walk(3)). */
#ifndef TOOLS_HMM_MAP_PLACES_H
#define TOOLS_HMM_MAP_PLACES_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <hmm/hmm.h>

struct mapping {
	struct hmm_vma vma;
	int32_t stays; /* enum hmm_migrate_reason; -1: it moves */
	bool used;     /* the device holds a part of it, or has it in its memory */
	struct hmm_place_run *runs;
	size_t n;
};

struct places {
	struct mapping *mappings;
	size_t n;
};

/* This process, and what svm's device holds of it. 0 or -errno. */
int places_read(struct places *places, struct hmm_mm *mm, struct hmm_svm *svm);
void places_free(struct places *places);
/* The mappings that the device uses, page by page, and sums. */
void places_print(const struct places *places);
struct json_object *places_json(const struct places *places);

#endif
