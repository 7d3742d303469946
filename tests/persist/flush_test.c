// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Whether cache lines are written back shows nowhere but on a machine that loses power, so the
 * instructions are looked at: flush_range() runs under the processor's trap flag, and each
 * write-back that is about to be executed is noted with its address. Every line once, no other, and
 * a fence after the last.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <ucontext.h>
#include <x86intrin.h>

#include "persist/flush.h"

#define LINE 64
#define LINES_MAX 256
#define TRAP_FLAG 0x100UL

static struct {
	uint64_t line[LINES_MAX];
	unsigned int n;
	bool fenced; /* since the last */
} seen;

static uint64_t register_of(const ucontext_t *uc, unsigned int number)
{
	static const int names[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
				     REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
				     REG_R12, REG_R13, REG_R14, REG_R15 };

	return (uint64_t)uc->uc_mcontext.gregs[names[number]];
}

/*
 * The address in a ModRM operand. Compilers make one of a pointer with or without an offset; others
 * are not needed.
 */
static uint64_t operand(const ucontext_t *uc, const uint8_t *modrm, bool high)
{
	const unsigned int mod = *modrm >> 6, rm = *modrm & 7;
	uint64_t base;
	int32_t offset = 0;

	if (mod == 3 || rm == 4 || (rm == 5 && !mod))
		return 0;
	base = register_of(uc, rm + 8 * high);
	if (mod == 1)
		offset = (int8_t)modrm[1];
	else if (mod == 2)
		memcpy(&offset, modrm + 1, sizeof(offset));
	return base + (uint64_t)(int64_t)offset;
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const uint8_t *p = (const uint8_t *)uc->uc_mcontext.gregs[REG_RIP];
	const bool prefix = *p == 0x66;
	bool high = false;

	(void)sig;
	(void)info;
	p += prefix;
	if ((*p & 0xf0) == 0x40)
		high = *p++ & 1; /* REX.B */
	if (p[0] != 0x0f || p[1] != 0xae)
		return;
	if (p[2] == 0xf8) {
		seen.fenced = true;
	} else if (prefix &&
		   ((p[2] >> 3 & 7) == 6 || (p[2] >> 3 & 7) == 7)) { /* clwb, clflushopt */
		if (seen.n < LINES_MAX)
			seen.line[seen.n] = operand(uc, p + 2, high) & ~(uint64_t)(LINE - 1);
		seen.n++;
		seen.fenced = false;
	}
}

static void watch(uint64_t start, uint64_t end)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO }, old;

	memset(&seen, 0, sizeof(seen));
	flush_available(); /* what it finds out first is none of this */
	sigaction(SIGTRAP, &action, &old);
	__writeeflags(__readeflags() | TRAP_FLAG);
	flush_range(start, end);
	__writeeflags(__readeflags() & ~TRAP_FLAG);
	sigaction(SIGTRAP, &old, NULL);
}

static char room[8192] __attribute__((aligned(4096)));

static void every_line_is_written_back(size_t start, size_t end)
{
	const uint64_t first = ((uintptr_t)room + start) & ~(uint64_t)(LINE - 1);
	const uint64_t stop = (uintptr_t)room + end;
	unsigned int i = 0;

	watch((uintptr_t)room + start, stop);
	for (uint64_t line = first; line < stop; line += LINE, i++) {
		assert_true(i < seen.n);
		assert_int_equal(seen.line[i], line);
	}
	assert_int_equal(seen.n, i);
	assert_true(seen.fenced);
}

static void a_page(void **state)
{
	every_line_is_written_back(0, 4096);
}

static void a_byte(void **state)
{
	every_line_is_written_back(100, 101);
	every_line_is_written_back(0, 1);
	every_line_is_written_back(63, 64);
}

static void across_a_line(void **state)
{
	every_line_is_written_back(63, 65);
	every_line_is_written_back(1, 65);
	every_line_is_written_back(64, 129);
}

static void across_a_page(void **state)
{
	every_line_is_written_back(4095, 4097);
	every_line_is_written_back(4000, 4200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page),
		cmocka_unit_test(a_byte),
		cmocka_unit_test(across_a_line),
		cmocka_unit_test(across_a_page),
	};

	if (!flush_available())
		return 77; /* this processor has neither clwb nor clflushopt */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
