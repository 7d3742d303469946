// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A process with a log of its changes: files, discards, a log that is full, and what programs do
 * without thinking of us: fork, vfork, exec, closefrom.
 *
 * usage: log_test bpf|both [--break NAME]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <hmm/hmm.h>
#include "../../lib/base/mutation.h"

#define RW (PROT_READ | PROT_WRITE)
#define PAGES 4
#define BYTES (PAGES * HMM_PAGE_SIZE)
#define WAIT_NS 30000000000ULL
/* punched holes; each is a record of the beginning and one of the end, more than a log holds */
#define BURST 20000
#define PATIENCE_MS 20000
#define STREAM 4000
#define TURNS 6
/* as many logs as an address space may have */
#define SPACES 4

static enum hmm_provider provider;
static const char *self;

struct place {
	struct hmm_mm *mm;
	char *p;
	int fd;
	struct hmm_range range;
	uint64_t pfn;
	uint64_t resets; /* how often everything had been invalidated when it was faulted */
};

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), on_invalidate, NULL };

static void pause_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

static int attach(struct hmm_mm **mm)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;

	options.provider = provider;
	return hmm_mm_attach(&options, mm);
}

/*
 * Once it has worked here it works. But hmm-watchd has a second to answer, which a busy machine may
 * not give it.
 */
static int attach_patiently(const struct hmm_mm_options *options, struct hmm_mm **mm)
{
	int ret = -EAGAIN;

	for (int i = 0; i < 20 && ret; i++) {
		ret = hmm_mm_attach(options, mm);
		if (ret)
			pause_ms(100);
	}
	return ret;
}

static int attach_again(struct hmm_mm **mm)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;

	options.provider = provider;
	return attach_patiently(&options, mm);
}

static struct hmm_mm *attached(void)
{
	struct hmm_mm *mm;

	assert_int_equal(attach_again(&mm), 0);
	return mm;
}

static struct hmm_mm_info info_of(struct hmm_mm *mm)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	assert_int_equal(hmm_mm_get_info(mm, &info), 0);
	return info;
}

static int fault(struct place *o)
{
	struct hmm_interval_notifier *ni = o->range.notifier;
	int ret;

	do {
		o->resets = info_of(o->mm).log_resets;
		o->pfn = 0;
		o->range = (struct hmm_range){
			.size = sizeof(o->range),
			.notifier = ni,
			.start = (uint64_t)(uintptr_t)o->p,
			.end = (uint64_t)(uintptr_t)o->p + HMM_PAGE_SIZE,
			.hmm_pfns = &o->pfn,
			.default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
		};
		ret = hmm_range_fault(&o->range, WAIT_NS);
	} while (!ret && hmm_interval_read_retry(ni, o->range.notifier_seq));
	return ret;
}

static bool stale(const struct place *o)
{
	return hmm_interval_stale(o->range.notifier, o->range.notifier_seq);
}

/*
 * Another change of the program may be on its way; then it is asked again. Where the kernel skipped
 * a program everything was invalidated, and it is faulted again.
 */
static bool stands(struct place *o)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (!stale(o))
			return true;
		if (info_of(o->mm).log_resets != o->resets && fault(o))
			return false;
		pause_ms(1);
	}
	return false;
}

/* fd -1: anonymous memory. 0: the page is faulted, and stands. Children assert nothing. */
static int place_try(struct place *o, struct hmm_mm *mm, int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	int ret;

	memset(o, 0, sizeof(*o));
	o->mm = mm;
	o->fd = fd;
	o->p = mmap(NULL, BYTES, RW, flags, fd, 0);
	if (o->p == MAP_FAILED)
		return -errno;
	memset(o->p, 1, BYTES);
	ret = hmm_interval_notifier_insert(mm, (uint64_t)(uintptr_t)o->p, BYTES, &ops, NULL,
					   &o->range.notifier);
	if (!ret)
		ret = fault(o);
	if (!ret && (o->pfn & HMM_PFN_TRANSIENT || !stands(o)))
		ret = -ESTALE;
	return ret;
}

static void place_open(struct place *o, struct hmm_mm *mm, int fd)
{
	assert_int_equal(place_try(o, mm, fd), 0);
}

static void place_close(struct place *o)
{
	hmm_interval_notifier_remove(o->range.notifier);
	munmap(o->p, BYTES);
	if (o->fd >= 0)
		close(o->fd);
}

static int file(void)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	return fd;
}

