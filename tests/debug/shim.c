// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Preloaded: makes a program that asks what a space offers end a section that it has not begun. */
#include <dlfcn.h>
#include <hmm/engine.h>
#include <hmm/mm.h>

int hmm_mm_get_info(struct hmm_mm *mm, struct hmm_mm_info *info)
{
	__typeof__(hmm_mm_get_info) *next = (__typeof__(next))dlsym(RTLD_NEXT, "hmm_mm_get_info");
	struct hmm_engine *engine;

	if (!hmm_engine_create(mm, &engine)) {
		hmm_engine_exit(engine);
		hmm_engine_destroy(engine);
	}
	return next(mm, info);
}
