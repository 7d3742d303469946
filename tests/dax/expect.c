// SPDX-License-Identifier: GPL-2.0
/* expect: what cases do to a mirror and what they hold it to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "suite.h"

static uint64_t page_addr(struct run *r, size_t page)
{
	return (uintptr_t)r->map + page * r->page;
}

const char *entry_text(const struct entry *e, char *buf, size_t size)
{
	if (!(e->flags & (ENTRY_VALID | ENTRY_ERROR)))
		snprintf(buf, size, "none");
	else
		snprintf(buf, size, "%s%s%s%s order %u", e->flags & ENTRY_ERROR ? "ERROR " : "",
			 e->flags & ENTRY_WRITE ? "write" : "read",
			 e->flags & ENTRY_ZERO ? " zero" : "", e->flags & ENTRY_DAX ? " dax" : "",
			 e->order);
	return buf;
}

const char *event_kinds_text(unsigned int kinds, char *buf, size_t size)
{
	static const char *const names[] = { "UNMAP",           "CLEAR",   "PROTECTION_VMA",
					     "PROTECTION_PAGE", "RELEASE", "other" };
	size_t i, at = 0;

	buf[0] = 0;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (kinds & 1u << i && at < size)
			at += snprintf(buf + at, size - at, "%s%s", at ? "+" : "", names[i]);
	return buf;
}

static void note_entry(struct run *r, const struct entry *e)
{
	char text[48];
	size_t at = strlen(r->out->entries);

	entry_text(e, text, sizeof(text));
	if (at + strlen(text) + 5 < sizeof(r->out->entries))
		sprintf(r->out->entries + at, "%s%s", at ? " -> " : "", text);
}

static void note_seen(struct run *r, enum seen seen)
{
	if (seen > r->out->seen)
		r->out->seen = seen;
}

/* The events as the report says them: "CLEAR[0,1024) CLEAR[0,1)". */
static void note_log(struct run *r, const struct mirror_log *log)
{
	size_t at = strlen(r->out->invalidations), size = sizeof(r->out->invalidations);
	char kind[32];
	unsigned int i;

	for (i = 0; i < log->count && at + 48 < size; i++)
		at += snprintf(r->out->invalidations + at, size - at, "%s%s[%ld,%ld)",
			       at ? " " : "",
			       event_kinds_text(log->events[i].kind, kind, sizeof(kind)),
			       (long)(log->events[i].start - (uintptr_t)r->map) / (long)r->page,
			       (long)(log->events[i].end - (uintptr_t)r->map) / (long)r->page);
	if (i < log->count && at + 16 < size)
		snprintf(r->out->invalidations + at, size - at, " +%u", log->count - i);
}

void mirror_start(struct run *r)
{
	int ret = r->ops->mirror((uintptr_t)r->map, r->size, &r->t);

	CHECK(r, !ret, "mirror: %s", strerror(-ret));
}

static void reset_log(struct run *r)
{
	static struct mirror_log log;
	int ret = r->ops->log(r->t, &log, true);

	CHECK(r, !ret, "log: %s", strerror(-ret));
}

void mirror_written(struct run *r, size_t size)
{
	file_create(r, size, 0);
	mirror_start(r);
	expect_write(r, 0, size / r->page, 2);
	expect_entries(r, 0, size / r->page, write_entry(r), r->place->dax ? r->order : ANY_ORDER);
	reset_log(r);
}

void mirror_read(struct run *r, size_t size, unsigned int flags)
{
	file_create(r, size, flags);
	mirror_start(r);
	expect_read(r, 0, size / r->page, flags & FILE_HOLE ? 0 : 1);
	reset_log(r);
}

int act(struct run *r, act_fn fn)
{
	struct actor self = {
		.fd = r->fd, .map = r->map, .size = r->size, .path = r->path, .dir = r->dir
	};

	return r->by_other ? peer_act(r, fn) : fn(&self);
}

void act_ok(struct run *r, act_fn fn)
{
	int ret = act(r, fn);

	CHECK(r, !ret, "the operation failed: %s", strerror(-ret));
}

