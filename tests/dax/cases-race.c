// SPDX-License-Identifier: GPL-2.0
/*
 * cases: device jobs while other threads change the file. What is checked holds at every instant: a
 * job returns 0 or -EFAULT, what it reads is this file's page in this place or zeroes, and what it
 * writes is never found in another file, which takes the blocks that were freed (the bait).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"

#define BAIT 0xbau
#define MAX_DEVICES 2

struct race {
	struct run *r;
	act_fn change; /* one cycle of the hostile thread */
	_Atomic bool stop;
	_Atomic unsigned long cycles, jobs, refused;
	_Atomic bool failed;
	char why[120];
	struct target *devices[MAX_DEVICES];
};

static struct race race;

static void race_fail(const char *fmt, size_t page, unsigned long value)
{
	if (!atomic_exchange(&race.failed, true))
		snprintf(race.why, sizeof(race.why), fmt, page, value);
	race.stop = true;
}

/*
 * Is that this page's word, or a part of it? While a thread fills a page with bytes a reader sees
 * some of them and some zeroes.
 */
static bool of_page(uint64_t word, size_t page)
{
	uint64_t want = page + 1;
	unsigned int shift;

	for (shift = 0; shift < 56; shift += 8)
		if ((word >> shift & 0xff) && (word >> shift & 0xff) != (want >> shift & 0xff))
			return false;
	return true;
}

/* Every word of a page read is 0 or says this page. */
static void check_page(const uint64_t *words, size_t page)
{
	size_t i;

	for (i = 0; i < 4096 / sizeof(*words); i++) {
		if (!of_page(words[i], page)) {
			race_fail(
				"the device read a page that is not the file's: page %zu held %lx",
				page, words[i]);
			return;
		}
	}
}

static void one_job(struct target *t, unsigned int *seed, uint64_t *buf)
{
	struct run *r = race.r;
	size_t pages = r->size / r->page, page = rand_r(seed) % pages, n = 1 + rand_r(seed) % 8, i;
	bool write = rand_r(seed) & 1;
	int ret;

	n = page + n > pages ? pages - page : n;
	if (write)
		pattern_fill(buf, page, n, 3);
	ret = r->ops->access(t, (uintptr_t)r->map + page * r->page, buf, n * r->page, write, NULL);
	race.jobs++;
	if (ret == -EFAULT || ret == -EPERM || ret == -EBUSY || ret == -ESTALE)
		race.refused++;
	else if (ret)
		race_fail("a job at page %zu returned %ld", page, ret);
	else
		for (i = 0; !write && i < n; i++)
			check_page(buf + i * 512, page + i);
}

static void *device_thread(void *arg)
{
	uint64_t *buf = malloc(8 * 4096);
	unsigned int seed = 1 + (uintptr_t)arg % 1000;

	while (buf && !race.stop)
		one_job(arg, &seed, buf);
	free(buf);
	return NULL;
}

static void *hostile_thread(void *arg)
{
	struct run *r = race.r;
	int ret;

	while (!race.stop) {
		ret = act(r, race.change);
		if (ret)
			race_fail("the hostile operation failed: %zu %ld", 0, ret);
		race.cycles++;
	}
	return NULL;
}

static int fill_bait(struct actor *a, size_t len)
{
	char path[400], buf[4096];
	size_t at;
	int fd;

	snprintf(path, sizeof(path), "%s/bait", a->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	memset(buf, BAIT, sizeof(buf));
	for (at = 0; at < len; at += sizeof(buf))
		if (pwrite(fd, buf, sizeof(buf), at) != sizeof(buf))
			break;
	return fd;
}

/*
 * Takes the freed blocks for another file, gives stale jobs time to hit it, and looks for their
 * traces.
 */
static int bait(struct actor *a, size_t len)
{
	struct timespec pause = { 0, 200000 };
	unsigned char buf[4096];
	int fd = fill_bait(a, len), ret = 0;
	size_t at, i;

	if (fd < 0)
		return fd;
	nanosleep(&pause, NULL);
	for (at = 0; at < len && !ret; at += sizeof(buf)) {
		if (pread(fd, buf, sizeof(buf), at) != sizeof(buf))
			break;
		for (i = 0; i < sizeof(buf) && !ret; i++)
			ret = buf[i] == BAIT ? 0 : -EUCLEAN;
	}
	if (ftruncate(fd, 0))
		ret = -errno;
	close(fd);
	return ret;
}

static int refill(struct actor *a, size_t offset, size_t len)
{
	char buf[4096];
	size_t at;

	for (at = offset; at < offset + len; at += sizeof(buf)) {
		pattern_fill(buf, at / 4096, 1, 2);
		if (pwrite(a->fd, buf, sizeof(buf), at) != sizeof(buf))
			return -errno;
	}
	return 0;
}

#define TAIL (32 * 4096) /* bytes of a file of at least 128 pages */

static int cycle_truncate(struct actor *a)
{
	int ret;

	if (ftruncate(a->fd, a->size - TAIL))
		return -errno;
	ret = bait(a, TAIL);
	if (!ret && ftruncate(a->fd, a->size))
		ret = -errno;
	return ret ? ret : refill(a, a->size - TAIL, TAIL);
}

static int cycle_punch(struct actor *a)
{
	int ret;

	if (fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, TAIL, TAIL))
		return -errno;
	ret = bait(a, TAIL);
	return ret ? ret : refill(a, TAIL, TAIL / 2); /* the other half is filled by the device */
}

