// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/probe/log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/bpf.h>

static void *map(int fd, size_t bytes, int protection, off_t offset)
{
	return mmap(NULL, bytes, protection, MAP_SHARED, fd, offset);
}

int probe_log_map(struct probe_log *log, size_t bytes)
{
	size_t page = sysconf(_SC_PAGESIZE);
	char *ring;

	log->bytes = bytes;
	log->consumed = map(log->fds.log, page, PROT_READ | PROT_WRITE, 0);
	/* the data is there twice, one after the other, so that no record is cut */
	ring = map(log->fds.log, page + 2 * bytes, PROT_READ, page);
	log->space = map(log->fds.space, page, PROT_READ, 0);
	log->global = map(log->fds.global, page, PROT_READ, 0);
	if (log->consumed == MAP_FAILED || ring == MAP_FAILED || log->space == MAP_FAILED ||
	    log->global == MAP_FAILED)
		return -errno;
	log->produced = (void *)ring;
	log->data = ring + page;
	return 0;
}

int probe_log_open(struct watch_loader *loader, size_t bytes, unsigned int flags,
		   struct probe_log *log)
{
	int err = watch_open(loader, getpid(), bytes, flags, &log->fds, &log->slot);

	return err ? err : probe_log_map(log, bytes);
}

bool probe_log_next(struct probe_log *log, struct watch_record *record)
{
	uint64_t at = *log->consumed;
	const char *head;
	uint32_t length;

	for (;;) {
		if (at >= __atomic_load_n(log->produced, __ATOMIC_ACQUIRE))
			return false;
		head = log->data + (at & (log->bytes - 1));
		length = __atomic_load_n((uint32_t *)head, __ATOMIC_ACQUIRE);
		if (length & BPF_RINGBUF_BUSY_BIT)
			return false;
		if (!(length & BPF_RINGBUF_DISCARD_BIT))
			break;
		length &= ~BPF_RINGBUF_DISCARD_BIT;
		at += (length + BPF_RINGBUF_HDR_SZ + 7) & ~7U;
	}
	memcpy(record, head + BPF_RINGBUF_HDR_SZ, sizeof(*record));
	at += (length + BPF_RINGBUF_HDR_SZ + 7) & ~7U;
	__atomic_store_n(log->consumed, at, __ATOMIC_RELEASE);
	return true;
}

bool probe_log_quiet(const struct probe_log *log)
{
	return __atomic_load_n(log->produced, __ATOMIC_ACQUIRE) == *log->consumed;
}

const char *probe_kind(unsigned int kind)
{
	static const char *const names[WATCH_KIND_NR] = {
		"unmap", "clear",      "protect", "protect-page", "fork",
		"move",  "soft-dirty", "migrate", "exclusive",
	};

	return kind < WATCH_KIND_NR ? names[kind] : "?";
}