/* The child ends with status 0. */
static void assert_child(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* How many descriptors have that text in what they are. */
static unsigned int descriptors(const char *text)
{
	DIR *d = opendir("/proc/self/fd");
	const struct dirent *e;
	unsigned int n = 0;
	char to[64];

	while (d && (e = readdir(d))) {
		ssize_t len = readlinkat(dirfd(d), e->d_name, to, sizeof(to) - 1);

		if (len < 0)
			continue;
		to[len] = 0;
		n += strstr(to, text) != NULL;
	}
	if (d)
		closedir(d);
	return n;
}

/* ---- what a log gives ------------------------------------------------------------------------ */

static void test_no_userfaultfd_is_opened(void **state)
{
	struct hmm_mm *mm;
	unsigned int n;

	if (provider != HMM_PROVIDER_BPF)
		skip();
	mm = attached();
	n = descriptors("userfaultfd");
	hmm_mm_detach(mm);
	assert_int_equal(n, 0);
}

/* Files are mirrored and cached on every kernel. Another process changes them. */
static void test_a_file_is_cached_and_its_truncation_seen(void **state)
{
	struct hmm_mm *mm = attached();
	struct place o;
	pid_t pid;

	place_open(&o, mm, file());
	pid = fork();
	if (!pid)
		_exit(ftruncate(o.fd, 0) || ftruncate(o.fd, BYTES));
	assert_child(pid);
	assert_true(stale(&o));
	assert_int_equal(fault(&o), 0);
	assert_false(o.pfn & HMM_PFN_TRANSIENT);
	assert_true(stands(&o));
	place_close(&o);
	hmm_mm_detach(mm);
}

static _Atomic bool spinning;

static void *spin(void *arg)
{
	while (atomic_load(&spinning))
		;
	return NULL;
}

/* Nothing has to be proven of threads that compute without a system call. */
static void test_a_discard_has_an_end(void **state)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	struct hmm_mm *mm = attached();
	pthread_t thread;
	struct place o;

	atomic_store(&spinning, true);
	assert_int_equal(pthread_create(&thread, NULL, spin, NULL), 0);
	place_open(&o, mm, -1);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(madvise(o.p, BYTES, MADV_DONTNEED), 0);
		assert_true(stale(&o));
		assert_int_equal(fault(&o), 0);
		assert_false(o.pfn & HMM_PFN_TRANSIENT);
		assert_true(stands(&o));
	}
	atomic_store(&spinning, false);
	pthread_join(thread, NULL);
	assert_int_equal(hmm_mm_get_stats(mm, &stats), 0);
	if (provider == HMM_PROVIDER_BPF)
		assert_int_equal(stats.discards_pending, 0);
	place_close(&o);
	hmm_mm_detach(mm);
}

/* How often threads but this one went to sleep. */
static unsigned long sleeps_of_others(void)
{
	DIR *d = opendir("/proc/self/task");
	const struct dirent *e;
	unsigned long sum = 0, n;
	char path[64], line[128];
	FILE *f;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || atoi(e->d_name) == (int)syscall(SYS_gettid))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", e->d_name);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			sum += sscanf(line, "voluntary_ctxt_switches: %lu", &n) == 1 ? n : 0;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

/* A change pays for waking the pump only if there was none for a while. */
static void test_a_burst_of_changes_seldom_wakes_the_pump(void **state)
{
	unsigned long before, least = ULONG_MAX;
	struct hmm_mm *mm = attached();
	struct place o;
	char *other;

	place_open(&o, mm, -1);
	other = mmap(NULL, BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(other != MAP_FAILED);
	/* Where the machine is slow there is a while between changes; it is not always so slow. */
	for (int tries = 0; tries < 20 && least >= STREAM / 4; tries++) {
		before = sleeps_of_others();
		for (int i = 0; i < STREAM; i++)
			assert_int_equal(madvise(other, BYTES, MADV_DONTNEED), 0);
		before = sleeps_of_others() - before;
		least = before < least ? before : least;
	}
	assert_true(least < STREAM / 4);
	munmap(other, BYTES);
	place_close(&o);
	hmm_mm_detach(mm);
}

/* ---- a full log ------------------------------------------------------------------------------ */

static int burst(int fd, pid_t parent)
{
	int ret = kill(parent, SIGSTOP);

	for (int i = 0; i < BURST; i++)
		ret |= fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)HMM_PAGE_SIZE, (off_t)HMM_PAGE_SIZE);
	return ret | kill(parent, SIGCONT);
}

/*
 * Another process makes more changes than the log holds, while we are stopped. Then everything is
 * invalid, also memory that nobody has changed; and after that all goes on.
 */
static void test_a_full_log_invalidates_everything(void **state)
{
	struct hmm_mm *mm = attached();
	struct place victim, bystander;
	uint64_t resets;
	pid_t pid;

	place_open(&victim, mm, file());
	place_open(&bystander, mm, -1);
	resets = info_of(mm).log_resets;
	pid = fork();
	if (!pid)
		_exit(burst(victim.fd, getppid()) != 0);
	assert_child(pid);
	assert_true(stale(&victim));
	for (int i = 0; i < PATIENCE_MS && info_of(mm).log_resets == resets; i++)
		pause_ms(1);
	assert_true(info_of(mm).log_resets > resets);
	assert_true(stale(&bystander));
	assert_int_equal(fault(&bystander), 0);
	assert_false(bystander.pfn & HMM_PFN_TRANSIENT);
	assert_true(stands(&bystander));
	/* The news still comes. */
	assert_int_equal(madvise(bystander.p, BYTES, MADV_DONTNEED), 0);
	assert_true(stale(&bystander));
	place_close(&bystander);
	place_close(&victim);
	hmm_mm_detach(mm);
}

