// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * hmm-watchd ends and comes back, under a space that is attached. Its loader has no BPF: the logs
 * are memfds, in which the test writes what the kernel's programs would.
 *
 * usage: renew_test DAEMON
 */
#include "common/space.h"
#include "watchd/fake_loader.h"
#include "pump/renew.h"
#include "provider/log.h"
#include "base/deadline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hmm/log.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_NS 60000000000ULL
#define A 0x10000000ULL
#define B (A + 16 * PAGE)

static const char *daemon_path;
static char folder[] = "/tmp/renew_test.XXXXXX";
static char socket_path[64];
static struct fake *fake;
static _Atomic int lines;
static char last_line[256];

struct scene {
	pid_t daemon;
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	struct seen seen;
	uint64_t seq;
};

/* ---- the service ----------------------------------------------------------------------------- */

static bool answers(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool ok;

	strcpy(address.sun_path, socket_path);
	ok = fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	return ok;
}

static void service_start(struct scene *s)
{
	char *const command[] = { (char *)(uintptr_t)daemon_path, "--foreground", "--socket",
				  socket_path, NULL };
	const uint64_t deadline = deadline_after(WAIT_NS);

	/* A fork would invalidate. */
	assert_int_equal(posix_spawn(&s->daemon, daemon_path, NULL, NULL, command, environ), 0);
	while (!answers()) {
		assert_false(deadline_passed(deadline));
		sleep_ms(2);
	}
}

static void service_end(struct scene *s, int number)
{
	int status;

	assert_int_equal(kill(s->daemon, number), 0);
	assert_int_equal(waitpid(s->daemon, &status, 0), s->daemon);
}

/* ---- the space ------------------------------------------------------------------------------- */

static struct hmm_mm_info info_of(const struct scene *s)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	assert_int_equal(hmm_mm_get_info(s->mm, &info), 0);
	return info;
}

static bool stale(struct scene *s)
{
	return hmm_interval_stale(s->ni, s->seq);
}

/* The library asks for a second, in which a busy machine may not run the service. */
static struct hmm_mm *attach(enum hmm_provider provider)
{
	const uint64_t deadline = deadline_after(WAIT_NS);
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;

	o.provider = provider;
	while (hmm_mm_attach(&o, &mm)) {
		assert_false(deadline_passed(deadline));
		sleep_ms(5);
	}
	return mm;
}

static void scene_open(struct scene *s, enum hmm_provider provider)
{
	memset(s, 0, sizeof(*s));
	memset(fake, 0, sizeof(*fake));
	/* More than the service may take to come back. */
	renew_patience = 2 * WAIT_NS;
	service_start(s);
	s->mm = attach(provider);
	atomic_store(&lines, 0);
	assert_int_equal(hmm_interval_notifier_insert(s->mm, A, B - A, &on_ops, &s->seen, &s->ni),
			 0);
	s->seq = hmm_interval_read_begin(s->ni);
	assert_false(stale(s));
}

static void scene_close(struct scene *s)
{
	hmm_interval_notifier_remove(s->ni);
	hmm_mm_detach(s->mm);
	if (s->daemon)
		service_end(s, SIGTERM);
}

/* A record, as the kernel's programs write it, in the log that the space has now. */
static void tell(struct scene *s, uint32_t flags)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const struct log_memory *m = &s->mm->log->m;
	_Atomic uint64_t *producer = (_Atomic uint64_t *)(uintptr_t)m->producer;
	const uint64_t at = atomic_load(producer);
	char *to = (char *)producer + page + at;
	struct watch_record r = {
		.start = A, .end = A + PAGE, .task = 1, .kind = WATCH_UNMAP, .flags = flags
	};
	uint32_t head = sizeof(r);

	assert_int_equal(mprotect(producer, page + m->bytes, PROT_READ | PROT_WRITE), 0);
	memcpy(to + 8, &r, sizeof(r));
	memcpy(to, &head, sizeof(head));
	atomic_store(producer, at + sizeof(r) + 8);
}

static void change(struct scene *s)
{
	tell(s, 0);
	tell(s, WATCH_END);
}

