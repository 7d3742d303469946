// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Whose changes a log has: those of the space that is watched, whatever process makes them, and no
 * other's. A space ends with exec and exit, and one that the kernel makes in its place has no log.
 * A space that has had a notifier of the kernel's is told of by that, and no child of it is.
 * Uses the loader, as root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "kernel/abi/watch.h"
#include "../../watchd/bpf/sites.h"
#include "../../watchd/loader.h"

#define PAGE 4096UL
#define SPACES 24
#define PATIENCE_MS 60000

static struct watch_loader *loader;

/* A process that does what it is told, a byte a time, and answers with a byte. */
struct child {
	pid_t pid;
	int fd;
};

struct watched {
	struct watch_fds fds;
	uint32_t id;
	const volatile struct watch_space *space;
	const char *log; /* consumer's page, producer's page, data */
};

static void change(void)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*p = 1;
	munmap(p, PAGE);
}

static void obey(int fd)
{
	char command;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(fd, &command, 1) == 1) {
		if (command == 'c')
			change();
		if (command == 'q')
			_exit(0);
		if (command == 'x') {
			char number[16];

			snprintf(number, sizeof(number), "%d", fd);
			execl("/proc/self/exe", "space_test", number, (char *)NULL);
			_exit(1);
		}
		if (write(fd, &command, 1) != 1)
			break;
	}
	_exit(1);
}

static struct child child_start(void)
{
	struct child c;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	c.pid = fork();
	if (!c.pid) {
		close(fds[0]);
		obey(fds[1]);
	}
	assert_true(c.pid > 0);
	close(fds[1]);
	c.fd = fds[0];
	return c;
}

static void tell(const struct child *c, char command)
{
	char answer = 0;

	assert_int_equal(write(c->fd, &command, 1), 1);
	if (command == 'q') {
		assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
		return;
	}
	assert_int_equal(read(c->fd, &answer, 1), 1);
	/* What exec has started says that it is there. */
	assert_int_equal(answer, command);
}

static void child_end(struct child *c)
{
	tell(c, 'q');
	close(c->fd);
}

static void watch_by(struct watched *w, pid_t pid, unsigned int flags)
{
	assert_int_equal(watch_open(loader, pid, WATCH_LOG_BYTES, flags, &w->fds, &w->id), 0);
	w->space = mmap(NULL, WATCH_PAGE, PROT_READ, MAP_SHARED, w->fds.space, 0);
	assert_ptr_not_equal(w->space, MAP_FAILED);
	w->log = mmap(NULL, 2 * PAGE + WATCH_LOG_BYTES, PROT_READ, MAP_SHARED, w->fds.log, PAGE);
	assert_ptr_not_equal(w->log, MAP_FAILED);
}

static void watch(struct watched *w, pid_t pid)
{
	watch_by(w, pid, 0);
}

static void unwatch(struct watched *w)
{
	munmap((void *)(uintptr_t)w->space, WATCH_PAGE);
	munmap((void *)(uintptr_t)w->log, 2 * PAGE + WATCH_LOG_BYTES);
	watch_close(loader, w->id);
	close(w->fds.log);
	close(w->fds.space);
	close(w->fds.global);
	close(w->fds.links);
}

static uint64_t produced(const struct watched *w)
{
	return __atomic_load_n((const uint64_t *)(const void *)w->log, __ATOMIC_ACQUIRE);
}

/* Every record so far is of this process. Returns how many there are. */
static unsigned int assert_of(const struct watched *w, pid_t pid)
{
	uint64_t end = produced(w), at = 0;
	unsigned int n = 0;

	while (at < end) {
		const char *p = w->log + PAGE + at;
		const struct watch_record *r = (const void *)(p + 8);
		uint32_t len = *(const uint32_t *)(const void *)p & 0x3fffffff;

		if (!(r->flags & (WATCH_FOREIGN | WATCH_KERNEL)))
			assert_int_equal(r->tgid, pid);
		at += (len + 8 + 7) & ~7UL;
		n++;
	}
	return n;
}

static void wait_ended(const struct watched *w)
{
	const struct timespec ms = { 0, 1000000 };

	for (int i = 0; i < PATIENCE_MS && !w->space->ended; i++)
		nanosleep(&ms, NULL);
	assert_int_equal(w->space->ended, 1);
}

static void test_a_log_has_its_own_space_alone(void **state)
{
	struct child a = child_start(), b = child_start();
	struct watched wa, wb;
	unsigned int before;

	watch(&wa, a.pid);
	watch(&wb, b.pid);
	for (int i = 0; i < 10; i++) {
		tell(&a, 'c');
		tell(&b, 'c');
	}
	assert_true(assert_of(&wa, a.pid) >= 10);
	assert_true(assert_of(&wb, b.pid) >= 10);
	before = assert_of(&wb, b.pid);
	tell(&a, 'c');
	change();
	assert_int_equal(assert_of(&wb, b.pid), before);
	child_end(&a);
	child_end(&b);
	unwatch(&wa);
	unwatch(&wb);
}

static void test_exec_ends_it(void **state)
{
	struct child c = child_start();
	uint64_t trouble, end;
	struct watched w;

	watch(&w, c.pid);
	tell(&c, 'c');
	assert_int_equal(w.space->ended, 0);
	trouble = w.space->trouble;
	tell(&c, 'x');
	wait_ended(&w);
	assert_true(w.space->trouble > trouble);
	assert_int_equal(watch_is(loader, c.pid, w.id), 0);
	end = produced(&w);
	tell(&c, 'c');
	assert_int_equal(produced(&w), end);
	child_end(&c);
	unwatch(&w);
}

/*
 * The kernel makes the next space where the last one was. Nothing of it gets into the old log; that
 * log stays open meanwhile.
 */