/* ---- fork, vfork, exec, closefrom ------------------------------------------------------------ */

static unsigned int logs_mapped(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	unsigned int n = 0;

	if (!f)
		return ~0U;
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "bpf-map") != NULL;
	fclose(f);
	return n;
}

/* A child has no log, is refused, and attaches anew. The parent's memory became read-only. */
static void test_fork(void **state)
{
	struct hmm_mm *mm = attached(), *anew;
	struct place o;
	pid_t pid;

	place_open(&o, mm, -1);
	assert_true(logs_mapped() > 0);
	pid = fork();
	if (!pid) {
		if (logs_mapped())
			_exit(1);
		if (hmm_mm_barrier(mm, 1) != -ESRCH || !stale(&o))
			_exit(2);
		hmm_mm_detach(mm);
		if (attach_again(&anew) || place_try(&o, anew, -1))
			_exit(3);
		munmap(o.p, BYTES);
		_exit(stale(&o) ? 0 : 4);
	}
	assert_true(stale(&o));
	assert_child(pid);
	assert_int_equal(fault(&o), 0);
	assert_true(stands(&o));
	place_close(&o);
	hmm_mm_detach(mm);
}

/* The child shares the address space, and its end is not that of the space. */
static void test_vfork(void **state)
{
	struct hmm_mm *mm = attached();
	struct place o;
	pid_t pid;

	place_open(&o, mm, -1);
	pid = vfork();
	if (!pid) {
		execl("/proc/self/exe", self, "--nothing", (char *)NULL);
		_exit(1);
	}
	assert_child(pid);
	assert_int_equal(fault(&o), 0);
	assert_true(stands(&o));
	assert_int_equal(madvise(o.p, BYTES, MADV_DONTNEED), 0);
	assert_true(stale(&o));
	place_close(&o);
	hmm_mm_detach(mm);
}

/* What exec starts has nothing of the log, and attaches like any other program. */
static int after_exec(void)
{
	struct hmm_mm *mm;

	if (descriptors("bpf"))
		return 1;
	if (logs_mapped())
		return 2;
	if (attach_again(&mm))
		return 3;
	hmm_mm_detach(mm);
	return 0;
}

static void test_exec(void **state)
{
	pid_t pid = fork();

	if (!pid) {
		struct hmm_mm *mm;

		if (attach_again(&mm))
			_exit(10);
		execl("/proc/self/exe", self, provider == HMM_PROVIDER_BPF ? "bpf" : "both",
		      "--after-exec", (char *)NULL);
		_exit(11);
	}
	assert_child(pid);
}

/* The log goes with the descriptors, and nothing is valid any more. */
static void test_closefrom(void **state)
{
	pid_t pid = fork();

	if (!pid) {
		struct hmm_mm *mm;
		struct place o;
		int null;

		if (attach_again(&mm) || place_try(&o, mm, -1))
			_exit(10);
		/* The library prints a line. */
		null = open("/dev/null", O_RDWR);
		dup2(null, 2);
		if (syscall(SYS_close_range, 3, ~0U, 0))
			_exit(0);
		for (int i = 0; i < PATIENCE_MS && hmm_mm_barrier(mm, 1) != -ESRCH; i++)
			pause_ms(1);
		munmap(o.p, BYTES);
		if (!stale(&o))
			_exit(1);
		if (hmm_mm_barrier(mm, 1) != -ESRCH)
			_exit(2);
		hmm_mm_detach(mm);
		_exit(0);
	}
	assert_child(pid);
}

/* 0: the log comes from the kernel's notifiers, or else why. */
static int anchor_of(uint32_t flags)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm;
	struct place o;
	int ret;

	options.provider = provider;
	options.flags = flags;
	ret = attach_patiently(&options, &mm);
	if (ret)
		return ret;
	ret = hmm_mm_get_info(mm, &info);
	if (!ret)
		ret = place_try(&o, mm, -1);
	if (!ret) {
		munmap(o.p, BYTES);
		ret = stale(&o) ? 0 : -EIO;
		place_close(&o);
	}
	hmm_mm_detach(mm);
	if (!ret && info.anchored != !info.anchor_error)
		ret = -EPROTO;
	return ret ? ret : info.anchor_error;
}

