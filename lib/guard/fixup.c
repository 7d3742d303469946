// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The table of the loads and stores that may fault. */
#include "guard/fixup.h"
#include "guard/context.h"
#include "guard/guard.h"

/* Its ends, by the linker. */
extern const struct fixup fixups_begin[] __asm__("__start_hmm_guard_fixups")
	__attribute__((visibility("hidden")));
extern const struct fixup fixups_end[] __asm__("__stop_hmm_guard_fixups")
	__attribute__((visibility("hidden")));

bool guard_fix(void *context)
{
	const size_t n = ((uintptr_t)fixups_end - (uintptr_t)fixups_begin) / sizeof(struct fixup);
	const uintptr_t at = context_at(context);

	for (size_t i = 0; i < n; i++) {
		const struct fixup *f = &fixups_begin[i];

		if ((uintptr_t)&f->access + (uintptr_t)f->access != at)
			continue;
		context_resume(context, (uintptr_t)&f->resume + (uintptr_t)f->resume);
		return true;
	}
	return false;
}
