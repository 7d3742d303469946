// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Hunts stale translations. Each cell has a thread or a process that changes its memory without
 * end, and a user that holds a translation and asks again and again whether it may be used. A use
 * is stale if the answer is yes although the user had seen before it asked that the memory changed.
 *
 * usage: exact_hunt [--provider uffd|bpf|both] [--seconds N] [--times N] [--break NAME] [--misses]
 *                   [--renewed] [--crowd N] [--wide] [--only KIND]
 * --renewed: hmm-watchd ends and another comes meanwhile; uses are accepted after that, too.
 * --crowd: N processes have logs of their own, and change their memory without end. The threads
 * that change the cells' memory sleep, and take the processor from them when they wake: as
 * real-time threads where they may. So the kernel skips programs for them.
 * --wide: a discard is of so many pages that it takes long.
 * --only: no other kind of cell, so that its threads have the processors.
 * The last line has the counts. Status 0: nothing is stale, and uses were accepted in every kind of
 * cell; 1: not so; 77: the provider cannot be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <hmm/hmm.h>
#include "../../lib/base/mutation.h"
#include "programs.h"

#define RW (PROT_READ | PROT_WRITE)
#define CELL_PAGES 16
#define CELL_BYTES (CELL_PAGES * HMM_PAGE_SIZE)
#define WIDE_PAGES 1024 /* less than half of SPAN */
#define CELLS_MAX 64
#define CROWD_MAX 32
/* Far below what the kernel chooses itself, so that no other mapping takes a hole in a cell. */
#ifdef __SANITIZE_THREAD__
#define ARENA 0x7ea000000000ULL /* nothing else is the program's, says ThreadSanitizer */
#else
#define ARENA 0x200000000000ULL
#endif
#define SPAN (16ULL << 20)
#define ASKS 200
#define FAULT_NS 2000000000ULL
#define PATIENCE_MS 20000U
/* Of each round the changers rest for a part. */
#define ROUND_MS 500
#define REST_MS 100
/* until another hmm-watchd is there, which loads its programs first */
#define RENEWED_MS 120000U

enum kind {
	KIND_UNMAP,
	KIND_PROTECT,
	KIND_MOVE,
	KIND_FORK,
	KIND_DISCARD, /* the word in the last page is 0 as soon as the discard has come there */
	KIND_PUNCH,   /* another process punches a hole and writes a new word */
	KIND_NR,
};

struct cell {
	enum kind kind;
	size_t bytes;
	char *p, *away;
	int fd;
	/* changes that have begun, and of these how many have returned */
	_Atomic uint64_t begun, ended;
	_Atomic uint64_t accepted;
	uint64_t refused, stale, errors;
};

static struct {
	struct hmm_mm *mm;
	struct cell *cells; /* shared with the processes that change files */
	unsigned int n;
	double seconds;
	uint32_t provider;
	bool misses;
	bool renewed;
	uint64_t accepted;  /* by then */
	unsigned int crowd; /* how many processes */
	bool wide;
	const char *only; /* the name of a kind, or NULL */
	_Atomic bool *stop;
} hunt = { .seconds = 5, .provider = HMM_PROVIDER_BOTH };

static const char *const kind_names[KIND_NR] = { "unmap", "protect", "move",
						 "fork",  "discard", "punch" };

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), on_invalidate, NULL };

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool stopped(void)
{
	return atomic_load_explicit(hunt.stop, memory_order_relaxed);
}

static _Atomic uint64_t *word(const struct cell *c)
{
	return (_Atomic uint64_t *)(void *)(c->p + c->bytes - HMM_PAGE_SIZE);
}

static bool stamped(const struct cell *c)
{
	return c->kind == KIND_DISCARD || c->kind == KIND_PUNCH;
}

/* ---- those who change ------------------------------------------------------------------------ */

