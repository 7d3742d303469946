// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Starting a holder, and talking to it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include "link.h"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* So often a holder that does not answer is waited for, for a second each time. */
#define ROUNDS 4

/* ---- children: they are not to reach the holder ---------------------------------------------- */

static pthread_mutex_t links_lock = PTHREAD_MUTEX_INITIALIZER;
static struct link *links;

static void before_fork(void)
{
	pthread_mutex_lock(&links_lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&links_lock);
}

static bool is_ours(const struct link *l)
{
	struct stat st;

	return l->fd >= 0 && !fstat(l->fd, &st) && st.st_dev == l->dev && st.st_ino == l->ino;
}

static void in_child(void)
{
	for (struct link *l = links; l; l = l->next) {
		if (is_ours(l))
			close(l->fd);
		l->fd = -1;
		l->window = NULL;
	}
	links = NULL;
	pthread_mutex_init(&links_lock, NULL);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}

static void enlist(struct link *l)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, watch_forks);
	pthread_mutex_lock(&links_lock);
	l->next = links;
	links = l;
	pthread_mutex_unlock(&links_lock);
}

static void delist(const struct link *l)
{
	struct link **p = &links;

	pthread_mutex_lock(&links_lock);
	while (*p && *p != l)
		p = &(*p)->next;
	if (*p)
		*p = l->next;
	pthread_mutex_unlock(&links_lock);
}

/* ---- starting it ----------------------------------------------------------------------------- */

static int image_fd(void)
{
	int fd = memfd_create("hmm-sealed", MFD_CLOEXEC | MFD_EXEC);

	/* Linux before 6.3 */
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("hmm-sealed", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (unsigned long at = 0; at < sealed_holder_bytes;) {
		const ssize_t n = write(fd, sealed_holder_image + at, sealed_holder_bytes - at);

		if (n <= 0) {
			close(fd);
			return -EIO;
		}
		at += (unsigned long)n;
	}
	return fd;
}

/* No signal reaches it but SIGKILL, and no terminal. */
static int attributes(posix_spawnattr_t *attr)
{
	sigset_t all;

	sigfillset(&all);
	if (posix_spawnattr_init(attr))
		return -ENOMEM;
	posix_spawnattr_setsigmask(attr, &all);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSID);
	return 0;
}