/* Nothing is told any more, as when ftrace is switched off. */
static void end_log(struct scene *s)
{
	struct watch_space *space = (struct watch_space *)(uintptr_t)s->mm->log->m.space;

	assert_int_equal(mprotect(space, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE), 0);
	__atomic_store_n(&space->ended, 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&space->trouble, 1, __ATOMIC_SEQ_CST);
}

static void wait_renewals(struct scene *s, uint64_t n)
{
	const uint64_t deadline = deadline_after(WAIT_NS);

	while (info_of(s).log_renewals != n) {
		assert_false(deadline_passed(deadline));
		sleep_ms(5);
	}
}

/* What the library says comes a moment after what it says it about. */
static void wait_lines(int n)
{
	const uint64_t deadline = deadline_after(WAIT_NS);

	while (atomic_load(&lines) < n) {
		assert_false(deadline_passed(deadline));
		sleep_ms(5);
	}
	assert_int_equal(lines, n);
}

static void assert_works(struct scene *s)
{
	assert_int_equal(hmm_mm_barrier(s->mm, WAIT_NS), 0);
	s->seq = hmm_interval_read_begin(s->ni);
	assert_false(stale(s));
	change(s);
	assert_true(stale(s));
	assert_int_equal(hmm_mm_barrier(s->mm, WAIT_NS), 0);
	s->seq = hmm_interval_read_begin(s->ni);
	assert_false(stale(s));
}

static unsigned int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/*
 * So many turns leave nothing: a leak would leave a descriptor in each. A keeper that comes and
 * goes has a few for a moment, so that `before` may be off by as many.
 */
static void wait_no_leak(unsigned int before, unsigned int turns)
{
	const uint64_t deadline = deadline_after(WAIT_NS);

	while (descriptors() >= before + turns) {
		assert_false(deadline_passed(deadline));
		sleep_ms(5);
	}
}