static void map(char *at)
{
	while (mmap(at, CELL_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	       MAP_FAILED)
		if (errno == EEXIST)
			return;
}

static void fork_once(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
}

static void change(struct cell *c)
{
	atomic_fetch_add(&c->begun, 1);
	switch (c->kind) {
	case KIND_UNMAP:
		munmap(c->p, CELL_BYTES);
		break;
	case KIND_PROTECT:
		mprotect(c->p, CELL_BYTES, PROT_READ);
		break;
	case KIND_MOVE:
		mremap(c->p, CELL_BYTES, CELL_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, c->away);
		break;
	default:
		fork_once();
		break;
	}
	atomic_fetch_add(&c->ended, 1);
}

static void put_back(struct cell *c)
{
	switch (c->kind) {
	case KIND_UNMAP:
		map(c->p);
		break;
	case KIND_PROTECT:
		mprotect(c->p, CELL_BYTES, RW);
		break;
	case KIND_MOVE:
		mremap(c->away, CELL_BYTES, CELL_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, c->p);
		break;
	default:
		break;
	}
}

/*
 * All changers rest at the same time, when there is something to make a translation of. A kernel
 * that preempts itself holds up a thread in a program until it has a processor again, among a few
 * dozen threads for tens of milliseconds, and nothing is trusted meanwhile: on a machine that never
 * rests hardly a translation is made. The first changes after a rest meet translations in use.
 * Wide discards and a crowd give time without that.
 */
static void rest(void)
{
	const uint64_t ms = clock_ms() % ROUND_MS;

	if (ms < REST_MS && !hunt.wide && !hunt.crowd)
		usleep((useconds_t)(REST_MS - ms) * 1000);
}

static void discard(struct cell *c, uint64_t stamp)
{
	for (size_t at = 0; at < c->bytes - HMM_PAGE_SIZE; at += HMM_PAGE_SIZE)
		c->p[at] = 1;
	atomic_store(word(c), stamp);
	/* So that a user has time to make a translation: without the log, a discard ends late. */
	if (hunt.wide)
		usleep(2000);
	else if (stamp % 32)
		sched_yield();
	else
		usleep(20000);
	rest();
	madvise(c->p, c->bytes, MADV_DONTNEED);
}

static void punch(struct cell *c, uint64_t stamp)
{
	if (pwrite(c->fd, &stamp, sizeof(stamp), CELL_BYTES - HMM_PAGE_SIZE) != sizeof(stamp))
		c->errors++;
	/* So that a user has time to make a translation. */
	usleep(1000);
	rest();
	if (fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, CELL_BYTES))
		c->errors++;
}

/* Wakes in a moment, and takes the processor from a thread of the crowd. */
static void come_between(void)
{
	const struct timespec moment = { 0, 20000000 };

	nanosleep(&moment, NULL);
}

static void *changer(void *arg)
{
	const struct sched_param first = { .sched_priority = 10 };
	struct cell *c = arg;

	if (hunt.crowd)
		pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);
	while (!stopped()) {
		if (hunt.crowd)
			come_between();
		if (c->kind == KIND_PUNCH) {
			punch(c, ++c->begun);
		} else if (c->kind == KIND_DISCARD) {
			discard(c, ++c->begun);
		} else {
			rest();
			change(c);
			put_back(c);
			/* So that a user has time to make a translation. */
			sched_yield();
		}
		if (c->kind == KIND_FORK)
			usleep(20000);
	}
	return NULL;
}

/* ---- those who use --------------------------------------------------------------------------- */

struct translation {
	struct hmm_range range;
	uint64_t pfn;
	uint64_t seen; /* what tells that the memory has changed since */
};

static int fault(struct cell *c, struct translation *t)
{
	uint64_t at = (uint64_t)(uintptr_t)word(c);
	struct hmm_interval_notifier *ni = t->range.notifier;

	t->pfn = 0;
	t->range = (struct hmm_range){
		.size = sizeof(t->range),
		.notifier = ni,
		.start = at,
		.end = at + HMM_PAGE_SIZE,
		.hmm_pfns = &t->pfn,
		.default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
	};
	return hmm_range_fault(&t->range, FAULT_NS);
}

