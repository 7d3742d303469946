// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Other threads unmap and map memory of the library while one asks whose an address is. The test
 * does so in their place: the processor executes one instruction after the other, and the handler
 * changes mappings between two of them, in each run between others.
 */
#include "common/space.h"
#include "base/pool.h"

#include <signal.h>
#include <sys/ucontext.h>

#define TRAP_FLAG 0x100
/* A place is read in fewer instructions, also where the compiler does not optimize. */
#define NEAR 32

static char *low, *mem, *high; /* a page each, in this order */

/* Where the next mapping of the library comes. */
static char *place;

void *__real_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

void *__wrap_mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	char *const to = place;

	place = NULL;
	return __real_mmap64(to ? to : addr, length, prot, flags | (to ? MAP_FIXED : 0), fd,
			     offset);
}

static void map_at(char *to)
{
	place = to;
	assert_ptr_equal(pool_map(PAGE), to);
}

static volatile struct {
	bool on;
	unsigned int done;
	unsigned int away; /* before this one `low` goes, and `high` comes to its place */
	unsigned int back; /* before this one `low` comes back */
} steps;

/* False at the end: the call had ended before. */
static bool all_changed(void)
{
	return steps.done >= steps.away && steps.done >= steps.back;
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	if (!steps.on || all_changed()) {
		c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
		return;
	}
	c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	steps.done++;
	if (steps.done == steps.away) {
		pool_unmap(low, PAGE);
		map_at(high);
	}
	if (steps.done == steps.back) {
		pool_unmap(high, PAGE);
		map_at(low);
	}
}

static void step(unsigned int away, unsigned int back)
{
	steps.done = 0;
	steps.away = away;
	steps.back = back;
	steps.on = true;
	raise(SIGTRAP);
}

static void steps_end(void)
{
	steps.on = false;
}

static struct sigaction old_step;

static int setup(void **state)
{
	const struct sigaction action = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };

	low = __real_mmap64(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(low, MAP_FAILED);
	mem = low + PAGE;
	high = mem + PAGE;
	return sigaction(SIGTRAP, &action, &old_step);
}

static int teardown(void **state)
{
	munmap(low, 3 * PAGE);
	return sigaction(SIGTRAP, &old_step, NULL);
}

static bool is_ours(const char *p)
{
	return pool_owns((uint64_t)(uintptr_t)p);
}

static void end_the_other(void)
{
	const bool went = steps.done >= steps.away && (!steps.back || steps.done < steps.back);
	char *const there = went ? high : low;

	assert_true(is_ours(there));
	assert_false(is_ours(went ? low : high));
	pool_unmap(there, PAGE);
	assert_false(is_ours(there));
}

static bool unmap_in_steps(unsigned int away, unsigned int back)
{
	map_at(low);
	map_at(mem);
	step(away, back);
	pool_unmap(mem, PAGE);
	steps_end();
	assert_false(is_ours(mem));
	end_the_other();
	return all_changed();
}

static void unmapped_memory_is_not_ours_when_another_goes_meanwhile(void **state)
{
	for (unsigned int away = 1; unmap_in_steps(away, 0); away++)
		;
}

static void unmapped_memory_is_not_ours_when_another_goes_and_returns(void **state)
{
	for (unsigned int away = 1; unmap_in_steps(away, away + 1); away++)
		for (unsigned int n = 2; n < NEAR && unmap_in_steps(away, away + n); n++)
			;
}

static bool ask_in_steps(unsigned int away)
{
	bool ours;

	map_at(low);
	step(away, 0);
	ours = is_ours(mem);
	steps_end();
	assert_false(ours);
	end_the_other();
	return all_changed();
}

static void memory_between_two_of_ours_is_the_programs(void **state)
{
	for (unsigned int away = 1; ask_in_steps(away); away++)
		;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(unmapped_memory_is_not_ours_when_another_goes_meanwhile),
		T(unmapped_memory_is_not_ours_when_another_goes_and_returns),
		T(memory_between_two_of_ours_is_the_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