/* The descriptors must not lie where they go. */
static int spawn(const char *path, int socket, int window, pid_t *pid)
{
	char *const argv[] = { "hmm-sealed", NULL };
	char *const envp[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int err = attributes(&attr);

	if (err)
		return err;
	err = -posix_spawn_file_actions_init(&actions);
	if (!err) {
		posix_spawn_file_actions_adddup2(&actions, socket, HOLDER_SOCKET);
		posix_spawn_file_actions_adddup2(&actions, window, HOLDER_WINDOW);
		err = -posix_spawn(pid, path, &actions, &attr, argv, envp);
		posix_spawn_file_actions_destroy(&actions);
	}
	posix_spawnattr_destroy(&attr);
	return err;
}

/* Beyond the numbers that the holder has, and closed by exec. */
static int lift(int fd)
{
	const int high = fd < 0 ? -errno : fcntl(fd, F_DUPFD_CLOEXEC, 64);
	const int err = high < 0 ? -errno : 0;

	if (fd < 0)
		return high;
	close(fd);
	return err ? err : high;
}

/* What was started makes the holder, and ends. */
static int start(int socket, int window)
{
	const int image = lift(image_fd());
	char path[32];
	pid_t pid;
	int err;

	if (image < 0)
		return image;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", image);
	err = spawn(path, socket, window, &pid);
	close(image);
	while (!err && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return err;
}

static int make_window(struct link *l)
{
	const int fd = lift(l->secret ? sealed_secret() : memfd_create("window", MFD_CLOEXEC));
	void *p = MAP_FAILED;

	if (fd < 0)
		return fd;
	if (!ftruncate(fd, (off_t)WINDOW_BYTES))
		p = mmap(NULL, WINDOW_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	madvise(p, WINDOW_BYTES, MADV_DONTFORK);
	madvise(p, WINDOW_BYTES, MADV_DONTDUMP);
	l->window = p;
	return fd;
}

static int connect_holder(struct link *l, int window)
{
	struct stat st;
	int fds[2];
	int err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -errno;
	l->fd = lift(fds[0]);
	fds[1] = lift(fds[1]);
	err = l->fd < 0 ? l->fd : fds[1] < 0 ? fds[1] : start(fds[1], window);
	if (!err && fstat(l->fd, &st))
		err = -errno;
	if (!err) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
		enlist(l);
	}
	if (fds[1] >= 0)
		close(fds[1]);
	return err;
}

static int open_memory(struct link *l, uint64_t bytes, bool never)
{
	const struct timeval second = { .tv_sec = 1 };
	struct sealed_message m = { .op = SEALED_OPEN,
				    .bytes = bytes,
				    .value = (l->secret ? SEALED_SECRET : 0) |
					     (never ? SEALED_NEVER : 0) };
	int err = link_ask(l, &m);

	l->holder = (pid_t)m.offset;
	setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	return err == -EAGAIN ? -ENOMEM : err;
}

int link_open(struct link *l, uint64_t bytes, bool plain, bool never)
{
	const int fd = plain ? -1 : sealed_secret();
	int window;
	int err;

	if (fd >= 0)
		close(fd);
	l->secret = fd >= 0;
	l->fd = -1;
	pthread_mutex_init(&l->lock, NULL);
	window = make_window(l);
	if (window < 0)
		return window;
	err = connect_holder(l, window);
	close(window);
	if (!err)
		err = open_memory(l, bytes, never);
	if (err)
		link_close(l);
	return err;
}

void link_close(struct link *l)
{
	delist(l);
	if (is_ours(l))
		close(l->fd);
	if (l->window)
		munmap(l->window, WINDOW_BYTES);
	l->window = NULL;
	l->fd = -1;
}

/* ---- talking --------------------------------------------------------------------------------- */

static bool hear(const struct link *l, struct sealed_message *m)
{
	ssize_t n = -1;

	for (int i = 0; n < 0 && i < ROUNDS; i++) {
		do
			n = recv(l->fd, m, sizeof(*m), 0);
		while (n < 0 && errno == EINTR);
		if (n < 0 && errno != EAGAIN)
			return false;
	}
	return n == (ssize_t)sizeof(*m);
}

int link_ask(struct link *l, struct sealed_message *m)
{
	if (l->dead || !is_ours(l))
		return -EPIPE;
	if (send(l->fd, m, sizeof(*m), MSG_NOSIGNAL) == (ssize_t)sizeof(*m) && hear(l, m))
		return m->err;
	/* An answer that comes late would be taken for another. */
	l->dead = true;
	shutdown(l->fd, SHUT_RDWR);
	return -EPIPE;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

int link_in(struct link *l, uint64_t offset, const char *from, uint64_t bytes)
{
	int err = 0;

	pthread_mutex_lock(&l->lock);
	for (uint64_t at = 0; !err && at < bytes; at += WINDOW_BYTES) {
		struct sealed_message m = { .op = SEALED_IN,
					    .offset = offset + at,
					    .bytes = least(WINDOW_BYTES, bytes - at) };
		const uint64_t n = m.bytes;

		memcpy(l->window, from + at, n);
		err = link_ask(l, &m);
		if (err)
			explicit_bzero(l->window, n);
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

int link_out(struct link *l, uint64_t offset, char *to, uint64_t bytes)
{
	int err = 0;

	pthread_mutex_lock(&l->lock);
	for (uint64_t at = 0; !err && at < bytes; at += WINDOW_BYTES) {
		struct sealed_message m = { .op = SEALED_OUT,
					    .offset = offset + at,
					    .bytes = least(WINDOW_BYTES, bytes - at) };
		const uint64_t n = m.bytes;

		err = link_ask(l, &m);
		if (!err)
			memcpy(to + at, l->window, n);
		explicit_bzero(l->window, n);
	}
	pthread_mutex_unlock(&l->lock);
	return err;
}

int link_clear(struct link *l, uint64_t offset, uint64_t bytes)
{
	struct sealed_message m = { .op = SEALED_CLEAR, .offset = offset, .bytes = bytes };
	int err;

	pthread_mutex_lock(&l->lock);
	err = link_ask(l, &m);
	pthread_mutex_unlock(&l->lock);
	return err;
}