/* What a user sees of the changes. Of stamped memory it sees a change before the call returns. */
static uint64_t see(const struct cell *c)
{
	return atomic_load(stamped(c) ? word(c) : &c->ended);
}

/* True: a translation of what is seen. It was certainly made before the next change ended. */
static bool take(struct cell *c, struct translation *t)
{
	int ret;

	t->seen = see(c);
	if (stamped(c) ? !t->seen : atomic_load(&c->begun) != t->seen)
		return false;
	ret = fault(c, t);
	if (ret && ret != -EFAULT && ret != -EBUSY && ret != -EPERM && ret != -ETIME &&
	    ret != -EAGAIN)
		c->errors++;
	if (ret || t->pfn & HMM_PFN_TRANSIENT)
		return false;
	return (stamped(c) ? see(c) : atomic_load(&c->begun)) == t->seen;
}

static void use(struct cell *c, const struct translation *t)
{
	for (unsigned int i = 0; i < ASKS && !stopped(); i++) {
		uint64_t now = see(c);

		if (hmm_interval_stale(t->range.notifier, t->range.notifier_seq)) {
			c->refused++;
			return;
		}
		atomic_fetch_add_explicit(&c->accepted, 1, memory_order_relaxed);
		c->stale += now != t->seen;
		/* Changes are made while the translation is held. */
		if (i == ASKS / 2)
			sched_yield();
		/* Wakes soon after the change. */
		if (hunt.crowd)
			usleep(50);
	}
}