/* A child has a space of its own, and so needs a notifier of its own. */
static void test_an_anchor(void **state)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	const int expected = kvm < 0 ? -errno : 0;
	const unsigned int vms = descriptors("kvm-vm");
	pid_t pid;

	if (kvm >= 0)
		close(kvm);
	unsetenv("LIBHMM_ANCHOR");
	assert_int_equal(anchor_of(HMM_MM_ANCHOR), expected);
	assert_int_equal(anchor_of(0), -ECANCELED);
	assert_int_equal(descriptors("kvm-vm"), vms);
	pid = fork();
	if (!pid) {
		if (anchor_of(0) != -ECANCELED)
			_exit(1);
		if (anchor_of(HMM_MM_ANCHOR) != expected)
			_exit(2);
		setenv("LIBHMM_ANCHOR", "yes", 1);
		_exit(anchor_of(0) == expected ? 0 : 3);
	}
	assert_child(pid);
}

static void test_attach_again_and_again(void **state)
{
	unsigned int before = 0;
	struct place o;

	for (int i = 0; i < TURNS; i++) {
		struct hmm_mm *mm = attached();

		place_open(&o, mm, -1);
		munmap(o.p, BYTES);
		assert_true(stale(&o));
		place_close(&o);
		hmm_mm_detach(mm);
		if (!i)
			before = descriptors("");
	}
	/* Each turn after the first would leave one. Some may be closed a moment later. */
	for (int i = 0; i < PATIENCE_MS && descriptors("") >= before + TURNS - 1; i++)
		pause_ms(1);
	assert_true(descriptors("") < before + TURNS - 1);
	assert_int_equal(logs_mapped(), 0);
}

static char said[256];

static void say(enum hmm_log_level level, const char *message, void *arg)
{
	strncpy(said, message, sizeof(said) - 1);
}

/* One more log than a space may have, from hmm-watchd. */
static void one_too_many(void)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct hmm_mm_info info;
	struct hmm_mm *mm;

	/* Or hmm-watchd does not answer in time. */
	assert_int_equal(hmm_log_set(say, NULL), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(attach(&mm), -EOPNOTSUPP);
		if (strstr(said, "as many logs as an address space may have"))
			break;
	}
	assert_int_equal(hmm_log_set(NULL, NULL), 0);
	assert_non_null(strstr(said, "as many logs as an address space may have"));
	for (int i = 0; i < 20; i++) {
		assert_int_equal(hmm_mm_attach(&options, &mm), 0);
		info = info_of(mm);
		hmm_mm_detach(mm);
		assert_int_equal(info.provider, HMM_PROVIDER_UFFD);
		if (info.provider_error != -ETIME)
			break;
	}
	assert_int_equal(info.provider_error, -EBUSY);
}

/* Each has a log of its own, and the end of one is not that of another. */
static void test_several_spaces(void **state)
{
	struct hmm_mm *mm[SPACES];
	struct place o[SPACES];

	for (int i = 0; i < SPACES; i++) {
		mm[i] = attached();
		place_open(&o[i], mm[i], -1);
	}
	for (int i = 0; i < SPACES; i++) {
		/* Where programs are skipped everything is invalid now and then. */
		assert_int_equal(fault(&o[i]), 0);
		assert_true(stands(&o[i]));
		assert_int_equal(madvise(o[i].p, BYTES, MADV_DONTNEED), 0);
		assert_true(stale(&o[i]));
	}
	/* Root loads programs of its own for each. */
	if (geteuid())
		one_too_many();
	for (int i = 0; i < SPACES; i++) {
		assert_int_equal(fault(&o[i]), 0);
		assert_true(stands(&o[i]));
		place_close(&o[i]);
		hmm_mm_detach(mm[i]);
	}
	test_attach_again_and_again(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_userfaultfd_is_opened),
		cmocka_unit_test(test_a_file_is_cached_and_its_truncation_seen),
		cmocka_unit_test(test_a_discard_has_an_end),
		cmocka_unit_test(test_a_burst_of_changes_seldom_wakes_the_pump),
		cmocka_unit_test(test_a_full_log_invalidates_everything),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_vfork),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_closefrom),
		cmocka_unit_test(test_an_anchor),
		cmocka_unit_test(test_attach_again_and_again),
		cmocka_unit_test(test_several_spaces),
	};
	struct hmm_mm *mm;
	int ret;

	self = argv[0];
	if (argc > 1 && !strcmp(argv[1], "--nothing"))
		return 0;
	provider = argc > 1 && !strcmp(argv[1], "bpf") ? HMM_PROVIDER_BPF : HMM_PROVIDER_BOTH;
	if (argc > 3 && hmm_mutation_set(argv[3]))
		return 2;
	if (argc == 3)
		return after_exec();
	ret = attach(&mm);
	if (ret) {
		printf("no such provider here: %s\n", strerror(-ret));
		return 77;
	}
	hmm_mm_detach(mm);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
