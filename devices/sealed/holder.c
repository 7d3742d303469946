// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The holder: the process in which sealed pages are. It is started with a socket and the window,
 * has one client, and ends with it. It is no child of the program, which is to see no SIGCHLD and
 * leave no zombie when it ends; and a signal for the death of a parent would come when the thread
 * ends that made it. So a descriptor of the program's process tells.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include "protocol.h"
#include <hmm/sealed.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static char *window;
static char *region;
static uint64_t region_bytes;
static bool tells; /* not SEALED_NEVER */

/* ---- the process ----------------------------------------------------------------------------- */

static void harden(void)
{
	const struct rlimit none = { 0, 0 };

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	syscall(SYS_close_range, HOLDER_WINDOW + 1, ~0U, 0);
}

/* Returns a descriptor of the program's process, in the holder. */
static int leave_program(void)
{
	const int program = (int)syscall(SYS_pidfd_open, getppid(), 0);
	const pid_t pid = fork();

	if (pid)
		_exit(pid < 0);
	return program;
}

/* The next message. False: the program has ended. */
static bool hear(int program, struct sealed_message *m)
{
	struct pollfd fds[] = { { .fd = HOLDER_SOCKET, .events = POLLIN },
				{ .fd = program, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0) {
		if (errno != EINTR)
			return false;
	}
	if (fds[1].revents)
		return false;
	return recv(HOLDER_SOCKET, m, sizeof(*m), 0) == (ssize_t)sizeof(*m);
}

/* ---- what it does ---------------------------------------------------------------------------- */

static void *map(int fd, uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* All of it is there from the start: later a lack of memory would end the holder. */
static int open_region(struct sealed_message *m)
{
	const int fd = m->value & SEALED_SECRET ? sealed_secret() : memfd_create("unsealed", 0);

	if (region)
		return -EEXIST;
	if (fd < 0 || ftruncate(fd, (off_t)m->bytes))
		return -errno;
	region = map(fd, m->bytes);
	if (!region)
		return -ENOMEM;
	madvise(region, m->bytes, MADV_DONTDUMP);
	explicit_bzero(region, m->bytes);
	region_bytes = m->bytes;
	tells = !(m->value & SEALED_NEVER);
	m->offset = (uint64_t)getpid();
	return 0;
}

static int copy_in(const struct sealed_message *m)
{
	memcpy(region + m->offset, window, m->bytes);
	explicit_bzero(window, m->bytes);
	return 0;
}

static int copy_out(const struct sealed_message *m)
{
	if (!tells)
		return -EACCES;
	memcpy(window, region + m->offset, m->bytes);
	explicit_bzero(region + m->offset, m->bytes);
	return 0;
}

static int clear(const struct sealed_message *m)
{
	explicit_bzero(region + m->offset, m->bytes);
	return 0;
}

static int run(struct sealed_message *m)
{
	uint64_t *p = (uint64_t *)(region + m->offset);
	const uint64_t *end = p + m->bytes / sizeof(*p);
	const uint64_t operand = m->value;

	for (; p < end; p++) {
		switch (m->op - SEALED_JOB) {
		case HMM_SEALED_FILL:
			*p = operand;
			break;
		case HMM_SEALED_ADD:
			*p += operand;
			break;
		case HMM_SEALED_XOR:
			*p ^= operand;
			break;
		default:
			m->value += *p;
		}
	}
	return 0;
}

/* A program that is wrong, or not the library's any more, reaches nothing beyond the region. */
static bool is_legal(const struct sealed_message *m)
{
	if (m->op == SEALED_OPEN)
		return true;
	if (m->bytes > region_bytes || m->offset > region_bytes - m->bytes)
		return false;
	if (m->op == SEALED_IN || m->op == SEALED_OUT)
		return m->bytes <= WINDOW_BYTES;
	return m->op == SEALED_CLEAR || (m->op <= SEALED_JOB + HMM_SEALED_SUM && !(m->offset % 8));
}

static int serve(struct sealed_message *m)
{
	if (!is_legal(m))
		return -EINVAL;
	switch (m->op) {
	case SEALED_OPEN:
		return open_region(m);
	case SEALED_IN:
		return copy_in(m);
	case SEALED_OUT:
		return copy_out(m);
	case SEALED_CLEAR:
		return clear(m);
	case SEALED_JOB + HMM_SEALED_SUM:
		return tells ? run(m) : -EACCES;
	default:
		return run(m);
	}
}

int main(void)
{
	struct sealed_message m;
	int program;

	harden();
	program = leave_program();
	window = map(HOLDER_WINDOW, WINDOW_BYTES);
	while (window && hear(program, &m)) {
		m.err = serve(&m);
		if (send(HOLDER_SOCKET, &m, sizeof(m), MSG_NOSIGNAL) != (ssize_t)sizeof(m))
			break;
	}
	if (window)
		explicit_bzero(window, WINDOW_BYTES);
	if (region)
		explicit_bzero(region, region_bytes);
	return 0;
}
