/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * LIBHMM_DEBUG: calls that break a rule are reported where they are made, once a call site and
 * rule. Each thread remembers what it is inside of: an engine's section, commit sections, a
 * callback. Without the variable a call costs one branch more.
 */
#ifndef LIB_SPACE_DEBUG_H
#define LIB_SPACE_DEBUG_H

#include "base/nocancel.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct hmm_mm;
struct hmm_engine;

struct debug_thread {
	const struct hmm_engine *engine; /* the engine whose section this thread began last */
	unsigned int commits;            /* how many commit sections are open */
	/*
	 * inside_library where the program's code began to run: calls at another depth are the
	 * library's own
	 */
	unsigned int program;
	const char *callback; /* the callback that runs; NULL: none */
};

extern _Atomic bool debug_on __attribute__((visibility("hidden")));

static inline bool debug_is_on(void)
{
	return __builtin_expect(atomic_load_explicit(&debug_on, memory_order_relaxed), 0);
}

/* Reads the environment, once in a process. */
void debug_init(void);

/* In what a call is not allowed. */
enum debug_call {
	DEBUG_BLOCKS, /* sections and callbacks */
	DEBUG_QUICK,  /* callbacks */
};

/* mm: NULL if the space may be detached. */
void debug_call(const char *function, const struct hmm_mm *mm, enum debug_call call,
		const void *site);

/*
 * The first statement of a public function, before the thread counts as inside the library
 * (nocancel.h). mm is evaluated only with LIBHMM_DEBUG.
 */
#define DEBUG_CALL(mm, call)                                                                       \
	do {                                                                                       \
		if (debug_is_on())                                                                 \
			debug_call(__func__, mm, call, __builtin_return_address(0));               \
	} while (0)

/* Called before and after the state of an engine changes. */
void debug_enter(struct hmm_engine *engine, const void *site);
void debug_exit(struct hmm_engine *engine, const void *site);
void debug_engine_destroy(struct hmm_engine *engine, const void *site);
void debug_commit_begin(const struct hmm_mm *mm, const void *site);
void debug_commit_begun(void);
/* False: this thread has none. */
bool debug_commit_end(const struct hmm_mm *mm, const void *site);
/* False: the space was detached before. */
bool debug_detach(struct hmm_mm *mm, const void *site);

/* An array that the program handed in lies in mirrored memory. */
void debug_array(const char *function, const char *array, const void *site);

/*
 * The preloaded object reports an allocation, or memory that goes away; mirrored: it is, as far as
 * is known.
 */
bool debug_may_not_allocate(void);
bool debug_in_any_section(void);
void debug_allocates(const char *function, const void *site);
void debug_unmaps(const char *function, const void *site);

/* ---- code of the program that the library calls ------------------------------------------- */

struct debug_frame {
	bool on;
	unsigned int program; /* the thread's callback before */
	const char *callback;
};

void debug_program_begin(struct debug_frame *frame, const char *callback);
void debug_program_end(struct debug_frame *frame);

static inline struct debug_frame debug_frame_begin(const char *callback)
{
	struct debug_frame frame = { .on = debug_is_on() };

	if (frame.on)
		debug_program_begin(&frame, callback);
	return frame;
}

static inline void debug_frame_end(struct debug_frame *frame)
{
	if (__builtin_expect(frame->on, 0))
		debug_program_end(frame);
}

/* The rest of the block is a callback of that name, in which no call of the library is allowed. */
#define DEBUG_CALLBACK(name)                                                                       \
	struct debug_frame debug_frame __attribute__((cleanup(debug_frame_end), unused)) =         \
		debug_frame_begin(name)
/* The rest of the block is the program's code, which may do what its section allows. */
#define DEBUG_PROGRAM DEBUG_CALLBACK(NULL)

#endif