static void test_a_space_in_the_place_of_another_has_no_log(void **state)
{
	struct watched w[SPACES];
	uint64_t end[SPACES];
	struct child c;

	for (int i = 0; i < SPACES; i++) {
		c = child_start();
		watch(&w[i], c.pid);
		tell(&c, 'c');
		child_end(&c);
		wait_ended(&w[i]);
		end[i] = produced(&w[i]);
		c = child_start();
		tell(&c, 'c');
		child_end(&c);
		for (int j = 0; j <= i; j++)
			assert_int_equal(produced(&w[j]), end[j]);
	}
	for (int i = 0; i < SPACES; i++)
		unwatch(&w[i]);
}

/* The space of a program that was watched by one watcher can be watched by the next. */
static void test_close_ends_it(void **state)
{
	struct child c = child_start();
	struct watched w, again;
	uint64_t end;

	watch(&w, c.pid);
	tell(&c, 'c');
	watch_close(loader, w.id);
	assert_int_equal(w.space->ended, 1);
	end = produced(&w);
	watch(&again, c.pid);
	tell(&c, 'c');
	assert_int_equal(produced(&w), end);
	assert_true(assert_of(&again, c.pid) > 0);
	child_end(&c);
	unwatch(&again);
}

/* The programs go with the last of those who keep them. */
static void test_the_watcher_keeps_the_programs(void **state)
{
	struct child c = child_start();
	struct watched w;
	uint64_t end;

	watch(&w, c.pid);
	close(w.fds.links);
	w.fds.links = dup(w.fds.space);
	tell(&c, 'c');
	end = produced(&w);
	assert_true(end > 0);
	tell(&c, 'c');
	assert_true(produced(&w) > end);
	child_end(&c);
	wait_ended(&w);
	unwatch(&w);
}

/* How many records there are of the kernel's notifiers, and of functions. */
static void count_sites(const struct watched *w, unsigned int *notifiers, unsigned int *functions)
{
	uint64_t end = produced(w), at = 0;

	*notifiers = *functions = 0;
	while (at < end) {
		const char *p = w->log + PAGE + at;
		const struct watch_record *r = (const void *)(p + 8);

		++*(r->site == WATCH_SITE_NOTIFIER ? notifiers : functions);
		at += ((*(const uint32_t *)(const void *)p & 0x3fffffff) + 8 + 7) & ~7UL;
	}
}

static void make_anchor(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm;

	if (kvm < 0) {
		print_message("no anchor: /dev/kvm: %s\n", strerror(errno));
		skip();
	}
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	assert_true(vm >= 0);
	close(vm);
	close(kvm);
}

/*
 * This process has a notifier from here on, although its virtual machine is gone. Two logs of it
 * are told of in two ways, and each of all changes.
 */
static void test_notifiers_or_functions(void **state)
{
	struct watched by_notifiers, by_functions;
	unsigned int notifiers, functions, before;

	make_anchor();
	watch(&by_notifiers, getpid());
	watch_by(&by_functions, getpid(), WATCH_OPEN_FUNCTIONS);
	assert_int_equal(by_notifiers.space->anchored, 1);
	assert_int_equal(by_functions.space->anchored, 0);
	/* Twice as many as must be told of: the kernel may skip a program, and says so. */
	for (int i = 0; i < 20; i++)
		change();
	count_sites(&by_notifiers, &notifiers, &functions);
	assert_true(notifiers >= 20);
	assert_int_equal(functions, 0);
	count_sites(&by_functions, &notifiers, &functions);
	assert_int_equal(notifiers, 0);
	assert_true(functions >= 20);
	unwatch(&by_functions);
	count_sites(&by_notifiers, &before, &functions);
	change();
	change();
	count_sites(&by_notifiers, &notifiers, &functions);
	assert_true(notifiers >= before + 2);
	unwatch(&by_notifiers);
}

/* A notifier is not inherited. A loader that attaches to notifiers alone cannot watch the child. */
static void test_a_child_has_no_notifier(void **state)
{
	struct watch_loader *all = loader;
	unsigned int notifiers, functions;
	struct child c;
	struct watched w;

	make_anchor();
	c = child_start();
	watch(&w, c.pid);
	assert_int_equal(w.space->anchored, 0);
	tell(&c, 'c');
	count_sites(&w, &notifiers, &functions);
	assert_int_equal(notifiers, 0);
	assert_true(functions > 0);
	assert_int_equal(watch_load(WATCH_LOAD_ANCHORED, &loader), 0);
	assert_int_equal(watch_open(loader, c.pid, WATCH_LOG_BYTES, 0, &w.fds, &w.id), -ENODATA);
	watch(&w, getpid());
	change();
	count_sites(&w, &notifiers, &functions);
	assert_true(notifiers > 0);
	unwatch(&w);
	watch_unload(loader);
	loader = all;
	child_end(&c);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_log_has_its_own_space_alone),
		cmocka_unit_test(test_exec_ends_it),
		cmocka_unit_test(test_a_space_in_the_place_of_another_has_no_log),
		cmocka_unit_test(test_close_ends_it),
		cmocka_unit_test(test_the_watcher_keeps_the_programs),
		cmocka_unit_test(test_notifiers_or_functions),
		cmocka_unit_test(test_a_child_has_no_notifier),
	};
	int ret;

	if (argc > 1) {
		int fd = atoi(argv[1]);

		if (write(fd, "x", 1) == 1)
			obey(fd);
		return 1;
	}
	ret = watch_load(0, &loader);
	if (ret) {
		printf("no tracing programs here: %s\n", strerror(-ret));
		return 77;
	}
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	watch_unload(loader);
	return ret;
}
