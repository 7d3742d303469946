// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Reports are made on the thread that breaks the rule, which may be the pump. So they use no heap,
 * no lock, and not the dynamic linker, whose lock may be held by a thread that waits in munmap()
 * for the pump. Names of objects come from /proc/self/maps.
 */
#include "space/debug.h"
#include "space/space.h"
#include "kernel/thread.h"
#include "kernel/vma.h"
#include "base/log.h"
#include "base/signals.h"

#include <stdlib.h>
#include <string.h>

_Atomic bool debug_on;
static bool ends; /* LIBHMM_DEBUG=abort */
static _Thread_local struct debug_thread mine __attribute__((tls_model("initial-exec")));

enum rule {
	IN_SECTION,
	IN_COMMIT,
	IN_CALLBACK,
	NESTED,
	NESTED_IN_COMMIT,
	NOT_ENTERED,
	ENTERED_ELSEWHERE,
	IN_USE,
	DESTROYED,
	DESTROYED_INSIDE,
	NO_COMMIT,
	DETACHED,
	MIRRORED_ARRAY,
	ALLOCATES,
	UNMAPS_IN_SECTION,
	UNMAPS_IN_COMMIT,
	SIGNALS,
};

/* What is wrong, and what to do: a sentence each. */
static const char *const text_of[] = {
	[IN_SECTION] =
		"is called inside the section of an engine. It may wait for the pump, which waits "
		"for the "
		"section to end: leave it (hmm_engine_exit), call, enter again and look up anew.",
	[IN_COMMIT] = "is called inside a commit section (a driver's map runs in one). It may wait "
		      "for the pump, which "
		      "waits for the section to end: end it (hmm_mm_commit_end) before, or "
		      "return from map.",
	[IN_CALLBACK] = "is called in a callback, where only hmm_ptable_clear() is legal. The "
			"pump, which runs "
			"callbacks, would wait for itself: leave the work to another thread.",
	[NESTED] = "begins a section inside the section of an engine. The pump may close the gate "
		   "between the two, "
		   "and both wait for ever: use one section, or end the first.",
	[NESTED_IN_COMMIT] = "begins a section inside a commit section. The pump may close the "
			     "gate between the two, "
			     "and both wait for ever: use one section, or end the first.",
	[NOT_ENTERED] = "ends a section that was not begun. What was looked up before this call "
			"was not protected: "
			"call hmm_engine_enter() before the first look-up.",
	[ENTERED_ELSEWHERE] = "ends a section that another thread has begun. An engine is one "
			      "thread's at a time: "
			      "end it where it was begun, or create an engine for each thread.",
	[IN_USE] = "begins a section of an engine that another thread is inside of. An engine is "
		   "one thread's at a "
		   "time: create one for each thread.",
	[DESTROYED] = "uses an engine that was destroyed. Its place at the gate may be another's "
		      "by now: keep it "
		      "until its last section has ended.",
	[DESTROYED_INSIDE] = "destroys an engine whose section has not ended. The pump waits for "
			     "the section: call "
			     "hmm_engine_exit() first.",
	[NO_COMMIT] = "ends a commit section that this thread has not begun. The call is ignored, "
		      "as the pump would "
		      "never find the gate empty again: pair it with hmm_mm_commit_begin().",
	[DETACHED] = "uses a space that was detached. What it answers means nothing, and without "
		     "LIBHMM_DEBUG it may crash: detach last.",
	[MIRRORED_ARRAY] =
		"is given an array that lies in mirrored memory. The call may change, or wait for, "
		"the memory that it "
		"writes to: take the array from mmap(), and let no device touch that mapping.",
	[ALLOCATES] = "is called in a callback. The thread that holds the allocator's lock may "
		      "wait in munmap() for "
		      "this very callback: use memory that was allocated before.",
	[UNMAPS_IN_SECTION] = "gives up mirrored memory inside the section of an engine. It waits "
			      "for the pump, which "
			      "waits for the section to end: leave it (hmm_engine_exit) before.",
	[UNMAPS_IN_COMMIT] = "gives up mirrored memory inside a commit section (a driver's map "
			     "runs in one). It waits "
			     "for the pump, which waits for the section to end: end it before, or "
			     "return from map.",
	[SIGNALS] = "is called by a thread that has unblocked a signal after "
		    "hmm_thread_block_signals(). A handler that waits for the library could wait "
		    "for ever: leave the signals of such a thread blocked.",
};