static int cycle_zero(struct actor *a)
{
	if (fallocate(a->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, TAIL, TAIL))
		return -errno;
	return refill(a, TAIL, TAIL / 2);
}

static int cycle_sync(struct actor *a)
{
	pattern_fill(a->map, 0, 4, 2);
	return fsync(a->fd) ? -errno : 0;
}

static int cycle_remap(struct actor *a)
{
	int ret = madvise(a->map, a->size / 2, MADV_DONTNEED) ? -errno : 0;

	if (!ret && mprotect(a->map, TAIL, PROT_READ))
		ret = -errno;
	if (!ret && mprotect(a->map, TAIL, PROT_READ | PROT_WRITE))
		ret = -errno;
	return ret;
}

static void run_race(struct run *r, act_fn change, size_t ndevices)
{
	struct timespec pause = { 0, 20000000 };
	uint64_t enough = target_clock() + (r->longer ? 60000 : 300) * 1000000ull;
	uint64_t end = target_clock() + 50 * 1000000000ull;
	pthread_t threads[MAX_DEVICES + 1];
	size_t i;

	mirror_written(r, 2 * r->unit);
	race = (struct race){ .r = r, .change = change, .devices = { r->t } };
	for (i = 1; i < ndevices; i++)
		CHECK(r, !r->ops->mirror((uintptr_t)r->map, r->size, &race.devices[i]),
		      "a second mirror of the mapping");
	CHECK(r, !pthread_create(&threads[0], NULL, hostile_thread, NULL), "no thread");
	for (i = 0; i < ndevices; i++)
		CHECK(r, !pthread_create(&threads[i + 1], NULL, device_thread, race.devices[i]),
		      "no thread");
	/* A cycle and a job at least, however slow the machine. */
	while (!race.stop && (target_clock() < enough ||
			      ((!race.cycles || race.jobs < 10 || race.jobs <= race.refused) &&
			       target_clock() < end)))
		nanosleep(&pause, NULL);
	race.stop = true;
	for (i = 0; i <= ndevices; i++)
		pthread_join(threads[i], NULL);
	CHECK(r, !race.failed, "%s", race.why);
	CHECK(r, race.cycles && race.jobs > race.refused,
	      "%lu cycles, %lu jobs, %lu of them refused: nothing was tested", race.cycles,
	      race.jobs, race.refused);
	snprintf(r->out->entries, sizeof(r->out->entries), "%lu cycles, %lu jobs, %lu refused",
		 race.cycles, race.jobs, race.refused);
	for (i = 1; i < ndevices; i++)
		r->ops->unmirror(race.devices[i]);
}

static void case_race_truncate(struct run *r)
{
	run_race(r, cycle_truncate, 1);
}

static void case_race_punch(struct run *r)
{
	run_race(r, cycle_punch, 1);
}

static void case_race_zero(struct run *r)
{
	run_race(r, cycle_zero, 1);
}

static void case_race_sync(struct run *r)
{
	run_race(r, cycle_sync, 1);
}

static void case_race_remap(struct run *r)
{
	run_race(r, cycle_remap, 1);
}

static void case_race_two_devices(struct run *r)
{
	run_race(r, cycle_punch, 2);
}

#define JOBS                                                                                       \
	"jobs read the file or zeroes, or get -EFAULT; no write lands in a file that took the "    \
	"freed blocks"

static const struct dax_case cases[] = {
	{ "race_truncate", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR, JOBS,
	  "at every instant the file's", "CLEAR in each cycle", case_race_truncate },
	{ "race_punch", ON_DAX | ON_CACHE | BY_ORDER | BY_ACTOR, JOBS,
	  "at every instant the file's", "CLEAR in each cycle", case_race_punch },
	{ "race_zero", ON_DAX | BY_ORDER, JOBS, "at every instant the file's",
	  "CLEAR in each cycle", case_race_zero },
	{ "race_sync", ON_DAX | BY_ORDER | BY_ACTOR, "no device write is lost to a writeback",
	  "at every instant the file's", "PROTECTION_PAGE in each cycle", case_race_sync },
	{ "race_remap", ON_DAX | BY_ORDER,
	  "jobs get the file's pages or are refused while the mapping changes",
	  "at every instant the file's", "CLEAR and PROTECTION_VMA in each cycle",
	  case_race_remap },
	{ "race_two_devices", ON_DAX | BY_ORDER, JOBS, "at every instant the file's, in both",
	  "CLEAR in each cycle, in both", case_race_two_devices },
};

CASE_LIST(cases_race, cases);