static void *user(void *arg)
{
	struct translation t = { 0 };
	struct cell *c = arg;

	if (hmm_interval_notifier_insert(hunt.mm, (uint64_t)(uintptr_t)c->p, c->bytes, &ops, NULL,
					 &t.range.notifier)) {
		c->errors++;
		return NULL;
	}
	while (!stopped())
		if (take(c, &t))
			use(c, &t);
	hmm_interval_notifier_remove(t.range.notifier);
	return NULL;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void *shared(size_t bytes)
{
	void *p = mmap(NULL, bytes, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static void cell_open(struct cell *c, enum kind kind)
{
	char *at = (char *)(uintptr_t)(ARENA + (uint64_t)(c - hunt.cells) * SPAN);

	c->kind = kind;
	c->bytes = kind == KIND_DISCARD && hunt.wide ? WIDE_PAGES * HMM_PAGE_SIZE : CELL_BYTES;
	c->fd = kind == KIND_PUNCH ? memfd_create("hunt", MFD_CLOEXEC) : -1;
	c->away = at + SPAN / 2;
	c->p = mmap(at, c->bytes, RW,
		    MAP_FIXED_NOREPLACE |
			    (kind == KIND_PUNCH ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS),
		    c->fd, 0);
	if (c->p == MAP_FAILED || (c->fd >= 0 && ftruncate(c->fd, CELL_BYTES))) {
		perror("cell");
		exit(1);
	}
	/* A huge page goes at once. */
	madvise(c->p, c->bytes, MADV_NOHUGEPAGE);
}

static bool has(enum kind kind)
{
	if (hunt.only && strcmp(hunt.only, kind_names[kind]))
		return false;
	/* Without the log these two are seen by checks only. */
	return hunt.provider != HMM_PROVIDER_UFFD || (kind != KIND_PROTECT && kind != KIND_PUNCH);
}

static void cells_open(unsigned int times)
{
	hunt.cells = shared(CELLS_MAX * sizeof(*hunt.cells));
	hunt.stop = shared(sizeof(*hunt.stop));
	for (unsigned int i = 0; i < times; i++)
		for (unsigned int k = 0; k < KIND_NR && hunt.n < CELLS_MAX; k++)
			if (has((enum kind)k) && (k != KIND_FORK || !i))
				cell_open(&hunt.cells[hunt.n++], (enum kind)k);
}

static pid_t start_puncher(struct cell *c)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	changer(c);
	_exit(0);
}

/* One of the crowd: much of the time it is in the kernel's programs. Waits until it has begun. */
static pid_t start_one(void)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;
	int ready[2];
	char *p, c;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (pid) {
		close(ready[1]);
		while (read(ready[0], &c, 1) < 0 && errno == EINTR)
			;
		close(ready[0]);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	hmm_mutation_set(NULL);
	options.provider = HMM_PROVIDER_BPF;
	if (hmm_mm_attach(&options, &mm))
		_exit(1);
	close(ready[1]);
	while (!stopped()) {
		p = mmap(NULL, HMM_PAGE_SIZE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			break;
		*(volatile char *)p = 1;
		madvise(p, HMM_PAGE_SIZE, MADV_DONTNEED);
		munmap(p, HMM_PAGE_SIZE);
	}
	_exit(0);
}

static void count_accepted(uint64_t accepted[KIND_NR])
{
	memset(accepted, 0, KIND_NR * sizeof(*accepted));
	for (unsigned int i = 0; i < hunt.n; i++)
		accepted[hunt.cells[i].kind] +=
			atomic_load_explicit(&hunt.cells[i].accepted, memory_order_relaxed);
}

/* A kind of which no translation was accepted in all its cells; KIND_NR: there is none. */
static enum kind idle_kind(void)
{
	uint64_t accepted[KIND_NR];
	unsigned int k;

	count_accepted(accepted);
	for (k = 0; k < KIND_NR; k++)
		if (has((enum kind)k) && !accepted[k])
			break;
	return (enum kind)k;
}

static uint64_t all_accepted(void)
{
	uint64_t accepted[KIND_NR], all = 0;

	count_accepted(accepted);
	for (unsigned int k = 0; k < KIND_NR; k++)
		all += accepted[k];
	return all;
}

/* Were uses accepted with the log of another hmm-watchd? */
static bool goes_on(void)
{
	return !hunt.renewed || all_accepted() > hunt.accepted;
}

/* Waits for that log. */
static void wait_renewed(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	for (unsigned int i = 0; i < RENEWED_MS && !hmm_mm_get_info(hunt.mm, &info); i++) {
		if (info.log_renewals)
			break;
		usleep(1000);
	}
	hunt.accepted = all_accepted();
}

static void run(void)
{
	uint64_t patience;
	pthread_t threads[2 * CELLS_MAX];
	pid_t children[CELLS_MAX] = { 0 };
	pid_t crowd[CROWD_MAX];
	struct timespec ts = { (time_t)hunt.seconds,
			       (long)((hunt.seconds - (double)(time_t)hunt.seconds) * 1e9) };
	unsigned int i, n = 0;

	for (i = 0; i < hunt.crowd; i++)
		crowd[i] = start_one();
	for (i = 0; i < hunt.n; i++)
		if (hunt.cells[i].kind == KIND_PUNCH)
			children[i] = start_puncher(&hunt.cells[i]);
	for (i = 0; i < hunt.n; i++) {
		if (!children[i])
			pthread_create(&threads[n++], NULL, changer, &hunt.cells[i]);
		pthread_create(&threads[n++], NULL, user, &hunt.cells[i]);
	}
	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
	if (hunt.renewed)
		wait_renewed();
	/* On a busy machine some have had no turn yet. */
	patience = clock_ms() + PATIENCE_MS;
	while (clock_ms() < patience && (idle_kind() < KIND_NR || !goes_on()))
		usleep(1000);
	atomic_store(hunt.stop, true);
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < hunt.n; i++)
		if (children[i] > 0)
			waitpid(children[i], NULL, 0);
	for (i = 0; i < hunt.crowd; i++) {
		if (crowd[i] > 0 && !kill(crowd[i], SIGKILL))
			waitpid(crowd[i], NULL, 0);
	}
}

static int report(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct cell sum[KIND_NR + 1] = { 0 };

	for (unsigned int i = 0; i < hunt.n; i++) {
		const struct cell *c = &hunt.cells[i];

		for (unsigned int k = c->kind;; k = KIND_NR) {
			sum[k].begun += c->begun;
			sum[k].accepted += atomic_load(&c->accepted);
			sum[k].refused += c->refused;
			sum[k].stale += c->stale;
			sum[k].errors += c->errors;
			if (k == KIND_NR)
				break;
		}
	}
	for (unsigned int k = 0; k <= KIND_NR; k++) {
		if (k < KIND_NR && !has((enum kind)k))
			continue;
		printf("%s: changes %llu accepted %llu refused %llu stale %llu errors %llu\n",
		       k < KIND_NR ? kind_names[k] : "all",
		       (unsigned long long)atomic_load(&sum[k].begun),
		       (unsigned long long)atomic_load(&sum[k].accepted),
		       (unsigned long long)sum[k].refused, (unsigned long long)sum[k].stale,
		       (unsigned long long)sum[k].errors);
	}
	if (!hmm_mm_get_info(hunt.mm, &info))
		printf("log: provider %u records %llu resets %llu renewals %llu\n", info.provider,
		       (unsigned long long)info.log_records, (unsigned long long)info.log_resets,
		       (unsigned long long)info.log_renewals);
	if (!goes_on())
		printf("FAILED: no use was accepted with it\n");
	if (hunt.renewed && !info.log_renewals)
		printf("FAILED: the log of another hmm-watchd was not had\n");
	if (idle_kind() < KIND_NR)
		printf("FAILED: no use of kind %s was accepted\n", kind_names[idle_kind()]);
	return idle_kind() < KIND_NR || sum[KIND_NR].stale || sum[KIND_NR].errors || !goes_on() ||
	       (hunt.renewed && !info.log_renewals);
}

static int provider_of(const char *name)
{
	static const char *const names[] = { "auto", "uffd", "bpf", "both" };

	for (int i = 0; i < 4; i++)
		if (!strcmp(name, names[i]))
			return i;
	fprintf(stderr, "exact_hunt: no provider '%s'\n", name);
	exit(2);
}

static unsigned int parse(int argc, char **argv)
{
	static const struct option table[] = {
		{ "provider", 1, NULL, 'p' }, { "seconds", 1, NULL, 's' },
		{ "times", 1, NULL, 't' },    { "break", 1, NULL, 'b' },
		{ "misses", 0, NULL, 'm' },   { "renewed", 0, NULL, 'r' },
		{ "crowd", 1, NULL, 'c' },    { "wide", 0, NULL, 'w' },
		{ "only", 1, NULL, 'o' },     { NULL }
	};
	unsigned int times = 1;
	int o;

	while ((o = getopt_long(argc, argv, "", table, NULL)) != -1) {
		switch (o) {
		case 'p':
			hunt.provider = (uint32_t)provider_of(optarg);
			break;
		case 's':
			hunt.seconds = atof(optarg);
			break;
		case 't':
			times = (unsigned int)atoi(optarg);
			break;
		case 'b':
			if (hmm_mutation_set(optarg)) {
				fprintf(stderr, "exact_hunt: no mutation '%s'\n", optarg);
				exit(2);
			}
			break;
		case 'm':
			hunt.misses = true;
			break;
		case 'r':
			hunt.renewed = true;
			break;
		case 'o':
			hunt.only = optarg;
			break;
		case 'w':
			hunt.wide = true;
			break;
		case 'c':
			hunt.crowd = (unsigned int)atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
	return times;
}

int main(int argc, char **argv)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	unsigned int times = parse(argc, argv);
	struct programs before, after;
	int ret;

	options.provider = hunt.provider;
	ret = hmm_mm_attach(&options, &hunt.mm);
	if (ret) {
		printf("no such provider here: %s\n", strerror(-ret));
		return 77;
	}
	if (hunt.crowd > CROWD_MAX)
		hunt.crowd = CROWD_MAX;
	cells_open(times);
	if (hunt.misses && programs_count(&before))
		hunt.misses = false;
	run();
	ret = report();
	if (hunt.misses && !programs_count(&after))
		printf("programs: loaded %u missed %llu\n", after.loaded,
		       (unsigned long long)(after.missed - before.missed));
	hmm_mm_detach(hunt.mm);
	return ret;
}
