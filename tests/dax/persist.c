// SPDX-License-Identifier: GPL-2.0
/*
 * dax-persist-test: what a device wrote and was told is durable survives the machine being killed.
 *
 *	dax-persist-test write KIND:FILE...
 *		writes records to each through the device, says "durable N" when all were persisted
 *	dax-persist-test check N KIND:FILE...
 *		looks for records 0 to N: all there, or, of the kinds that are broken, not all
 *
 * An emulator has no cache, so here is one: of a MAP_SYNC mapping the device's writes are held back
 * in memory of this process, and the library's write-back of cache lines (flush_range(), wrapped)
 * is what brings them to the media. What is not written back is lost. Elsewhere the page cache and
 * the journal are the kernel's own, and msync() is wrapped to be left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

#define PAGES 4096u
#define PAGE 4096u
#define LINE 64u
#define STRIDE 1237u /* odd: visits every page once, far from the one before */

static const struct kind {
	const char *name;
	bool map_sync;
	bool persist;
	bool broken; /* what persisting rests on is left out */
	bool lost;   /* not all may be there afterwards, or nothing has been tested */
} kinds[] = {
	{ "flush", true, true, false, false },    { "no-flush", true, true, true, true },
	{ "msync", false, true, false, false },   { "no-msync", false, true, true, true },
	{ "nothing", false, false, false, true },
};

struct file {
	const struct kind *kind;
	const char *path;
	struct target *t;
	char *map;
	char *cache; /* of a MAP_SYNC mapping: what the CPU's would hold */
};

static struct file files[8];
static size_t nfiles;
static bool broken;           /* for the call that is under way */
static unsigned long flushed; /* lines */

static int complain(const char *what)
{
	fprintf(stderr, "dax-persist-test: %s: %s\n", what, strerror(errno));
	return 1;
}

void __real_flush_range(uint64_t start, uint64_t end);
void __wrap_flush_range(uint64_t start, uint64_t end);
int __real_msync(void *addr, size_t len, int flags);
int __wrap_msync(void *addr, size_t len, int flags);

static void write_back(const struct file *f, uint64_t line)
{
	uint64_t at = line - (uintptr_t)f->map;

	if (f->cache && line >= (uintptr_t)f->map && at < (size_t)PAGES * PAGE)
		memcpy(f->map + at, f->cache + at, LINE);
}

void __wrap_flush_range(uint64_t start, uint64_t end)
{
	uint64_t line;
	size_t i;

	for (line = start & ~(uint64_t)(LINE - 1); line < end && !broken; line += LINE, flushed++)
		for (i = 0; i < nfiles; i++)
			write_back(&files[i], line);
	if (!broken)
		__real_flush_range(start, end);
}

int __wrap_msync(void *addr, size_t len, int flags)
{
	return broken ? 0 : __real_msync(addr, len, flags);
}

/* A record names itself in every word, so that a torn one shows. */
static void record_fill(uint64_t *page, uint64_t number)
{
	size_t i;

	for (i = 0; i < PAGE / sizeof(*page); i++)
		page[i] = (number + 1) * 0x9e3779b97f4a7c15 ^ i;
}

static size_t place_of(uint64_t number)
{
	return number * STRIDE % PAGES * (size_t)PAGE;
}

/* A file whose size is durable and that has no blocks, mapped and mirrored. */
static int create(struct file *f)
{
	size_t size = (size_t)PAGES * PAGE;
	int flags = f->kind->map_sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
	int fd = open(f->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, (off_t)size) || fsync(fd))
		return complain(f->path);
	f->map = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (f->map == MAP_FAILED)
		return complain("mmap");
	if (f->kind->map_sync)
		f->cache = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);
	if (f->cache == MAP_FAILED)
		return complain("mmap");
	errno = -target_libhmm.mirror((uintptr_t)f->map, size, &f->t);
	return errno ? complain("mirror") : 0;
}

