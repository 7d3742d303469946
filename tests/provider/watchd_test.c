// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * watchd_connect() and a service that is broken or hostile: it is refused, in time, and nothing
 * that it sent stays open. tests/watchd has the service itself.
 */
#include "provider/watchd.h"
#include "provider/watch_fds.h"
#include "watchd/protocol.h"
#include "kernel/abi/watch.h"
#include "base/deadline.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define LOG_BYTES 65536
#define N_SITES 3

struct message {
	struct watchd_reply reply;
	struct watchd_site sites[N_SITES];
};

/* What a service sends. Each test spoils one thing. */
struct script {
	struct watchd_challenge challenge;
	struct message message;
	struct watchd_links links;
	size_t challenge_size;
	size_t reply_size;
	size_t links_size;
	int fds[200];
	int n_fds;   /* with REPLY */
	int n_links; /* with LINKS */
	int links_fd;
	enum { WHOLE, BEFORE_HELLO, AFTER_HELLO, AFTER_MINE, AFTER_REPLY } stops;
	bool silent; /* where it stops it does not close */
};

struct service {
	struct script script;
	char path[64];
	int listener;
	int held; /* a connection that is left open */
	pthread_t thread;
};

static struct service service;

/* ---- the service ----------------------------------------------------------------------------- */

static int memfd(size_t bytes, unsigned int seals)
{
	const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_false(ftruncate(fd, (off_t)bytes));
	if (seals)
		assert_false(fcntl(fd, F_ADD_SEALS, seals));
	return fd;
}

static struct watchd_head head(uint16_t type)
{
	return (struct watchd_head){ WATCHD_MAGIC, type, 1 };
}

