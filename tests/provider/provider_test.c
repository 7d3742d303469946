// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The provider seam, with another provider: changes of the address space are written into a pipe,
 * by the test. It sees everything and registers nothing.
 */
#include "common/mirror.h"
#include "common/stands.h"

#include "base/child.h"
#include "provider/provider.h"

#include <sys/ioctl.h>

static int announce = -1; /* the end of the pipe that changes are written to */

static int pipe_in_flight(const struct provider *p)
{
	int bytes = 0;

	return ioctl(p->fd.fd, FIONREAD, &bytes) ? -errno : bytes > 0;
}

static int pipe_read_raw(int fd, struct provider_event *events, int max)
{
	ssize_t n = read(fd, events, (size_t)max * sizeof(*events));

	return n < 0 ? (errno == EAGAIN ? 0 : -errno) : (int)((size_t)n / sizeof(*events));
}

static int pipe_read(struct provider *p, struct provider_event *events, int max)
{
	return pipe_read_raw(p->fd.fd, events, max);
}

static void pipe_close(struct provider *p)
{
	ownfd_close(&p->fd);
	close(announce);
	announce = -1;
}

static const struct provider_ops pipe_ops = {
	.name = "pipe",
	.in_flight = pipe_in_flight,
	.read = pipe_read,
	.read_raw = pipe_read_raw,
	.close = pipe_close,
};

/* Linked in the place of the library's. */
int __wrap_provider_uffd_open(const struct hmm_mm_options *options, struct provider *p);
int __wrap_provider_uffd_open(const struct hmm_mm_options *options, struct provider *p)
{
	int fds[2];

	(void)options;
	memset(p, 0, sizeof(*p));
	p->ops = &pipe_ops;
	p->spare = p->model = OWNFD_NONE;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	announce = fds[1];
	return ownfd_take(&p->fd, fds[0]);
}

static void tell(enum provider_event_type type, const void *p, size_t pages)
{
	const struct provider_event e = { .type = type,
					  .start = at(p),
					  .end = at(p) + pages * PAGE };

	assert_int_equal(write(announce, &e, sizeof(e)), sizeof(e));
}

static bool is_valid(struct mirror *m)
{
	return !hmm_interval_stale(m->ni, m->range.notifier_seq);
}

static void events_come_in_and_validity_goes_out(void **state)
{
	char *p = map_anon(4 * PAGE, RW);
	struct mirror m;

	(void)state;
	mirror_open(&m, 0);
	memset(p, 1, 4 * PAGE);
	assert_int_equal(fault(&m, p, 4, HMM_PFN_REQ_FAULT), 0);
	assert_true(m.pfns[0] & HMM_PFN_VALID);
	assert_false(m.pfns[0] & HMM_PFN_TRANSIENT);
	assert_true(is_valid(&m));
	tell(PROVIDER_UNMAP, p + PAGE, 1);
	assert_false(is_valid(&m));
	assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
	assert_false(is_valid(&m));
	assert_int_equal(fault(&m, p, 4, HMM_PFN_REQ_FAULT), 0);
	assert_true(stands(m.ni, m.range.notifier_seq));
	mirror_close(&m);
	munmap(p, 4 * PAGE);
}

static void nothing_is_registered(void **state)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	char *p = map_anon(2 * PAGE, RW);
	struct mirror m;

	(void)state;
	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 2, HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE), 0);
	assert_int_equal(hmm_mm_get_stats(m.mm, &stats), 0);
	assert_int_equal(stats.registrations, 0);
	assert_int_equal(stats.map_entries, 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA | HMM_CHECK_PRESENT), 0);
	munmap(p, 2 * PAGE);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_VMA), -ESTALE);
	mirror_close(&m);
}

static void files_are_cached_too(void **state)
{
	char path[32];
	int fd = make_file(path, 2 * PAGE);
	char *p = map_fd(2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct mirror m;

	(void)state;
	unlink(path);
	mirror_open(&m, 0);
	assert_int_equal(fault(&m, p, 2, HMM_PFN_REQ_FAULT), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_FILE), -ESTALE);
	mirror_close(&m);
	munmap(p, 2 * PAGE);
	close(fd);
}

/* Announced as UFFD_EVENT_REMOVE is: over when it is proven, not before. */
static void a_discard_of_this_provider_is_pending_as_any(void **state)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	char *p = map_anon(PAGE, RW);
	struct mirror m;

	(void)state;
	mirror_open(&m, 0);
	p[0] = 1;
	assert_int_equal(fault(&m, p, 1, HMM_PFN_REQ_FAULT), 0);
	tell(PROVIDER_REMOVE, p, 1);
	assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
	assert_false(is_valid(&m));
	assert_int_equal(hmm_mm_get_stats(m.mm, &stats), 0);
	assert_int_equal(stats.discards_pending, 1);
	assert_int_equal(stats.events[HMM_EVENT_CLEAR], 1);
	mirror_close(&m);
	munmap(p, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_come_in_and_validity_goes_out),
		cmocka_unit_test(nothing_is_registered),
		cmocka_unit_test(files_are_cached_too),
		cmocka_unit_test(a_discard_of_this_provider_is_pending_as_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