/* Somebody who listens, and ends each connection. */
static int nobody_listens(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, socket_path);
	unlink(socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static unsigned int turn_away(int listener)
{
	unsigned int n = 0;
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		close(fd);
		n++;
	}
	return n;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Nothing is valid until there is another, and the program is told so once. */
static void a_log_that_ends(void **state)
{
	const enum hmm_provider *provider = *state;
	struct hmm_mm_info info;
	struct scene s;

	scene_open(&s, *provider);
	assert_works(&s);
	service_end(&s, SIGTERM);
	end_log(&s);
	for (int i = 0; i < 200; i++) {
		assert_true(stale(&s));
		sleep_ms(1);
	}
	assert_int_equal(hmm_mm_barrier(s.mm, 1000000), -ETIME);
	wait_lines(1);
	info = info_of(&s);
	assert_true(info.log_orphan);
	assert_false(info.lost);
	service_start(&s);
	wait_renewals(&s, 1);
	assert_true(stale(&s));
	assert_works(&s);
	info = info_of(&s);
	assert_false(info.log_orphan);
	assert_false(info.lost);
	assert_int_equal(info.provider, *provider);
	assert_int_equal(lines, 1);
	/* The service that lives can end it, too. */
	end_log(&s);
	assert_true(stale(&s));
	wait_renewals(&s, 2);
	assert_works(&s);
	scene_close(&s);
}

/* The programs that it loaded go on, and what is valid stays so. */
static void a_service_that_ends(void **state)
{
	const uint64_t deadline = deadline_after(WAIT_NS);
	const enum hmm_provider *provider = *state;
	struct scene s;
	int calls;

	scene_open(&s, *provider);
	service_end(&s, SIGKILL);
	while (!info_of(&s).log_orphan) {
		assert_false(deadline_passed(deadline));
		assert_false(stale(&s));
		sleep_ms(1);
	}
	assert_false(stale(&s));
	assert_works(&s);
	calls = s.seen.calls;
	service_start(&s);
	wait_renewals(&s, 1);
	assert_true(stale(&s));
	assert_int_equal(hmm_mm_barrier(s.mm, WAIT_NS), 0);
	assert_int_equal(s.seen.calls, calls + 1);
	assert_int_equal(s.seen.last.start, 0);
	assert_works(&s);
	assert_false(info_of(&s).log_orphan);
	assert_int_equal(lines, 0);
	scene_close(&s);
}

static void again_and_again(void **state)
{
	const enum hmm_provider *provider = *state;
	unsigned int before = 0;
	struct scene s;

	scene_open(&s, *provider);
	for (unsigned int i = 1; i <= 9; i++) {
		service_end(&s, i & 1 ? SIGTERM : SIGKILL);
		service_start(&s);
		wait_renewals(&s, i);
		assert_works(&s);
		sleep_ms(120); /* the watchdog has another keeper keep it */
		if (i == 1)
			before = descriptors();
	}
	wait_no_leak(before, 8);
	scene_close(&s);
}

static _Atomic bool over;

static void *end_change(void *arg)
{
	sleep_ms(200);
	atomic_store(&over, true);
	tell(arg, WATCH_END);
	return NULL;
}

/* It began in the log of the old service, and ends in that of the new one. */
static void a_change_that_is_under_way(void **state)
{
	const enum hmm_provider *provider = *state;
	pthread_t thread;
	struct scene s;
	uint64_t begun;

	scene_open(&s, *provider);
	service_end(&s, SIGTERM);
	begun = clock_ns();
	tell(&s, 0);
	service_start(&s);
	wait_renewals(&s, 1);
	atomic_store(&over, false);
	assert_int_equal(pthread_create(&thread, NULL, end_change, &s), 0);
	s.seq = hmm_interval_read_begin(s.ni);
	/* The library waits for a second, and a busy machine may not run the thread in time. */
	if (!atomic_load(&over)) {
		assert_true(clock_ns() - begun >= LOG_OPEN_NS);
		assert_int_equal(atomic_load(&s.mm->log->given_up), 1);
	}
	pthread_join(thread, NULL);
	assert_works(&s);
	scene_close(&s);
}

/* The keeper keeps the new log's programs, and not the old ones'. */
static void the_keeper_goes_along(void **state)
{
	const enum hmm_provider *provider = *state;
	const uint64_t deadline = deadline_after(WAIT_NS);
	struct scene s;

	scene_open(&s, *provider);
	if (!info_of(&s).keeper) {
		scene_close(&s);
		skip();
	}
	assert_false(atomic_load(&s.mm->log->alone));
	service_end(&s, SIGTERM);
	service_start(&s);
	wait_renewals(&s, 1);
	while (atomic_load(&s.mm->log->alone) || !info_of(&s).keeper) {
		assert_false(deadline_passed(deadline));
		sleep_ms(1);
	}
	assert_works(&s);
	scene_close(&s);
}

/* It is asked for now and then, and not for ever. */
static void a_service_that_stays_away(void **state)
{
	const enum hmm_provider *provider = *state;
	const uint64_t deadline = deadline_after(WAIT_NS);
	unsigned int asked = 0;
	struct scene s;
	int listener;

	scene_open(&s, *provider);
	renew_patience = 5000000000ULL;
	service_end(&s, SIGKILL);
	s.daemon = 0;
	listener = nobody_listens();
	end_log(&s);
	while (!info_of(&s).lost) {
		assert_true(stale(&s));
		asked += turn_away(listener);
		assert_false(deadline_passed(deadline));
		sleep_ms(5);
	}
	asked += turn_away(listener);
	assert_in_range(asked, 2, 8);
	assert_int_equal(hmm_mm_barrier(s.mm, WAIT_NS), -ESRCH);
	assert_true(stale(&s));
	wait_lines(2);
	assert_non_null(strstr(last_line, "Attach again"));
	close(listener);
	unlink(socket_path);
	scene_close(&s);
}

/* The coherence table holds as long as the space does. */
static void a_service_that_tells_less_is_not_taken(void **state)
{
	const uint64_t deadline = deadline_after(WAIT_NS);
	const enum hmm_provider *provider = *state;
	struct scene s;

	scene_open(&s, *provider);
	service_end(&s, SIGTERM);
	fake->fewer = 1;
	fake->opens = 0;
	service_start(&s);
	/* It tries itself, and is asked a second time by those who did not take what it gave. */
	while (fake->opens < 3) {
		assert_false(deadline_passed(deadline));
		sleep_ms(5);
	}
	assert_int_equal(info_of(&s).log_renewals, 0);
	assert_false(stale(&s));
	service_end(&s, SIGTERM);
	fake->fewer = 0;
	service_start(&s);
	wait_renewals(&s, 1);
	assert_works(&s);
	scene_close(&s);
}

static void detaching_meanwhile(void **state)
{
	const enum hmm_provider *provider = *state;
	unsigned int before;
	struct scene s;

	scene_open(&s, *provider);
	scene_close(&s);
	before = descriptors();
	for (int i = 0; i < 8; i++) {
		scene_open(&s, *provider);
		service_end(&s, SIGTERM);
		service_start(&s);
		sleep_ms((unsigned int)i * 25);
		scene_close(&s);
	}
	wait_no_leak(before, 8);
}

/* A log is refused, and the library says why. */
static void assert_refused(enum hmm_provider provider, uint64_t deadline)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;

	o.provider = provider;
	do {
		assert_false(deadline_passed(deadline));
		atomic_store(&lines, 0);
		assert_int_equal(hmm_mm_attach(&o, &mm), -EOPNOTSUPP);
		assert_int_equal(lines, 1);
		/* The plug-in may have been asked, and then says why not. Or nobody answered. */
	} while (geteuid() && !strstr(last_line, "as many logs as an address space may have"));
}