/* ---- once a call site and rule ------------------------------------------------------------ */

#define REPORTS 512

static _Atomic uint64_t reports[REPORTS]; /* 0: free */
static _Atomic uint32_t full;

static bool is_first(enum rule rule, const void *site)
{
	const uint64_t key = (uint64_t)(uintptr_t)site << 8 | (uint64_t)(rule + 1);

	for (uint32_t i = 0; i < REPORTS; i++) {
		_Atomic uint64_t *place = &reports[(key * 0x9e3779b97f4a7c15ULL >> 32) % REPORTS];
		uint64_t was;

		place = &reports[((uint64_t)(place - reports) + i) % REPORTS];
		was = 0;
		if (atomic_compare_exchange_strong(place, &was, key))
			return true;
		if (was == key)
			return false;
	}
	if (!atomic_exchange(&full, 1))
		log_say(HMM_LOG_MISUSE, "512 calls were reported; there are more, which are not");
	return false;
}

/* ---- the report --------------------------------------------------------------------------- */

struct where {
	uint64_t at;
	bool found;
	struct hmm_vma vma;
};

static void look(struct hmm_mm *mm, void *arg)
{
	struct where *w = arg;

	if (!w->found && !mm_alive(mm))
		w->found = !vma_name(mm_vmas(mm), w->at, &w->vma) && w->vma.start <= w->at;
}

/* The object and the offset in its file, as addr2line(1) needs them. */
static void add_site(struct text *t, const void *site)
{
	struct where w = { .at = (uint64_t)(uintptr_t)site };

	text_add(t, " Called from ");
	text_hex(t, w.at);
	spaces_for_each(look, &w);
	if (w.found && w.vma.name[0]) {
		text_add(t, ", ");
		text_add(t, w.vma.name);
		text_add(t, "+");
		text_hex(t, w.at - w.vma.start + w.vma.offset);
	}
	text_add(t, ", thread ");
	text_decimal(t, (uint64_t)thread_self());
}

static void report(enum rule rule, const char *function, const char *detail, const void *site)
{
	struct text t = { 0 };

	if (log_is_saying() || !is_first(rule, site))
		return;
	text_add(&t, function);
	text_add(&t, "() ");
	text_add(&t, text_of[rule]);
	if (detail) {
		text_add(&t, " (");
		text_add(&t, detail);
		text_add(&t, ")");
	}
	add_site(&t, site);
	log_say(HMM_LOG_MISUSE, t.s);
	if (ends)
		abort();
}

/* ---- what this thread is inside of -------------------------------------------------------- */

/* A call that the library makes itself is judged by the program's call from which it comes. */
static bool is_library(void)
{
	return inside_library != mine.program;
}

static bool in_engine_section(void)
{
	const struct hmm_engine *e = mine.engine;

	return e && atomic_load(&e->state) != ENGINE_OUT && atomic_load(&e->tid) == thread_self();
}

/* True: it was reported. */
static bool report_detached(const struct hmm_mm *mm, const char *function, const void *site)
{
	if (!mm || !atomic_load(&mm->detached))
		return false;
	report(DETACHED, function, NULL, site);
	return true;
}

void debug_call(const char *function, const struct hmm_mm *mm, enum debug_call call,
		const void *site)
{
	if (is_library())
		return;
	if (mine.callback)
		report(IN_CALLBACK, function, mine.callback, site);
	else if (report_detached(mm, function, site) || call == DEBUG_QUICK)
		return;
	else if (in_engine_section())
		report(IN_SECTION, function, NULL, site);
	else if (mine.commits)
		report(IN_COMMIT, function, NULL, site);
	else if (signals_blocked && !signals_are_blocked())
		report(SIGNALS, function, NULL, site);
}