static void begin_script(struct script *s)
{
	static const char *const names[N_SITES] = { "unmap_vmas", "change_protection", "move" };

	memset(s, 0, sizeof(*s));
	s->challenge.head = head(WATCHD_CHALLENGE);
	s->message.reply = (struct watchd_reply){ .head = head(WATCHD_REPLY),
						  .record_version = WATCH_VERSION,
						  .log_bytes = LOG_BYTES,
						  .n_sites = N_SITES,
						  .site_bytes = sizeof(struct watchd_site),
						  .table_at = sizeof(struct watchd_reply) };
	for (int i = 0; i < N_SITES; i++)
		strcpy(s->message.sites[i].name, names[i]);
	s->links.head = head(WATCHD_LINKS);
	s->challenge_size = sizeof(s->challenge);
	s->reply_size = sizeof(s->message);
	s->links_size = sizeof(s->links);
	s->fds[0] = memfd(2 * (size_t)getpagesize() + 2UL * LOG_BYTES, F_SEAL_SHRINK);
	for (int i = 1; i < 200; i++)
		s->fds[i] = i < 3 ? memfd(WATCH_PAGE, F_SEAL_SHRINK) : s->fds[0];
	s->n_fds = 3;
	s->n_links = 1;
	s->links_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

static void end_script(struct script *s)
{
	for (int i = 0; i < 3; i++)
		close(s->fds[i]);
	close(s->links_fd);
}

static void put(int conn, const void *message, size_t size, const int *fds, int n)
{
	static char control[CMSG_SPACE(200 * sizeof(int))];
	struct iovec iov = { (void *)message, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	const size_t bytes = (size_t)n * sizeof(int);

	if (n) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(bytes);
		*c = (struct cmsghdr){ CMSG_LEN(bytes), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(c), fds, bytes);
	}
	sendmsg(conn, &msg, MSG_NOSIGNAL);
}

static void talk(const struct script *s, int conn)
{
	char heard[256];

	if (s->stops == BEFORE_HELLO || recv(conn, heard, sizeof(heard), 0) <= 0 ||
	    s->stops == AFTER_HELLO)
		return;
	put(conn, &s->challenge, s->challenge_size, NULL, 0);
	if (recv(conn, heard, sizeof(heard), 0) <= 0 || s->stops == AFTER_MINE)
		return;
	put(conn, &s->message, s->reply_size, s->fds, s->n_fds);
	if (s->stops == AFTER_REPLY)
		return;
	put(conn, &s->links, s->links_size, &s->links_fd, s->n_links);
}

static void *serve(void *arg)
{
	const int conn = accept4(service.listener, NULL, NULL, SOCK_CLOEXEC);

	talk(&service.script, conn);
	if (service.script.silent || service.script.stops == WHOLE)
		service.held = conn;
	else
		close(conn);
	return NULL;
}

static int setup(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(service.path, sizeof(service.path), "/tmp/hmm-watchd-test-%d", (int)getpid());
	strcpy(address.sun_path, service.path);
	service.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	service.held = -1;
	unlink(service.path); /* of a test with this number that was killed */
	assert_false(bind(service.listener, (struct sockaddr *)&address, sizeof(address)));
	assert_false(listen(service.listener, 1));
	begin_script(&service.script);
	return 0;
}

static int teardown(void **state)
{
	end_script(&service.script);
	close(service.listener);
	unlink(service.path);
	return 0;
}

/* ---- the process ----------------------------------------------------------------------------- */

static int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Connects to the service as it is scripted; what came is closed. */
static int attempt(void)
{
	struct watch_fds fds = { 77, 77, 77, 77 };
	const struct watch_site *sites;
	size_t bytes = 0, n;
	const int before = open_fds();
	int conn = 77, err;

	assert_false(pthread_create(&service.thread, NULL, serve, NULL));
	errno = 55;
	err = watchd_connect(service.path, 0, &bytes, &fds, &conn, &sites, &n);
	assert_int_equal(errno, 55);
	pthread_join(service.thread, NULL);
	if (!err) {
		assert_int_equal(bytes, LOG_BYTES);
		assert_int_equal(n, N_SITES);
		assert_string_equal(sites[1].name, "change_protection");
		assert_int_equal(fcntl(fds.log, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(fds.links, F_GETFD), FD_CLOEXEC);
		assert_false(watchd_gone(conn));
		close(service.held);
		service.held = -1;
		assert_true(watchd_gone(conn));
		close(fds.log);
		close(fds.space);
		close(fds.global);
		close(fds.links);
		close(conn);
	} else {
		assert_int_equal(fds.log, 77);
		assert_int_equal(conn, 77);
		assert_int_equal(bytes, 0);
	}
	if (service.held >= 0)
		close(service.held);
	service.held = -1;
	assert_int_equal(open_fds(), before);
	return err;
}

/* A service that has no processor for a second is taken for a silent one. */
static int answer(void)
{
	int err = -ETIME;

	for (int i = 0; i < 20 && err == -ETIME; i++)
		err = attempt();
	return err;
}

/* Spoils one thing of a good script, and connects. */
#define WITH(change, expected)                                                                     \
	do {                                                                                       \
		struct script *s = &service.script;                                                \
                                                                                                   \
		change;                                                                            \
		assert_int_equal((expected) == -ETIME ? attempt() : answer(), expected);           \
		end_script(s);                                                                     \
		begin_script(s);                                                                   \
	} while (0)

static void test_a_good_service(void **state)
{
	WITH((void)s, 0);
	/* a newer one, whose messages are longer */
	WITH(s->challenge_size += 8, 0);
}

static void test_messages_that_make_no_sense(void **state)
{
	WITH(s->challenge.head.magic++, -EPROTO);
	WITH(s->challenge_size = 3, -EPROTO);
	WITH(s->challenge_size--, -EPROTO);
	WITH(s->challenge.head.type = WATCHD_LINKS, -EPROTO);
	WITH(s->reply_size = sizeof(struct watchd_reply) - 1, -EPROTO);
	WITH(s->reply_size--, -EPROTO);
	WITH(s->message.reply.head.type = WATCHD_CHALLENGE, -EPROTO);
	WITH(s->message.reply.error = 5, -EPROTO);
	WITH(s->message.reply.error = INT32_MIN, -EPROTO);
	WITH(s->links.head.magic = 0, -EPROTO);
}

static void test_sizes_that_would_reach_beyond_the_message(void **state)
{
	WITH(s->message.reply.n_sites = UINT32_MAX, -EPROTO);
	WITH(s->message.reply.n_sites++, -EPROTO);
	WITH(s->message.reply.site_bytes = UINT32_MAX, -EPROTO);
	WITH(s->message.reply.site_bytes = 0, -EPROTO);
	WITH(s->message.reply.site_bytes++, -EPROTO);
	WITH(s->message.reply.table_at = UINT32_MAX, -EPROTO);
	WITH(s->message.reply.table_at = 0, -EPROTO);
	WITH(s->message.reply.table_at++, -EPROTO);
	WITH(s->message.reply.log_bytes = 0, -EPROTO);
	WITH(s->message.reply.log_bytes = LOG_BYTES + 4096, -EPROTO);
	WITH(s->message.reply.log_bytes = 1ULL << 63, -EPROTO);
}

static void test_names_that_a_terminal_could_obey(void **state)
{
	WITH(strcpy(s->message.sites[0].name, "\033[2J"), -EPROTO);
	WITH(s->message.sites[0].name[0] = 0, -EPROTO);
	WITH(memset(s->message.sites[2].name, 'a', WATCHD_NAME), -EPROTO);
	WITH(s->message.sites[0].error = 1, -EPROTO);
}

static void test_descriptors_that_are_not_what_they_should_be(void **state)
{
	WITH(s->n_fds = 0, -EPROTO);
	WITH(s->n_fds = 2, -EPROTO);
	WITH(s->n_fds = 4, -EPROTO);
	WITH(s->n_fds = 200, -EPROTO);
	WITH(s->n_links = 0, -EPROTO);
	WITH(s->fds[2] = dup(0), -EPROTO);
	/* one that could become shorter under the loads of its reader */
	WITH(s->fds[0] = memfd(1 << 20, 0), -EPROTO);
	WITH(s->fds[0] = memfd(LOG_BYTES, F_SEAL_SHRINK), -EPROTO);
	WITH(s->fds[1] = memfd(WATCH_PAGE - 1, F_SEAL_SHRINK), -EPROTO);
	WITH(s->fds[2] = memfd(WATCH_PAGE, F_SEAL_WRITE), -EPROTO);
	WITH(s->links_fd = dup(0), -EPROTO);
	WITH(s->links_fd = socket(AF_INET, SOCK_STREAM, 0), -EPROTO);
}

static void test_other_versions(void **state)
{
	WITH(s->challenge.head.version = 0, -EPROTONOSUPPORT);
	WITH(s->message.reply.head.version = 2, -EPROTONOSUPPORT);
	WITH(s->message.reply.record_version++, -EPROTONOSUPPORT);
}

static void test_a_refusal_is_passed_on(void **state)
{
	WITH((s->message.reply.error = -EDQUOT, s->n_fds = 0), -EDQUOT);
	WITH((s->message.reply.error = -EPERM, s->n_fds = 3), -EPERM);
}

static void test_an_end_in_between(void **state)
{
	WITH(s->stops = BEFORE_HELLO, -ECONNRESET);
	WITH(s->stops = AFTER_HELLO, -ECONNRESET);
	WITH(s->stops = AFTER_MINE, -ECONNRESET);
	WITH(s->stops = AFTER_REPLY, -ECONNRESET);
}

static void test_silence_takes_a_second(void **state)
{
	const uint64_t begin = clock_ns();

	WITH((s->silent = true, s->stops = AFTER_MINE), -ETIME);
	assert_in_range(clock_ns() - begin, WATCHD_WAIT_NS, 20 * WATCHD_WAIT_NS);
	WITH((s->silent = true, s->stops = AFTER_REPLY), -ETIME);
}

static void test_tables_without_an_end(void **state)
{
	int full = 0;

	for (int i = 0; i < 12; i++) {
		int err;

		service.script.message.sites[2].kind = 100U + (uint32_t)i;
		err = answer();
		assert_true(err == 0 || err == -EPROTO);
		full += err == -EPROTO;
	}
	assert_int_not_equal(full, 0);
	service.script.message.sites[2].kind = 0;
	assert_int_equal(answer(), 0);
}

static void test_the_path(void **state)
{
	setenv("HMM_WATCHD", "/some/where", 1);
	assert_string_equal(watchd_path(), "/some/where");
	setenv("HMM_WATCHD", "", 1);
	assert_string_equal(watchd_path(), WATCHD_SOCKET);
	unsetenv("HMM_WATCHD");
	assert_string_equal(watchd_path(), WATCHD_SOCKET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_good_service),
		TEST(test_messages_that_make_no_sense),
		TEST(test_sizes_that_would_reach_beyond_the_message),
		TEST(test_names_that_a_terminal_could_obey),
		TEST(test_descriptors_that_are_not_what_they_should_be),
		TEST(test_other_versions),
		TEST(test_a_refusal_is_passed_on),
		TEST(test_an_end_in_between),
		TEST(test_silence_takes_a_second),
		TEST(test_tables_without_an_end),
		cmocka_unit_test(test_the_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