/* The device's write, of which only the cache has the bytes where there is one. */
static int device_write(struct file *f, size_t at, void *record)
{
	static char before[PAGE];

	if (f->cache)
		memcpy(before, f->map + at, PAGE);
	errno = -target_libhmm.access(f->t, (uintptr_t)f->map + at, record, PAGE, true, NULL);
	if (errno)
		return complain("device write");
	if (f->cache) {
		memcpy(f->cache + at, f->map + at, PAGE);
		memcpy(f->map + at, before, PAGE);
	}
	return 0;
}

/* In two parts that meet anywhere, so that lines at their ends count. */
static int persist(struct file *f, size_t at, uint64_t number)
{
	uint64_t start = (uintptr_t)f->map + at;
	size_t first = 1 + number * 61 % (PAGE - 1);
	unsigned long before = flushed;

	broken = f->kind->broken;
	errno = -target_libhmm.persist(f->t, start, first);
	if (!errno)
		errno = -target_libhmm.persist(f->t, start + first, PAGE - first);
	broken = false;
	if (errno)
		return complain("persist");
	if (f->kind->map_sync && !f->kind->broken && flushed < before + PAGE / LINE) {
		fprintf(stderr, "dax-persist-test: %s: %lu lines of %u were written back\n",
			f->path, flushed - before, PAGE / LINE);
		return 1;
	}
	return 0;
}

static int write_records(void)
{
	static uint64_t record[PAGE / sizeof(uint64_t)];
	size_t i;
	uint64_t n;

	for (i = 0; i < nfiles; i++)
		if (create(&files[i]))
			return 1;
	sync();
	for (n = 0; n < PAGES; n++) {
		record_fill(record, n);
		for (i = 0; i < nfiles; i++)
			if (device_write(&files[i], place_of(n), record) ||
			    (files[i].kind->persist && persist(&files[i], place_of(n), n)))
				return 1;
		printf("durable %llu.\n", (unsigned long long)n);
	}
	pause(); /* to be killed */
	return 0;
}

/* 0 as it must be; 1 not */
static int check(const struct file *f, uint64_t last)
{
	static uint64_t record[PAGE / sizeof(uint64_t)], want[PAGE / sizeof(uint64_t)];
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	uint64_t i, lost = 0;
	bool well;

	if (fd < 0)
		return complain(f->path);
	for (i = 0; i <= last && i < PAGES; i++) {
		record_fill(want, i);
		if (pread(fd, record, PAGE, place_of(i)) != PAGE)
			return complain("pread");
		lost += !!memcmp(record, want, PAGE);
	}
	close(fd);
	well = !lost != f->kind->lost;
	printf("%s, %s: %llu of %llu records are lost%s\n", f->path, f->kind->name,
	       (unsigned long long)lost, (unsigned long long)i,
	       well            ? ""
	       : f->kind->lost ? ": this control must lose some, the test proves nothing"
			       : ", and were said to be durable");
	return !well;
}

static const char *add_file(char *arg)
{
	char *colon = strchr(arg, ':');
	size_t i;

	if (!colon || nfiles == sizeof(files) / sizeof(files[0]))
		return arg;
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strlen(kinds[i].name) == (size_t)(colon - arg) &&
		    !strncmp(kinds[i].name, arg, colon - arg)) {
			files[nfiles++] = (struct file){ .kind = &kinds[i], .path = colon + 1 };
			return NULL;
		}
	return arg;
}

int main(int argc, char **argv)
{
	bool checks = argc > 2 && !strcmp(argv[1], "check");
	int i = checks ? 3 : 2, bad = 0;
	const char *why;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; i < argc; i++) {
		if (add_file(argv[i])) {
			fprintf(stderr, "dax-persist-test: no KIND:FILE: %s\n", argv[i]);
			return 2;
		}
	}
	if (!nfiles || (!checks && strcmp(argv[1], "write"))) {
		fprintf(stderr,
			"usage: dax-persist-test write KIND:FILE..., or check N "
			"KIND:FILE...\nKIND is flush, no-flush, msync, no-msync or nothing\n");
		return 2;
	}
	for (i = 0; checks && i < (int)nfiles; i++)
		bad |= check(&files[i], strtoull(argv[2], NULL, 10));
	if (checks)
		return bad;
	why = target_libhmm.probe();
	if (why) {
		fprintf(stderr, "dax-persist-test: %s\n", why);
		return 77;
	}
	return write_records();
}
