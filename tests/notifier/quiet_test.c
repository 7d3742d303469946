// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What a validated use costs while a log is quiet. The three words that the kernel writes lie on a
 * page each, which cannot be read: each load of one is a fault, which is counted, and the processor
 * then executes that instruction alone.
 */
#include "common/space.h"
#include "provider/log.h"
#include "space/space.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ucontext.h>

#include <hmm/range.h>

#define LOADS_MAX 4
#define TRAP_FLAG 0x100

enum { PRODUCER, SPACE, GLOBAL, SHARED };

static struct {
	struct log_memory memory;
	_Atomic uint64_t consumer;
	char data[WATCH_PAGE] __attribute__((aligned(8)));
	char *page[SHARED];
	volatile int open; /* which page may be read for one instruction */
	volatile unsigned int loads[SHARED];
} shared;

static void on_load(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	for (int i = 0; i < SHARED; i++) {
		if ((uintptr_t)info->si_addr - (uintptr_t)shared.page[i] >= WATCH_PAGE)
			continue;
		shared.loads[i]++;
		shared.open = i;
		mprotect(shared.page[i], WATCH_PAGE, PROT_READ);
		c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
		return;
	}
	abort();
}

static void on_step(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	mprotect(shared.page[shared.open], WATCH_PAGE, PROT_NONE);
	c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void hide(bool hidden)
{
	for (int i = 0; i < SHARED; i++)
		mprotect(shared.page[i], WATCH_PAGE, hidden ? PROT_NONE : PROT_READ | PROT_WRITE);
}

static struct hmm_mm *open_space(struct hmm_interval_notifier **ni, struct seen *seen)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;

	for (int i = 0; i < SHARED; i++) {
		shared.page[i] = mmap(NULL, WATCH_PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(shared.page[i], MAP_FAILED);
	}
	shared.memory = (struct log_memory){ .consumer = &shared.consumer,
					     .producer = (void *)shared.page[PRODUCER],
					     .data = shared.data,
					     .bytes = WATCH_PAGE,
					     .space = (void *)shared.page[SPACE],
					     .global = (void *)shared.page[GLOBAL] };
	log_of_test = &shared.memory;
	o.provider = HMM_PROVIDER_BPF;
	assert_int_equal(hmm_mm_attach(&o, &mm), 0);
	log_of_test = NULL;
	assert_int_equal(hmm_interval_notifier_insert(mm, PAGE, PAGE, &on_ops, seen, ni), 0);
	return mm;
}

static void close_space(struct hmm_mm *mm, struct hmm_interval_notifier *ni)
{
	hmm_interval_notifier_remove(ni);
	hmm_mm_detach(mm);
	for (int i = 0; i < SHARED; i++)
		munmap(shared.page[i], WATCH_PAGE);
}

/* The pump and the watchdog sleep: they may not load what is hidden, as they take no signals. */
static bool is_calm(struct hmm_mm *mm)
{
	for (int i = 0; i < 1000 && !atomic_load(&mm->keeper); i++)
		sleep_ms(1);
	sleep_ms(50);
	return atomic_load(&mm->keeper) && log_is_quiet(mm->log);
}

static void test_a_use_in_quiet_makes_few_shared_loads(void **state)
{
	struct sigaction load = { .sa_sigaction = on_load, .sa_flags = SA_SIGINFO };
	struct sigaction step = { .sa_sigaction = on_step, .sa_flags = SA_SIGINFO };
	struct hmm_interval_notifier *ni;
	struct sigaction old_load, old_step;
	unsigned int loads = 0;
	struct seen seen = { 0 };
	struct hmm_mm *mm = open_space(&ni, &seen);
	const uint64_t seq = hmm_interval_read_begin(ni);
	bool stale;

	if (!is_calm(mm)) {
		close_space(mm, ni);
		skip();
	}
	sigaction(SIGSEGV, &load, &old_load);
	sigaction(SIGTRAP, &step, &old_step);
	hide(true);
	stale = hmm_interval_stale(ni, seq);
	hide(false);
	sigaction(SIGSEGV, &old_load, NULL);
	sigaction(SIGTRAP, &old_step, NULL);
	assert_false(stale);
	for (int i = 0; i < SHARED; i++) {
		assert_true(shared.loads[i] > 0);
		loads += shared.loads[i];
	}
	assert_true(loads <= LOADS_MAX);
	print_message("%u loads of what the kernel writes\n", loads);
	close_space(mm, ni);
}

/*
 * The watchdog looks at the log 20 times a second. Where this thread has no processor while the
 * words are hidden that ends the process, which takes another try.
 */
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_use_in_quiet_makes_few_shared_loads),
	};
	int status = SIGSEGV;

	for (int i = 0; i < 20 && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV; i++) {
		const pid_t pid = fork();

		if (!pid)
			exit(cmocka_run_group_tests(tests, NULL, NULL));
		if (waitpid(pid, &status, 0) != pid)
			return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
