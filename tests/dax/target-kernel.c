// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel itself, through the module uhmm_oracle: what it says is the truth that the cases'
 * expectations are held against.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"
#include "uhmm_oracle.h"

struct target {
	int fd;
};

_Static_assert(ENTRY_VALID == UHMM_ENTRY_VALID && ENTRY_WRITE == UHMM_ENTRY_WRITE &&
		       ENTRY_ERROR == UHMM_ENTRY_ERROR && ENTRY_ZERO == UHMM_ENTRY_ZERO &&
		       ENTRY_DAX == UHMM_ENTRY_FSDAX,
	       "entries are handed on as they are");
_Static_assert(sizeof(struct entry) == sizeof(struct uhmm_oracle_entry),
	       "entries are handed on as they are");
_Static_assert(REQ_FAULT == UHMM_REQ_FAULT && REQ_WRITE == UHMM_REQ_WRITE,
	       "requests are handed on as they are");

#define PAGE 4096

static const char *kernel_probe(void)
{
	int fd = open(UHMM_ORACLE_PATH, O_RDWR | O_CLOEXEC);
	uint32_t version = 0;
	const char *why = NULL;

	if (fd < 0)
		return "the module uhmm_oracle is not loaded (vm/oracle)";
	if (ioctl(fd, UHMM_ORACLE_GET_VERSION, &version) || version != UHMM_ORACLE_VERSION)
		why = "the module uhmm_oracle is of another version";
	close(fd);
	return why;
}

static int kernel_mirror(uint64_t addr, size_t len, struct target **out)
{
	struct uhmm_oracle_mirror arg = { .addr = addr, .npages = len / PAGE };
	struct target *t = calloc(1, sizeof(*t));
	int ret = 0;

	if (!t)
		return -ENOMEM;
	t->fd = open(UHMM_ORACLE_PATH, O_RDWR | O_CLOEXEC);
	if (t->fd < 0 || ioctl(t->fd, UHMM_ORACLE_MIRROR, &arg))
		ret = -errno;
	if (!ret) {
		*out = t;
		return 0;
	}
	if (t->fd >= 0)
		close(t->fd);
	free(t);
	return ret;
}

static void kernel_unmirror(struct target *t)
{
	if (!t)
		return;
	close(t->fd);
	free(t);
}

static int kernel_range(struct target *t, uint64_t addr, size_t len, unsigned int request,
			const uint8_t *requests, struct entry *entries, unsigned int *passes,
			uint64_t *ns)
{
	struct uhmm_oracle_range arg = {
		.addr = addr,
		.npages = len / PAGE,
		.entries = (uintptr_t)entries,
		.default_flags = request,
		.pfn_flags_mask = requests ? REQ_FAULT | REQ_WRITE : 0,
	};
	size_t i;

	memset(entries, 0, arg.npages * sizeof(*entries));
	for (i = 0; requests && i < arg.npages; i++)
		entries[i].flags = requests[i];
	if (ioctl(t->fd, UHMM_ORACLE_RANGE, &arg))
		return -errno;
	if (passes)
		*passes = arg.passes;
	if (ns)
		*ns = arg.ns;
	return arg.result;
}

static int kernel_access(struct target *t, uint64_t addr, void *buf, size_t len, bool write,
			 unsigned int *faults)
{
	struct uhmm_oracle_access arg = {
		.addr = addr, .len = len, .buf = (uintptr_t)buf, .write = write
	};

	if (ioctl(t->fd, UHMM_ORACLE_ACCESS, &arg))
		return -errno;
	if (faults)
		*faults = arg.faults;
	return arg.result;
}

static int kernel_held(struct target *t, uint64_t addr, size_t len, struct entry *entries)
{
	struct uhmm_oracle_held arg = { .addr = addr,
					.npages = len / PAGE,
					.entries = (uintptr_t)entries };

	return ioctl(t->fd, UHMM_ORACLE_HELD, &arg) ? -errno : 0;
}

static unsigned int kind_of(uint32_t event)
{
	switch (event) {
	case UHMM_EVENT_UNMAP:
		return EVENT_UNMAP;
	case UHMM_EVENT_CLEAR:
		return EVENT_CLEAR;
	case UHMM_EVENT_PROTECTION_VMA:
		return EVENT_PROTECT_VMA;
	case UHMM_EVENT_PROTECTION_PAGE:
		return EVENT_PROTECT_PAGE;
	case UHMM_EVENT_RELEASE:
		return EVENT_RELEASE;
	}
	return EVENT_OTHER;
}

static int kernel_log(struct target *t, struct mirror_log *log, bool reset)
{
	struct uhmm_oracle_event *events = calloc(LOG_MAX, sizeof(*events));
	struct uhmm_oracle_log arg = { .events = (uintptr_t)events,
				       .max = LOG_MAX,
				       .reset = reset };
	unsigned int i;

	if (!events || ioctl(t->fd, UHMM_ORACLE_LOG, &arg)) {
		free(events);
		return -errno;
	}
	log->count = arg.count;
	log->lost = arg.lost;
	for (i = 0; i < arg.count; i++)
		log->events[i] =
			(struct event){ events[i].start, events[i].end, kind_of(events[i].event) };
	free(events);
	return 0;
}

/* What the device wrote is dirty since its write fault, so writing back finds it. */
static int kernel_persist(struct target *t, uint64_t addr, size_t len)
{
	return msync((void *)(uintptr_t)addr, len, MS_SYNC) ? -errno : 0;
}

/* migrate_vma_setup() is what every driver with memory of its own begins with. */
static int kernel_in_place(struct target *t, uint64_t addr, size_t len)
{
	struct uhmm_oracle_migrate arg = { .addr = addr, .npages = len / PAGE };

	if (ioctl(t->fd, UHMM_ORACLE_MIGRATE, &arg))
		return -errno;
	return arg.result == -EINVAL ? 1 : arg.result;
}

/* The notifier has dropped everything already. */
static int kernel_validate(struct target *t)
{
	return 0;
}

const struct target_ops target_kernel = {
	.name = "kernel",
	.sees_pages = true,
	.sees_write = true,
	.synchronous = true,
	.event_kinds = true,
	.probe = kernel_probe,
	.mirror = kernel_mirror,
	.unmirror = kernel_unmirror,
	.range = kernel_range,
	.access = kernel_access,
	.held = kernel_held,
	.log = kernel_log,
	.validate = kernel_validate,
	.persist = kernel_persist,
	.in_place = kernel_in_place,
};
