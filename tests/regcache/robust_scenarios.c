// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Descriptors that are used up, children, signals, real-time threads, allocators, exit. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "robust.h"

#define THREADS 3
#define EXITS 20

static void close_all(void)
{
	hmm_regcache_destroy(cache);
	hmm_mm_detach(mm);
}

static void start_threads(pthread_t *threads, void *(*run)(void *))
{
	for (int i = 0; i < THREADS; i++)
		MUST(!pthread_create(&threads[i], NULL, run, NULL));
}

static void end_threads(pthread_t *threads)
{
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* All that the process may have. Returns how many; their numbers are in fds. */
static int use_up_descriptors(int *fds, int most)
{
	int n = 0;

	while (n < most && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		n++;
	MUST(errno == EMFILE || errno == ENFILE);
	return n;
}

static int memfd_buffer(char **at)
{
	int fd = memfd_create("robust", MFD_CLOEXEC);

	MUST(fd >= 0 && !ftruncate(fd, BUFFER));
	*at = mmap(NULL, BUFFER, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(*at != MAP_FAILED);
	return fd;
}

int run_descriptors(void)
{
	static int fds[65536];
	char *kept = map_buffer(), *fresh = map_buffer(), *shared;
	struct hmm_mm *another;
	int n, err, fd = memfd_buffer(&shared);

	open_cache(0);
	MUST(!use(kept) && !use(kept));
	n = use_up_descriptors(fds, 65536);
	/* What is known stays known; what is new is registered, or refused with a reason. */
	MUST(!use(kept));
	MUST(!use(fresh));
	err = use(shared);
	printf("shared memory without descriptors: %s\n", err ? strerror(-err) : "registered");
	err = hmm_mm_attach(NULL, &another);
	printf("attach without descriptors: %s\n", err ? strerror(-err) : "done");
	MUST(!munmap(kept, BUFFER));
	while (n--)
		close(fds[n]);
	MUST(!use(shared) && !use(fresh));
	close(fd);
	close_all();
	return 0;
}

static void in_child(const char *at, struct hmm_registration *held)
{
	struct hmm_registration *r;

	alarm(50);
	MUST(hmm_regcache_get(cache, (uintptr_t)at, BUFFER, 0, TIMEOUT_NS, &r) == -ESRCH);
	hmm_regcache_put(cache, held);
	hmm_regcache_reap(cache);
	hmm_regcache_flush(cache);
	MUST(!munmap((void *)(uintptr_t)at, BUFFER));
	close_all();
	exit(0);
}

/* While other threads are in the middle of anything. */
int run_child(void)
{
	struct hmm_registration *held;
	pthread_t threads[THREADS];
	char *at = map_buffer();

	open_cache(0);
	start_threads(threads, use_and_unmap);
	for (int i = 0; i < 50; i++) {
		int status,
			err = hmm_regcache_get(cache, (uintptr_t)at, BUFFER, 0, TIMEOUT_NS, &held);
		pid_t pid;

		MUST(!err || err == -ETIME);
		if (err)
			continue;
		pid = fork();
		if (!pid)
			in_child(at, held);
		MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
		MUST(WIFEXITED(status) && !WEXITSTATUS(status));
		hmm_regcache_put(cache, held);
	}
	end_threads(threads);
	close_all();
	return 0;
}

static char *signalled;
static volatile sig_atomic_t unmaps;

/* System calls alone: whatever the thread was in the middle of. */
static void unmap_in_handler(int signal)
{
	int saved = errno;

	if (!syscall(SYS_munmap, signalled, BUFFER) &&
	    (char *)syscall(SYS_mmap, signalled, BUFFER, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == signalled)
		unmaps++;
	errno = saved;
}

int run_signals(void)
{
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = unmap_in_handler, .sa_flags = SA_RESTART };
	double end;
	unsigned int uses = 0;

	open_cache(0);
	signalled = map_buffer();
	MUST(!sigaction(SIGALRM, &action, NULL));
	MUST(!setitimer(ITIMER_REAL, &often, NULL));
	/* Longer on a busy machine, where each use may end by its timeout. */
	for (end = now() + 2; now() < end || unmaps <= 50 || uses <= 50; uses++) {
		char *other = map_buffer();
		int first = use(signalled), second = use(other);

		MUST(!first || first == -ETIME);
		MUST(!second || second == -ETIME);
		munmap(other, BUFFER);
	}
	MUST(!setitimer(ITIMER_REAL, &never, NULL));
	printf("%u uses, %d times unmapped by a handler\n", uses, (int)unmaps);
	close_all();
	return 0;
}

/* Threads that the pump must wait for, as many as there are processors. */
static void *use_in_real_time(void *arg)
{
	const struct sched_param lowest = { .sched_priority = 1 };

	MUST(!pthread_setschedparam(pthread_self(), SCHED_FIFO, &lowest));
	return use_and_unmap(arg);
}

int run_realtime(void)
{
	const struct sched_param lowest = { .sched_priority = 1 }, none = { .sched_priority = 0 };
	pthread_t threads[THREADS];

	if (sched_setscheduler(0, SCHED_FIFO, &lowest)) {
		puts("no SCHED_FIFO without privilege");
		return SKIP;
	}
	MUST(!sched_setscheduler(0, SCHED_OTHER, &none));
	open_cache(0);
	start_threads(threads, use_in_real_time);
	sleep(1);
	end_threads(threads);
	close_all();
	return 0;
}

static void *allocate_and_use(void *arg)
{
	for (unsigned int i = 0; !atomic_load(&stop); i++) {
		size_t size = (i % 37 + 1) * BUFFER;
		char *at = malloc(size + BUFFER);
		int err;

		MUST(at);
		memset(at, 1, size + BUFFER);
		err = use(at);
		MUST(!err || err == -ETIME);
		free(at);
	}
	return NULL;
}

int run_allocator(void)
{
	pthread_t threads[THREADS];
	double end;

	open_cache(0);
	start_threads(threads, allocate_and_use);
	for (end = now() + 2; now() < end;) {
		pid_t pid = fork();

		if (!pid) {
			free(malloc(BUFFER));
			_exit(0);
		}
		MUST(pid > 0 && waitpid(pid, NULL, 0) == pid);
		hmm_regcache_flush(cache);
	}
	end_threads(threads);
	close_all();
	return 0;
}

static void exit_while_busy(void)
{
	pthread_t threads[THREADS];

	alarm(50);
	open_cache(0);
	start_threads(threads, use_and_unmap);
	usleep(20000);
	exit(0);
}

/* The library is not attached yet when it forks. */
int run_exit(void)
{
	for (int i = 0; i < EXITS; i++) {
		pid_t pid = fork();
		int status;

		if (!pid)
			exit_while_busy();
		MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
		MUST(WIFEXITED(status) && !WEXITSTATUS(status));
	}
	return 0;
}
