// SPDX-License-Identifier: GPL-2.0
/* file: what is mapped, where, and what it holds. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

/*
 * Words of a page: its number and generation, so that a page in the wrong place shows as well.
 * Generation 0 is a hole.
 */
static uint64_t pattern_word(size_t page, uint8_t generation)
{
	return generation ? ((uint64_t)generation << 56) | (page + 1) : 0;
}

void pattern_fill(void *buf, size_t first_page, size_t npages, uint8_t generation)
{
	uint64_t *word = buf;
	size_t i, j;

	for (i = 0; i < npages; i++)
		for (j = 0; j < 4096 / sizeof(*word); j++)
			*word++ = pattern_word(first_page + i, generation);
}

ssize_t pattern_find_wrong(const void *buf, size_t first_page, size_t npages, uint8_t generation)
{
	const uint64_t *word = buf;
	size_t i, j;

	for (i = 0; i < npages; i++)
		for (j = 0; j < 4096 / sizeof(*word); j++)
			if (*word++ != pattern_word(first_page + i, generation))
				return first_page + i;
	return -1;
}

/*
 * Room that nothing else will take, mapped so that the file's PMDs lie on PMDs of the address
 * space, or just miss them. The kernel fills the highest hole that is large enough: one above the
 * room keeps small mappings out of holes that cases make in it.
 */
static char *reserve(struct run *r, size_t size)
{
	size_t above = 256 * r->pmd;
	char *decoy =
		mmap(NULL, above, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *room = mmap(NULL, size + 4 * r->pmd, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(r, room != MAP_FAILED && decoy != MAP_FAILED, "no address space: %s",
	      strerror(errno));
	munmap(decoy, above);
	room = (char *)(((uintptr_t)room + r->pmd - 1) & ~(r->pmd - 1)) + r->pmd;
	return r->order ? room : room + r->page;
}

void *file_map(struct run *r, int fd, size_t size, size_t offset, int prot, int flags)
{
	char *room = reserve(r, size);
	void *map = mmap(room, size, prot, flags | MAP_FIXED, fd, offset);

	CHECK(r, map != MAP_FAILED, "mmap: %s", strerror(errno));
	return map;
}

/*
 * Does every PMD of the file lie in one extent and on a PMD of the device? Where that cannot be
 * known, yes.
 */
static bool laid_out_for_pmds(struct run *r, size_t size)
{
	struct fiemap *map = calloc(1, sizeof(*map) + 64 * sizeof(map->fm_extents[0]));
	bool fits = true;
	uint32_t i;

	CHECK(r, map, "out of memory");
	map->fm_length = size;
	map->fm_extent_count = 64;
	if (!ioctl(r->fd, FS_IOC_FIEMAP, map))
		for (i = 0; i < map->fm_mapped_extents; i++)
			fits = fits &&
			       !((map->fm_extents[i].fe_physical | map->fm_extents[i].fe_logical) &
				 (r->pmd - 1));
	free(map);
	return fits;
}

/*
 * Blocks that a case before this one freed come back late: until then filesystems may have to take
 * odd ones.
 */
static void allocate(struct run *r, size_t size)
{
	struct timespec pause = { 0, 100000000 };
	int tries;

	for (tries = 0; tries < 50; tries++) {
		CHECK(r, !fallocate(r->fd, 0, 0, size) || errno == EOPNOTSUPP, "fallocate: %s",
		      strerror(errno));
		if (!r->place->dax || !r->order || laid_out_for_pmds(r, size))
			return;
		CHECK(r, !ftruncate(r->fd, 0) && !syncfs(r->fd), "ftruncate: %s", strerror(errno));
		nanosleep(&pause, NULL);
	}
	CHECK(r, false, "%s has no room on PMD boundaries for a file of %zu bytes", r->place->path,
	      size);
}

static void fill(struct run *r, size_t size)
{
	const size_t chunk = 256 * 4096;
	char *buf = malloc(chunk);
	size_t done, n;

	CHECK(r, buf, "out of memory");
	/* Blocks first, so that they are laid out for PMDs. */
	allocate(r, size);
	for (done = 0; done < size; done += n) {
		n = size - done < chunk ? size - done : chunk;
		pattern_fill(buf, done / r->page, (n + r->page - 1) / r->page, 1);
		CHECK(r, pwrite(r->fd, buf, n, done) == (ssize_t)n, "pwrite: %s", strerror(errno));
	}
	free(buf);
}

void file_create(struct run *r, size_t size, unsigned int flags)
{
	int prot = flags & FILE_READ_ONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	int kind = MAP_SHARED;

	if (flags & FILE_PRIVATE)
		kind = MAP_PRIVATE;
	if (flags & FILE_SYNC)
		kind = MAP_SHARED_VALIDATE | MAP_SYNC;
	r->fd = open(r->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	CHECK(r, r->fd >= 0, "%s: %s", r->path, strerror(errno));
	r->size = size;
	if (flags & FILE_HOLE)
		CHECK(r, !ftruncate(r->fd, size), "ftruncate: %s", strerror(errno));
	else
		fill(r, size);
	r->map = file_map(r, r->fd, size, 0, prot, kind);
}

void expect_file_at(struct run *r, int fd, size_t page, size_t n, uint8_t generation)
{
	char *buf = malloc(n * r->page);
	ssize_t wrong;

	CHECK(r, buf, "out of memory");
	CHECK(r, pread(fd, buf, n * r->page, page * r->page) == (ssize_t)(n * r->page),
	      "pread: short or %s", strerror(errno));
	wrong = pattern_find_wrong(buf, page, n, generation);
	CHECK(r, wrong < 0, "the file does not hold generation %u at page %zd", generation, wrong);
	free(buf);
}

void expect_file(struct run *r, size_t page, size_t n, uint8_t generation)
{
	expect_file_at(r, r->fd, page, n, generation);
}