static bool all_dropped(struct run *r, size_t page, size_t n)
{
	struct entry *held = calloc(n, sizeof(*held));
	bool dropped = true;
	size_t i;
	int ret;

	CHECK(r, held, "out of memory");
	ret = r->ops->held(r->t, page_addr(r, page), n * r->page, held);
	CHECK(r, !ret, "held: %s", strerror(-ret));
	for (i = 0; i < n; i++)
		dropped = dropped && !(held[i].flags & ENTRY_VALID);
	free(held);
	return dropped;
}

/* Does each page of the range lie in an event of one of these kinds? */
static bool covered(struct run *r, const struct mirror_log *log, unsigned int kinds, size_t page,
		    size_t n)
{
	uint64_t at = page_addr(r, page), end = page_addr(r, page + n);
	unsigned int i;
	bool grown = true;

	while (at < end && grown) {
		grown = false;
		for (i = 0; i < log->count; i++) {
			if (log->events[i].kind & kinds && log->events[i].start <= at &&
			    log->events[i].end > at) {
				at = log->events[i].end;
				grown = true;
			}
		}
	}
	return at >= end;
}

static void check_kinds(struct run *r, const struct mirror_log *log, unsigned int must,
			unsigned int may, size_t page, size_t n)
{
	char text[64], kind[32];
	unsigned int i;

	if (!r->ops->event_kinds)
		return;
	CHECK(r, covered(r, log, must, page, n), "no %s for all of pages [%zu,%zu): %s",
	      event_kinds_text(must, text, sizeof(text)), page, page + n,
	      r->out->invalidations[0] ? r->out->invalidations : "no invalidation at all");
	for (i = 0; i < log->count; i++)
		CHECK(r, log->events[i].kind & (must | may),
		      "an invalidation of kind %s, expected %s",
		      event_kinds_text(log->events[i].kind, kind, sizeof(kind)),
		      event_kinds_text(must | may, text, sizeof(text)));
}

static enum seen how_dropped(struct run *r, size_t page, size_t n)
{
	int ret;

	if (all_dropped(r, page, n))
		return SEEN_SYNCHRONOUS;
	CHECK(r, !r->ops->synchronous,
	      "the mirror still holds entries of pages [%zu,%zu) after the operation returned",
	      page, page + n);
	ret = r->ops->validate(r->t);
	CHECK(r, !ret, "validate: %s", strerror(-ret));
	return all_dropped(r, page, n) ? SEEN_VALIDATED : SEEN_UNSEEN;
}

static enum seen drop(struct run *r, unsigned int must, unsigned int may, size_t page, size_t n)
{
	static struct mirror_log log;
	enum seen seen = how_dropped(r, page, n);
	int ret = r->ops->log(r->t, &log, true);

	CHECK(r, !ret, "log: %s", strerror(-ret));
	note_log(r, &log);
	note_seen(r, seen);
	if (seen != SEEN_UNSEEN)
		check_kinds(r, &log, must, may, page, n);
	return seen;
}

void expect_drop(struct run *r, unsigned int must, unsigned int may, size_t page, size_t n)
{
	CHECK(r, drop(r, must, may, page, n) != SEEN_UNSEEN,
	      "unseen: the mirror would use stale entries of pages [%zu,%zu)", page, page + n);
}

void expect_gone(struct run *r, unsigned int must, unsigned int may, size_t page, size_t n)
{
	CHECK(r, drop(r, must, may, page, n) == SEEN_SYNCHRONOUS,
	      "late: entries of pages [%zu,%zu) were held after the operation returned", page,
	      page + n);
}

void expect_drop_or_unseen(struct run *r, unsigned int must, unsigned int may, size_t page,
			   size_t n)
{
	if (r->ops->sees_all && r->ops->sees_all())
		expect_drop(r, must, may, page, n);
	else
		drop(r, must, may, page, n);
}

void expect_keep(struct run *r, size_t page, size_t n)
{
	static struct mirror_log log;
	int ret = r->ops->log(r->t, &log, true);

	CHECK(r, !ret, "log: %s", strerror(-ret));
	note_log(r, &log);
	/*
	 * A target that looks at change times drops more than it must; that costs time and nothing
	 * else.
	 */
	if (!r->ops->synchronous)
		return;
	CHECK(r, !log.count, "an invalidation where nothing changes: %s", r->out->invalidations);
	CHECK(r, !all_dropped(r, page, n), "the mirror lost entries without an invalidation");
}

