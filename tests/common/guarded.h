/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Memory that is there and not there, for the tests of guarded accesses. */
#ifndef TESTS_COMMON_GUARDED_H
#define TESTS_COMMON_GUARDED_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <hmm/guard.h>

#include "common/apart.h"

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* The test framework puts handlers of its own in front before each test. */
static inline void begin_test(void)
{
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	assert_int_equal(hmm_guard_look(), 0);
}

#define TEST(name)                                                                                 \
	static void name##_itself(void **state);                                                   \
	static void name(void **state)                                                             \
	{                                                                                          \
		begin_test();                                                                      \
		name##_itself(state);                                                              \
	}                                                                                          \
	static void name##_itself(void **state)

/* In a handler, where ThreadSanitizer blocks all signals. */
static inline void needs_faults_in_handlers(void)
{
#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer blocks every signal while a handler runs\n");
	skip();
#endif
}

static inline char *map_pages(size_t n, int prot)
{
	char *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static inline char byte_at(size_t i)
{
	return (char)(i * 31 + i / 251);
}

static inline void fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = byte_at(i);
}

/* A page that is there, filled, and one behind it that is not. */
static inline char *edge(void)
{
	char *p = map_pages(2, PROT_READ | PROT_WRITE);

	fill(p, PAGE);
	mprotect(p + PAGE, PAGE, PROT_NONE);
	return p;
}

static inline void edge_free(char *p)
{
	munmap(p, 2 * PAGE);
}

/* How a child ends that does this. */
static inline int ending(void (*fn)(char *none))
{
	char *none = map_pages(1, PROT_NONE);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* the test framework has one */
		alarm(20);
		fn(none);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	munmap(none, PAGE);
	return status;
}

static inline void assert_killed(int status, int sig)
{
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), sig);
}

#endif