void debug_enter(struct hmm_engine *e, const void *site)
{
	static const char name[] = "hmm_engine_enter";

	if (!atomic_load(&e->used))
		report(DESTROYED, name, NULL, site);
	else if (mine.callback)
		report(IN_CALLBACK, name, mine.callback, site);
	else if (report_detached(e->mm, name, site))
		;
	else if (in_engine_section())
		report(NESTED, name, NULL, site);
	else if (atomic_load(&e->state) != ENGINE_OUT && !mm_inherited(e->mm))
		report(IN_USE, name, NULL, site);
	else if (mine.commits)
		report(NESTED_IN_COMMIT, name, NULL, site);
	if (!in_engine_section())
		mine.engine = e;
}

void debug_exit(struct hmm_engine *e, const void *site)
{
	static const char name[] = "hmm_engine_exit";

	if (atomic_load(&e->state) == ENGINE_OUT)
		report(NOT_ENTERED, name, NULL, site);
	else if (atomic_load(&e->tid) != thread_self() && !mm_inherited(e->mm))
		report(ENTERED_ELSEWHERE, name, NULL, site);
	if (mine.engine == e)
		mine.engine = NULL;
}

void debug_engine_destroy(struct hmm_engine *e, const void *site)
{
	if (!atomic_load(&e->used))
		report(DESTROYED, "hmm_engine_destroy", NULL, site);
	else if (atomic_load(&e->state) != ENGINE_OUT)
		report(DESTROYED_INSIDE, "hmm_engine_destroy", NULL, site);
	if (mine.engine == e)
		mine.engine = NULL;
}

void debug_commit_begin(const struct hmm_mm *mm, const void *site)
{
	static const char name[] = "hmm_mm_commit_begin";

	if (is_library())
		return;
	if (mine.callback)
		report(IN_CALLBACK, name, mine.callback, site);
	else if (report_detached(mm, name, site))
		return;
	else if (in_engine_section())
		report(NESTED, name, NULL, site);
	else if (mine.commits)
		report(NESTED_IN_COMMIT, name, NULL, site);
}

void debug_commit_begun(void)
{
	mine.commits++;
}

static bool report_no_commit(const void *site)
{
	report(NO_COMMIT, "hmm_mm_commit_end", NULL, site);
	return false;
}

bool debug_commit_end(const struct hmm_mm *mm, const void *site)
{
	if (mine.commits)
		mine.commits--;
	else if (!mm_inherited(mm))
		return report_no_commit(site);
	return true;
}

bool debug_detach(struct hmm_mm *mm, const void *site)
{
	debug_call("hmm_mm_detach", mm, DEBUG_BLOCKS, site);
	return !atomic_load(&mm->detached);
}

void debug_array(const char *function, const char *array, const void *site)
{
	if (!is_library())
		report(MIRRORED_ARRAY, function, array, site);
}

/* ---- allocations -------------------------------------------------------------------------- */

bool debug_in_any_section(void)
{
	return !is_library() && !log_is_saying() && (mine.commits || in_engine_section());
}

bool debug_may_not_allocate(void)
{
	return mine.callback && !is_library() && !log_is_saying();
}

void debug_allocates(const char *function, const void *site)
{
	report(ALLOCATES, function, mine.callback, site);
}

void debug_unmaps(const char *function, const void *site)
{
	report(in_engine_section() ? UNMAPS_IN_SECTION : UNMAPS_IN_COMMIT, function, NULL, site);
}

/* ---- the program's code ------------------------------------------------------------------- */

void debug_program_begin(struct debug_frame *frame, const char *callback)
{
	frame->program = mine.program;
	frame->callback = mine.callback;
	mine.program = inside_library;
	if (callback)
		mine.callback = callback;
}

void debug_program_end(struct debug_frame *frame)
{
	mine.program = frame->program;
	mine.callback = frame->callback;
}

void debug_init(void)
{
	static _Atomic bool read;
	const char *value;

	if (atomic_exchange(&read, true))
		return;
	value = secure_getenv("LIBHMM_DEBUG");
	if (!value || !*value || !strcmp(value, "0"))
		return;
	ends = !strcmp(value, "abort");
	atomic_store(&debug_on, true);
}