/* Where a log is not demanded, the error says why there is none. */
static int error_without(uint64_t deadline)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm;

	do {
		assert_false(deadline_passed(deadline));
		assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
		assert_int_equal(hmm_mm_get_info(mm, &info), 0);
		assert_int_equal(info.provider, HMM_PROVIDER_UFFD);
		hmm_mm_detach(mm);
	} while (info.provider_error == -ETIME);
	return info.provider_error;
}

static void as_many_logs_as_a_space_may_have(void **state)
{
	const enum hmm_provider *provider = *state;
	const uint64_t deadline = deadline_after(WAIT_NS);
	struct hmm_mm *second;
	struct scene s;

	scene_open(&s, *provider);
	fake->space_logs = 2;
	second = attach(*provider);
	assert_works(&s);
	assert_refused(*provider, deadline);
	assert_int_equal(error_without(deadline), -EBUSY);
	/* There is room again when one has gone. */
	hmm_mm_detach(second);
	second = attach(*provider);
	hmm_mm_detach(second);
	assert_works(&s);
	scene_close(&s);
}

static void say(enum hmm_log_level level, const char *message, void *arg)
{
	(void)level;
	(void)arg;
	strncpy(last_line, message, sizeof(last_line) - 1);
	lines++;
}

static void open_fake(void)
{
	char path[64];
	int fd;

	assert_non_null(mkdtemp(folder));
	/* The service becomes nobody. */
	assert_int_equal(chmod(folder, 0755), 0);
	snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
	snprintf(path, sizeof(path), "%s/fake", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0666), 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	fake = mmap(NULL, sizeof(*fake), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(fake, MAP_FAILED);
	close(fd);
	setenv("WATCHD_FAKE", path, 1);
	setenv("HMM_WATCHD", socket_path, 1);
}

static void remove_all(void)
{
	unlink(socket_path);
	unlink(getenv("WATCHD_FAKE"));
	rmdir(folder);
}

static enum hmm_provider bpf = HMM_PROVIDER_BPF, both = HMM_PROVIDER_BOTH;

#define ROW(test, provider)                                                                        \
	{                                                                                          \
#test " " #provider, test, NULL, NULL, &provider                                   \
	}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		ROW(a_log_that_ends, bpf),
		ROW(a_log_that_ends, both),
		ROW(a_service_that_ends, bpf),
		ROW(a_service_that_ends, both),
		ROW(again_and_again, both),
		ROW(a_change_that_is_under_way, bpf),
		ROW(a_change_that_is_under_way, both),
		ROW(the_keeper_goes_along, bpf),
		ROW(a_service_that_stays_away, bpf),
		ROW(a_service_that_tells_less_is_not_taken, bpf),
		ROW(detaching_meanwhile, bpf),
		ROW(as_many_logs_as_a_space_may_have, both),
	};
	int ret;

	if (argc != 2)
		return 2;
	daemon_path = argv[1];
	open_fake();
	log_untried_of_test = true;
	hmm_log_set(say, NULL);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	remove_all();
	return ret;
}
