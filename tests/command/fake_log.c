// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Stands in for libhmm-events.so where `hmm events` is tested: it hands over a log in plain memory
 * and writes there what the variable FAKE_LOG says, one word after the other:
 *
 *	KIND:START-END:SITE:FLAGS	a record, numbers in hexadecimal; its task is this process
 *	times:N				the last record N times more
 *	map:START-END:NAME		maps a file of this name there
 *	unmap:START-END			unmaps it, with the two records of that
 *	lost:N, on:N, detached, ended	what the programs say of losses
 *	refuse:N			says -N in the place of a log; first word
 *	garbage				says what makes no sense; first word
 *	go				waits until the tool has shown all
 *	unwatched			the third function cannot be watched; first word
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../../lib/kernel/abi/watch.h"
#include "../../tools/hmm/events/hello.h"

#define PAGE 4096
#define BYTES (64 << 10)

static char *ring;
static struct watch_space *space;
static struct watch_global *global;
static struct watch_record last;
static int fds[EVENTS_FDS_LEAST];

static void *share(int *fd, const char *name, size_t bytes)
{
	*fd = memfd_create(name, MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, (off_t)bytes))
		abort();
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
}

static uint64_t *consumer(void)
{
	return (uint64_t *)ring;
}

static uint64_t *producer(void)
{
	return (uint64_t *)(ring + PAGE);
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void put(void)
{
	const uint64_t at = *producer(), mask = BYTES - 1;
	const uint32_t head[2] = { sizeof(last), 0 };
	char record[sizeof(head) + sizeof(last)];

	memcpy(record, head, sizeof(head));
	memcpy(record + sizeof(head), &last, sizeof(last));
	while (at + sizeof(record) - __atomic_load_n(consumer(), __ATOMIC_ACQUIRE) > BYTES)
		pause_briefly();
	for (size_t i = 0; i < sizeof(record); i++) {
		ring[2 * PAGE + ((at + i) & mask)] = record[i];
		ring[2 * PAGE + BYTES + ((at + i) & mask)] = record[i];
	}
	space->records++;
	__atomic_store_n(producer(), at + sizeof(record), __ATOMIC_RELEASE);
}

static void wait_until_read(void)
{
	while (__atomic_load_n(consumer(), __ATOMIC_ACQUIRE) != *producer())
		pause_briefly();
}

static void unmap(unsigned long start, unsigned long end)
{
	last.kind = WATCH_UNMAP;
	last.start = start;
	last.end = end;
	last.flags = 0;
	put();
	munmap((void *)start, end - start);
	last.flags = WATCH_END;
	put();
}

static void map(unsigned long start, unsigned long end, const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (ftruncate(fd, (off_t)(end - start)) ||
	    mmap((void *)start, end - start, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) ==
		    MAP_FAILED)
		abort();
	close(fd);
}

static void act(const char *word)
{
	unsigned long start, end;
	unsigned int kind, site, flags, n;
	char name[64];

	if (sscanf(word, "%x:%lx-%lx:%x:%x", &kind, &start, &end, &site, &flags) == 5) {
		last = (struct watch_record){ .start = start,
					      .end = end,
					      .task = (uint32_t)getpid(),
					      .tgid = (uint32_t)getpid(),
					      .kind = (uint16_t)kind,
					      .site = (uint16_t)site,
					      .flags = flags };
		put();
	} else if (sscanf(word, "times:%u", &n) == 1) {
		while (n--)
			put();
	} else if (sscanf(word, "map:%lx-%lx:%63s", &start, &end, name) == 3) {
		map(start, end, name);
	} else if (sscanf(word, "unmap:%lx-%lx", &start, &end) == 2) {
		unmap(start, end);
	} else if (sscanf(word, "lost:%u", &n) == 1) {
		space->dropped += n;
	} else if (sscanf(word, "on:%u", &n) == 1) {
		global->word += n * WATCH_ON;
	} else if (!strcmp(word, "detached")) {
		global->detached = 1;
	} else if (!strcmp(word, "ended")) {
		space->ended = 1;
	} else if (!strcmp(word, "unwatched")) {
		/* said already */
	} else if (!strcmp(word, "go")) {
		wait_until_read();
		/* The tool takes the second when it has done with what it took before. */
		last.kind = WATCH_CLEAR;
		last.flags = WATCH_END;
		put();
		wait_until_read();
	} else {
		abort();
	}
}

static int reach(const char *name)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path + 1, name, strlen(name));
	if (connect(fd, (struct sockaddr *)&at,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))))
		abort();
	return fd;
}

static void say(int fd, struct events_hello *hello)
{
	char control[CMSG_SPACE(sizeof(fds))] = { 0 };
	struct iovec part = { hello, offsetof(struct events_hello, sites) +
					     hello->n_sites * sizeof(hello->sites[0]) };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (!hello->error) {
		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		*CMSG_FIRSTHDR(&m) = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fds)),
						       .cmsg_level = SOL_SOCKET,
						       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(fds));
	}
	if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0)
		abort();
	poll(&ready, 1, 60000);
	close(fd);
}

static void fill(struct events_hello *hello, const char *script)
{
	static const char *const sites[] = { "unmap_vmas", "change_protection",
					     "no_such_function" };
	unsigned int error;

	hello->version = EVENTS_VERSION;
	hello->pid = getpid();
	hello->helper = 1;
	hello->log_bytes = BYTES;
	if (sscanf(script, "refuse:%u", &error) == 1) {
		hello->error = -(int)error;
		return;
	}
	if (!strncmp(script, "garbage", 7))
		hello->log_bytes = 12345;
	hello->n_sites = 3;
	for (int i = 0; i < 3; i++) {
		snprintf(hello->sites[i].name, EVENTS_NAME, "%s", sites[i]);
		hello->sites[i].attached = i < 2;
		hello->sites[i].error = i < 2                             ? 0
					: strncmp(script, "unwatched", 9) ? -ENOENT
									  : -EINVAL;
	}
	ring = share(&fds[0], "log", 2 * PAGE + 2 * BYTES);
	space = share(&fds[1], "space", PAGE);
	global = share(&fds[2], "global", PAGE);
	fds[3] = memfd_create("links", MFD_CLOEXEC);
}

__attribute__((constructor)) static void begin(void)
{
	static struct events_hello hello;
	const char *asked = getenv(EVENTS_VARIABLE);
	char *script = strdup(getenv("FAKE_LOG") ?: ""), *rest = script, *word;
	char name[96];
	int parent;

	if (!asked || sscanf(asked, "%95s %d", name, &parent) != 2 ||
	    (parent && parent != getppid()))
		return;
	fill(&hello, script);
	say(reach(name), &hello);
	if (hello.error || hello.log_bytes != BYTES)
		return;
	while ((word = strsep(&rest, " ")))
		if (*word)
			act(word);
}
