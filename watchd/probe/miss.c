// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * watch-miss [--ignore-word] [SECONDS]: threads unmap without end while others check whether the
 * log told them. Under preempt=full the kernel skips programs: misses is above 0, and stale must
 * be 0.
 * With --ignore-word the readers do not look at the global word, and stale must be above 0.
 *
 * A check is stale if it finds that nothing was told of an address since a mark was taken, although
 * an munmap of it has returned between the two.
 *
 * Exits 1 if something was stale (with --ignore-word: if nothing was), 77 if nothing was skipped.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "watchd/probe/log.h"

#define BUSY 12  /* threads that unmap all the time */
#define SLEEPY 4 /* threads that wake, take the processor from another and unmap */
#define READERS 2
#define PLACES SLEEPY
#define PLACE_BYTES 65536UL

static char *base;
static bool ignore_word;
static atomic_bool stop;
/* how often an munmap was called, and how often it has returned */
static atomic_ulong began[PLACES], unmapped[PLACES];

/* What the readers have read of the log. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct probe_log log_;
static unsigned long told[PLACES];
static unsigned long everything; /* how often everything became invalid */
static uint64_t word, trouble;
static atomic_ulong checks, accepted, stale, untrusted;

static void unmap_once(int i)
{
	char *p = base + i * PLACE_BYTES;

	if (mmap(p, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		abort();
	*(volatile char *)p = 1;
	atomic_fetch_add(&began[i], 1);
	munmap(p, 4096);
	atomic_fetch_add(&unmapped[i], 1);
}

static pid_t start_busy(void)
{
	pid_t parent = getpid(), pid = fork();
	char *p;

	if (pid)
		return pid;
	while (getppid() == parent) {
		p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		*(volatile char *)p = 1;
		munmap(p, 4096);
	}
	_exit(0);
}

static void *sleepy(void *arg)
{
	struct sched_param high = { .sched_priority = 10 };
	struct timespec while_ = { 0, 2000000 };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((long)arg % sysconf(_SC_NPROCESSORS_ONLN), &one);
	pthread_setaffinity_np(pthread_self(), sizeof(one), &one);
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &high);
	while (!stop) {
		nanosleep(&while_, NULL);
		unmap_once((int)(long)arg);
	}
	return NULL;
}

/* Reads what is new. False: a thread is switched out inside a program: nothing can be trusted. */
static bool drain(void)
{
	uint64_t now = __atomic_load_n(&log_.global->word, __ATOMIC_ACQUIRE);
	uint64_t lost = __atomic_load_n(&log_.space->trouble, __ATOMIC_ACQUIRE);
	struct watch_record r;

	if (!ignore_word && (now & ~WATCH_OUT) != (word & ~WATCH_OUT))
		everything++;
	if (lost != trouble)
		everything++;
	word = now;
	trouble = lost;
	while (probe_log_next(&log_, &r)) {
		unsigned long at = (r.start - (unsigned long)base) / PLACE_BYTES;

		if (!(r.flags & WATCH_END) && r.start >= (unsigned long)base && at < PLACES)
			told[at]++;
	}
	/* a record that is not complete yet names an address that is not known yet */
	return (ignore_word || !(now & WATCH_OUT)) && probe_log_quiet(&log_);
}

static void *reader(void *arg)
{
	unsigned long seen[PLACES], all = 0, done[PLACES], now[PLACES];
	bool known = false, quiet;
	int i;

	while (!stop) {
		for (i = 0; i < PLACES; i++)
			now[i] = atomic_load(&unmapped[i]);
		pthread_mutex_lock(&lock);
		quiet = drain();
		for (i = 0; i < PLACES && known; i++) {
			checks++;
			if (!quiet) {
				untrusted++;
			} else if (told[i] == seen[i] && everything == all) {
				accepted++;
				stale += now[i] > done[i];
			}
		}
		/* The mark, and after it how many had begun: later ones are to be seen. */
		memcpy(seen, told, sizeof(seen));
		all = everything;
		pthread_mutex_unlock(&lock);
		for (i = 0; i < PLACES; i++)
			done[i] = atomic_load(&began[i]);
		known = true;
		usleep(50);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[PLACES + READERS];
	struct watch_loader *loader;
	unsigned long total = 0;
	struct watch_fds fds;
	pid_t pids[BUSY];
	uint64_t misses;
	uint32_t slot;
	int err, i, arg = 1;

	if (argc > arg && !strcmp(argv[arg], "--ignore-word")) {
		ignore_word = true;
		arg++;
	}
	base = mmap(NULL, PLACES * PLACE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	err = watch_load(0, &loader);
	if (!err)
		err = probe_log_open(loader, 1 << 20, 0, &log_);
	if (err) {
		fprintf(stderr, "watch-miss: %s\n", strerror(-err));
		return err == -EPERM || err == -EOPNOTSUPP ? 77 : 1;
	}
	for (i = 0; i < BUSY; i++) {
		pids[i] = start_busy();
		err = watch_open(loader, pids[i], 4096, 0, &fds, &slot);
		if (err)
			fprintf(stderr, "watch-miss: another process: %s\n", strerror(-err));
	}
	word = log_.global->word;
	for (i = 0; i < PLACES; i++)
		pthread_create(&threads[i], NULL, sleepy, (void *)(long)i);
	for (i = 0; i < READERS; i++)
		pthread_create(&threads[PLACES + i], NULL, reader, NULL);
	sleep(argc > arg ? atoi(argv[arg]) : 20);
	stop = true;
	for (i = 0; i < PLACES + READERS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < PLACES; i++)
		total += unmapped[i];
	misses = watch_misses(loader);
	for (i = 0; i < BUSY; i++)
		kill(pids[i], SIGKILL);
	printf("unmaps %lu, checks %lu, accepted %lu, untrusted %lu, all invalid %lu, "
	       "misses %llu, switched out %llu, trouble %llu, stale %lu\n",
	       total, checks, accepted, untrusted, everything, (unsigned long long)misses,
	       (unsigned long long)(log_.global->word >> WATCH_OUT_BITS),
	       (unsigned long long)log_.space->trouble, stale);
	if (!misses)
		return 77;
	return ignore_word ? !stale : !!stale;
}
