/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Loads and stores that may fault. Each is one instruction whose place is in a table of the
 * object, beside the place where it goes on after a fault. The handler finds it there, sets the
 * register FAULT_REGISTER to 1, and returns to that place. Without a fault it costs nothing.
 *
 * Assembler, so that neither a compiler nor a sanitizer adds an access of its own, and so that the
 * caller's own memory is touched by ordinary code, whose faults are the caller's.
 */
#ifndef LIB_GUARD_FIXUP_H
#define LIB_GUARD_FIXUP_H

#include <stdbool.h>
#include <stdint.h>

/* An entry of the table: distances from the members themselves, so that nothing is relocated. */
struct fixup {
	int32_t access;
	int32_t resume;
};

/* The instruction at label @access of the assembler goes on at label @resume. */
#define FIXUP(access, resume)                                                                      \
	".pushsection hmm_guard_fixups, \"a\"\n\t.balign 4\n\t"                                    \
	".long " access " - .\n\t.long " resume " - .\n\t.popsection\n\t"

/* 16 bytes of any alignment, in a vector register. */
typedef uint64_t vector __attribute__((vector_size(16)));

struct block {
	vector v[4];
};

#if defined(__x86_64__)

#define FAULT_REGISTER "rax"

/* A name for the size, the type of a register, its class, and the two instructions. */
#define FOR_EACH_SIZE(make)                                                                        \
	make(1, uint64_t, "r", "movzbl (%2), %k1",                                                 \
	     "movb %b1, (%2)") make(2, uint64_t, "r", "movzwl (%2), %k1", "movw %w1, (%2)")        \
		make(4, uint64_t, "r", "movl (%2), %k1", "movl %k1, (%2)")                         \
			make(8, uint64_t, "r", "movq (%2), %1", "movq %1, (%2)")                   \
				make(16, vector, "x", "movups (%2), %1", "movups %1, (%2)")

/* The processor's own order is enough. */
#define FOR_EACH_ORDERED_SIZE(make)

#define LOAD_BLOCK                                                                                 \
	"1: movups (%5), %1\n\t2: movups 16(%5), %2\n\t"                                           \
	"3: movups 32(%5), %3\n\t4: movups 48(%5), %4\n\t5:\n\t"
#define STORE_BLOCK                                                                                \
	"1: movups %2, (%1)\n\t2: movups %3, 16(%1)\n\t"                                           \
	"3: movups %4, 32(%1)\n\t4: movups %5, 48(%1)\n\t5:\n\t"
#define VECTOR "x"

#elif defined(__aarch64__)

#define FAULT_REGISTER "x0"

#define FOR_EACH_SIZE(make)                                                                        \
	make(1, uint64_t, "r", "ldrb %w1, [%2]", "strb %w1, [%2]")                                 \
		make(2, uint64_t, "r", "ldrh %w1, [%2]", "strh %w1, [%2]")                         \
			make(4, uint64_t, "r", "ldr %w1, [%2]", "str %w1, [%2]")                   \
				make(8, uint64_t, "r", "ldr %1, [%2]", "str %1, [%2]")             \
					make(16, vector, "w", "ldr %q1, [%2]", "str %q1, [%2]")

#define FOR_EACH_ORDERED_SIZE(make)                                                                \
	make(ordered_1, uint64_t, "r", "ldarb %w1, [%2]", "stlrb %w1, [%2]")                       \
		make(ordered_2, uint64_t, "r", "ldarh %w1, [%2]", "stlrh %w1, [%2]")               \
			make(ordered_4, uint64_t, "r", "ldar %w1, [%2]", "stlr %w1, [%2]")         \
				make(ordered_8, uint64_t, "r", "ldar %1, [%2]", "stlr %1, [%2]")

#define LOAD_BLOCK                                                                                 \
	"1: ldr %q1, [%5]\n\t2: ldr %q2, [%5, #16]\n\t"                                            \
	"3: ldr %q3, [%5, #32]\n\t4: ldr %q4, [%5, #48]\n\t5:\n\t"
#define STORE_BLOCK                                                                                \
	"1: str %q2, [%1]\n\t2: str %q3, [%1, #16]\n\t"                                            \
	"3: str %q4, [%1, #32]\n\t4: str %q5, [%1, #48]\n\t5:\n\t"
#define VECTOR "w"

#else
#error "guarded loads and stores are written for x86-64 and arm64"
#endif

/* Each: false if the memory was not there. */
#define MAKE_ACCESS(size, type, class, load, store)                                                \
	static inline bool load_##size(type *value, const void *src)                               \
	{                                                                                          \
		register uintptr_t fault __asm__(FAULT_REGISTER) = 0;                              \
		type v;                                                                            \
                                                                                                   \
		__asm__ volatile("1: " load "\n\t2:\n\t" FIXUP("1b", "2b")                         \
				 : "+r"(fault), "=&" class(v)                                      \
				 : "r"(src)                                                        \
				 : "memory");                                                      \
		if (fault)                                                                         \
			return false;                                                              \
		*value = v;                                                                        \
		return true;                                                                       \
	}                                                                                          \
	static inline bool store_##size(void *dst, type value)                                     \
	{                                                                                          \
		register uintptr_t fault __asm__(FAULT_REGISTER) = 0;                              \
                                                                                                   \
		__asm__ volatile("1: " store "\n\t2:\n\t" FIXUP("1b", "2b")                        \
				 : "+r"(fault)                                                     \
				 : class(value), "r"(dst)                                          \
				 : "memory");                                                      \
		return !fault;                                                                     \
	}
FOR_EACH_SIZE(MAKE_ACCESS)
FOR_EACH_ORDERED_SIZE(MAKE_ACCESS)
#undef MAKE_ACCESS

#define FIXUP_BLOCK FIXUP("1b", "5b") FIXUP("2b", "5b") FIXUP("3b", "5b") FIXUP("4b", "5b")

static inline bool load_block(struct block *b, const void *src)
{
	register uintptr_t fault __asm__(FAULT_REGISTER) = 0;

	__asm__ volatile(LOAD_BLOCK FIXUP_BLOCK
			 : "+r"(fault), "=&" VECTOR(b->v[0]), "=&" VECTOR(b->v[1]),
			   "=&" VECTOR(b->v[2]), "=&" VECTOR(b->v[3])
			 : "r"(src)
			 : "memory");
	return !fault;
}

/* False: perhaps after some of it was stored. */
static inline bool store_block(void *dst, const struct block *b)
{
	register uintptr_t fault __asm__(FAULT_REGISTER) = 0;

	__asm__ volatile(STORE_BLOCK FIXUP_BLOCK
			 : "+r"(fault)
			 : "r"(dst), VECTOR(b->v[0]), VECTOR(b->v[1]), VECTOR(b->v[2]),
			   VECTOR(b->v[3])
			 : "memory");
	return !fault;
}

#ifdef __x86_64__
#define load_ordered_1 load_1
#define load_ordered_2 load_2
#define load_ordered_4 load_4
#define load_ordered_8 load_8
#define store_ordered_1 store_1
#define store_ordered_2 store_2
#define store_ordered_4 store_4
#define store_ordered_8 store_8
#endif

#endif
