// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The reader of one log, a BPF ring buffer: the consumer's page, the producer's page, and the data
 * twice, so that no record is cut at the end. This process is the only reader.
 */
#include "events.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUSY (1U << 31)    /* reserved, not yet written */
#define DISCARD (1U << 30) /* reserved, then given up */
#define HEADER 8

static const char *const kinds[WATCH_KIND_NR] = {
	[WATCH_UNMAP] = "unmap",
	[WATCH_CLEAR] = "clear",
	[WATCH_PROTECT] = "protect",
	[WATCH_PROTECT_PAGE] = "protect-page",
	[WATCH_FORK] = "fork",
	[WATCH_MOVE] = "move",
	[WATCH_SOFT_DIRTY] = "soft-dirty",
	[WATCH_MIGRATE] = "migrate",
	[WATCH_EXCLUSIVE] = "exclusive",
};

const char *event_kind_name(unsigned int kind)
{
	return kind < WATCH_KIND_NR ? kinds[kind] : "unknown";
}

static void *map(int fd, size_t bytes, int protection, off_t at)
{
	return mmap(NULL, bytes, protection, MAP_SHARED, fd, at);
}

int map_log(struct event_log *log, const int *fds, uint64_t bytes)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *consumer, *producer, *space, *global;
	int err = 0;

	if (bytes < page || bytes & (bytes - 1) || bytes > 1ULL << 32)
		return -EPROTO;
	consumer = map(fds[0], page, PROT_READ | PROT_WRITE, 0);
	if (consumer == MAP_FAILED)
		err = -errno;
	producer = map(fds[0], page + 2 * bytes, PROT_READ, (off_t)page);
	space = map(fds[1], WATCH_PAGE, PROT_READ, 0);
	global = map(fds[2], WATCH_PAGE, PROT_READ, 0);
	if (!err && (producer == MAP_FAILED || space == MAP_FAILED || global == MAP_FAILED))
		err = -errno;
	*log = (struct event_log){
		.consumer = consumer == MAP_FAILED ? NULL : consumer,
		.producer = producer == MAP_FAILED ? NULL : producer,
		.data = producer == MAP_FAILED ? NULL : (const char *)producer + page,
		.size = bytes,
		.space = space == MAP_FAILED ? NULL : space,
		.global = global == MAP_FAILED ? NULL : global,
	};
	if (err)
		log_unmap(log);
	return err;
}

static void unmap(const volatile void *at, size_t bytes)
{
	if (at)
		munmap((void *)(uintptr_t)at, bytes);
}

void log_unmap(struct event_log *log)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	unmap(log->consumer, page);
	unmap(log->producer, page + 2 * log->size);
	unmap(log->space, WATCH_PAGE);
	unmap(log->global, WATCH_PAGE);
	memset(log, 0, sizeof(*log));
}

bool log_next(struct event_log *log, struct watch_record *record)
{
	uint64_t at = *log->consumer;

	while (at < __atomic_load_n(log->producer, __ATOMIC_ACQUIRE)) {
		const char *here = log->data + (at & (log->size - 1));
		uint32_t head = __atomic_load_n((const uint32_t *)here, __ATOMIC_ACQUIRE);
		uint32_t length = head & ~(BUSY | DISCARD);
		bool taken = !(head & DISCARD) && length >= sizeof(*record);

		if (head & BUSY)
			return false;
		if (taken)
			memcpy(record, here + HEADER, sizeof(*record));
		at += (length + HEADER + 7) / 8 * 8;
		__atomic_store_n(log->consumer, at, __ATOMIC_RELEASE);
		if (taken)
			return true;
	}
	return false;
}