void expect_only(struct run *r, unsigned int may)
{
	static struct mirror_log log;
	int ret = r->ops->log(r->t, &log, true);

	CHECK(r, !ret, "log: %s", strerror(-ret));
	note_log(r, &log);
	check_kinds(r, &log, 0, may, 0, 0);
}

unsigned int read_entry(const struct run *r)
{
	return r->place->dax ? ENTRY_VALID | ENTRY_DAX : ENTRY_VALID | ENTRY_ANY_WRITE;
}

unsigned int hole_entry(const struct run *r)
{
	return r->place->dax ? ENTRY_VALID | ENTRY_ZERO : ENTRY_VALID | ENTRY_ANY_WRITE;
}

unsigned int write_entry(const struct run *r)
{
	return ENTRY_VALID | ENTRY_WRITE | (r->place->dax ? ENTRY_DAX : 0);
}

struct entry *get_entries(struct run *r, size_t page, size_t n, unsigned int request, int *result)
{
	struct entry *entries = calloc(n, sizeof(*entries));

	CHECK(r, entries, "out of memory");
	*result = r->ops->range(r->t, page_addr(r, page), n * r->page, request, NULL, entries, NULL,
				NULL);
	return entries;
}

bool reduced(const struct run *r)
{
	return r->ops->reduced && r->ops->reduced();
}

static bool order_fits(const struct run *r, unsigned int is, unsigned int should)
{
	const bool told = !reduced(r) && (!r->ops->sees_orders || r->ops->sees_orders());

	return is == should || (!told && !is);
}

static void check_entry(struct run *r, size_t page, const struct entry *e, unsigned int flags,
			unsigned int order)
{
	unsigned int tell = ENTRY_VALID | ENTRY_WRITE | ENTRY_ERROR;
	struct entry want = { .flags = flags, .order = order == ANY_ORDER ? e->order : order };
	char is[48], should[48];
	bool same;

	if (r->ops->sees_pages)
		tell |= ENTRY_ZERO | ENTRY_DAX;
	/* A snapshot may say less than the kernel's would, never more. */
	if (flags & ENTRY_ANY_WRITE || (!r->ops->sees_write && !(e->flags & ENTRY_WRITE)))
		tell &= ~ENTRY_WRITE;
	same = (e->flags & tell) == (flags & tell) &&
	       (!(flags & ENTRY_VALID) || order_fits(r, e->order, want.order));
	CHECK(r, same, "page %zu is \"%s\", not \"%s\"", page, entry_text(e, is, sizeof(is)),
	      entry_text(&want, should, sizeof(should)));
}

/*
 * What another target says is held against the kernel where the module is there to ask: never more
 * than is true, and errors and orders the same.
 */
static void check_truth(struct run *r, size_t page, size_t n, const struct entry *said)
{
	struct entry *truth = calloc(n, sizeof(*truth));
	char is[48], should[48];
	struct target *kernel;
	bool same;
	size_t i;

	if (r->ops == &target_kernel || target_kernel.probe() ||
	    target_kernel.mirror(page_addr(r, page), n * r->page, &kernel)) {
		free(truth);
		return;
	}
	if (!target_kernel.range(kernel, page_addr(r, page), n * r->page, 0, NULL, truth, NULL,
				 NULL)) {
		for (i = 0; i < n; i++) {
			same = !(said[i].flags & (ENTRY_VALID | ENTRY_WRITE | ENTRY_ERROR) &
				 ~truth[i].flags) &&
			       (said[i].flags & ENTRY_ERROR) == (truth[i].flags & ENTRY_ERROR) &&
			       (!(said[i].flags & ENTRY_VALID) ||
				order_fits(r, said[i].order, truth[i].order));
			CHECK(r, same, "page %zu is \"%s\" where the kernel says \"%s\"", page + i,
			      entry_text(&said[i], is, sizeof(is)),
			      entry_text(&truth[i], should, sizeof(should)));
		}
	}
	target_kernel.unmirror(kernel);
	free(truth);
}

