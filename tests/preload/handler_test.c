// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * With the preload object a handler that the program installs while a job runs is behind the
 * device's, from the device's next access on. Run without it ("bare") the next access is the
 * program's handler's, so that the test proves the object and not something else.
 */
#include <hmm/hmm.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL

struct late {
	char *p;
	_Atomic bool running, installed;
};

static int kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct late *l = arg;
	char buf[8];
	int ret = hmm_load(ctx, buf, (uintptr_t)l->p, sizeof(buf));

	(void)item;
	l->running = true;
	while (!l->installed)
		sched_yield();
	if (ret)
		return ret;
	/* Unseen by the object, as whatever else takes memory away by itself. */
	syscall(SYS_mprotect, l->p, PAGE, PROT_NONE);
	return hmm_load(ctx, buf, (uintptr_t)l->p, sizeof(buf));
}

static sigjmp_buf landing;
static pthread_t program;
static volatile sig_atomic_t own_faults;

static void reporter(int sig)
{
	(void)sig;
	if (!pthread_equal(pthread_self(), program))
		_exit(3);
	own_faults++;
	siglongjmp(landing, 1);
}

static void by_signal(void)
{
	signal(SIGSEGV, reporter);
}

static void by_sigaction(void)
{
	struct sigaction sa = { .sa_handler = reporter };

	sigaction(SIGSEGV, &sa, NULL);
}

/* 0 all is as it should be; 3 the program's handler was called by the device. */
static int job(void (*install)(void))
{
	struct late l = { 0 };
	struct hmm_job j = { .size = sizeof(j), .kernel = kernel, .arg = &l, .items = 1 };
	struct sigaction seen;
	struct hmm_mm *mm;
	struct hmm_device *dev;
	struct hmm_svm *svm;

	program = pthread_self();
	l.p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(l.p, 1, PAGE);
	if (hmm_mm_attach(NULL, &mm) || hmm_device_open(mm, "soft", 1, &dev) ||
	    hmm_svm_create(mm, dev, NULL, &svm) || hmm_svm_submit(svm, &j))
		return 4;
	while (!l.running)
		sched_yield();
	install();
	l.installed = true;
	if (hmm_svm_wait(svm, &j, HMM_FOREVER) || j.status != -EFAULT)
		return 5;
	if (!sigsetjmp(landing, 1))
		*(volatile char *)l.p = 1;
	sigaction(SIGSEGV, NULL, &seen);
	if (own_faults != 1 || seen.sa_handler != reporter)
		return 6;
	/* What it put in its place last counts. */
	return signal(SIGSEGV, SIG_DFL) == reporter && signal(SIGSEGV, SIG_DFL) == SIG_DFL ? 0 : 7;
}

static int in_a_child(void (*install)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(60);
		_exit(job(install));
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*install)(void);
	} ways[] = { { "signal", by_signal }, { "sigaction", by_sigaction } };
	int expected = argc > 1 && !strcmp(argv[1], "bare") ? 3 : 0;
	int failed = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		int status = in_a_child(ways[i].install);

		printf("%s %s: %d\n", status == expected ? "ok" : "not ok", ways[i].name, status);
		failed |= status != expected;
	}
	return failed;
}