void expect_truth(struct run *r, size_t page, size_t n, unsigned int flags)
{
	struct entry *truth = calloc(n, sizeof(*truth));
	char is[48];
	struct target *kernel;
	size_t i;

	if (target_kernel.probe() ||
	    target_kernel.mirror(page_addr(r, page), n * r->page, &kernel)) {
		free(truth);
		return;
	}
	CHECK(r,
	      truth && !target_kernel.range(kernel, page_addr(r, page), n * r->page, 0, NULL, truth,
					    NULL, NULL),
	      "the kernel's snapshot failed");
	for (i = 0; i < n; i++)
		CHECK(r, (truth[i].flags & (ENTRY_VALID | ENTRY_WRITE)) == flags,
		      "to the kernel page %zu is \"%s\"", page + i,
		      entry_text(&truth[i], is, sizeof(is)));
	target_kernel.unmirror(kernel);
	free(truth);
}

void expect_entries(struct run *r, size_t page, size_t n, unsigned int flags, unsigned int order)
{
	int result;
	struct entry *entries = get_entries(r, page, n, 0, &result);
	size_t i;

	CHECK(r, !result, "snapshot of pages [%zu,%zu): %s", page, page + n, strerror(-result));
	check_truth(r, page, n, entries);
	for (i = 0; i < n; i++)
		check_entry(r, page + i, &entries[i], flags, order);
	note_entry(r, &entries[0]);
	free(entries);
}

void expect_fault(struct run *r, size_t page, size_t n, unsigned int request, int want,
		  unsigned int flags, unsigned int order)
{
	int result;
	struct entry *entries = get_entries(r, page, n, request, &result);
	size_t i;

	CHECK(r, result == want, "%s fault of pages [%zu,%zu) says %s, not %s",
	      request & REQ_WRITE ? "write" : "read", page, page + n,
	      result ? strerror(-result) : "success", want ? strerror(-want) : "success");
	for (i = 0; !want && i < n; i++) {
		check_entry(r, page + i, &entries[i], flags, order);
		CHECK(r, !(request & REQ_WRITE) || entries[i].flags & ENTRY_WRITE,
		      "page %zu is not writable after a write fault", page + i);
	}
	if (!want)
		note_entry(r, &entries[0]);
	free(entries);
}

void expect_read(struct run *r, size_t page, size_t n, uint8_t generation)
{
	expect_read_as(r, page, n, page, generation);
}

void expect_read_as(struct run *r, size_t page, size_t n, size_t as_page, uint8_t generation)
{
	char *buf = malloc(n * r->page);
	ssize_t wrong;
	int ret;

	CHECK(r, buf, "out of memory");
	memset(buf, 0xee, n * r->page);
	ret = r->ops->access(r->t, page_addr(r, page), buf, n * r->page, false, NULL);
	CHECK(r, !ret, "the device cannot read pages [%zu,%zu): %s", page, page + n,
	      strerror(-ret));
	wrong = pattern_find_wrong(buf, as_page, n, generation);
	CHECK(r, wrong < 0,
	      "the device read something else than generation %u at page %zd: %016llx", generation,
	      wrong - as_page + page, *(unsigned long long *)(buf + (wrong - as_page) * r->page));
	free(buf);
}

void expect_write(struct run *r, size_t page, size_t n, uint8_t generation)
{
	char *buf = malloc(n * r->page);
	ssize_t wrong;
	int ret;

	CHECK(r, buf, "out of memory");
	pattern_fill(buf, page, n, generation);
	ret = r->ops->access(r->t, page_addr(r, page), buf, n * r->page, true, NULL);
	CHECK(r, !ret, "the device cannot write pages [%zu,%zu): %s", page, page + n,
	      strerror(-ret));
	wrong = pattern_find_wrong(r->map + page * r->page, page, n, generation);
	CHECK(r, wrong < 0, "what the device wrote is not in the mapping at page %zd", wrong);
	free(buf);
}

static void expect_error(struct run *r, size_t page, size_t n, bool write, int error)
{
	char *buf = malloc(n * r->page);
	int ret;

	CHECK(r, buf, "out of memory");
	pattern_fill(buf, page, n, 0xbd);
	ret = r->ops->access(r->t, page_addr(r, page), buf, n * r->page, write, NULL);
	CHECK(r, ret == error, "the device's %s of pages [%zu,%zu) says %s, not %s",
	      write ? "write" : "read", page, page + n, ret ? strerror(-ret) : "success",
	      strerror(-error));
	free(buf);
}

void expect_read_error(struct run *r, size_t page, size_t n, int error)
{
	expect_error(r, page, n, false, error);
}

void expect_write_error(struct run *r, size_t page, size_t n, int error)
{
	expect_error(r, page, n, true, error);
}
