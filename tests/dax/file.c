// SPDX-License-Identifier: GPL-2.0
/* file: what is mapped, where, and what it holds. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

/* Words of a page: its number and generation, so that a page in the wrong place shows as well. Generation 0 is a hole. */
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

/* Room that nothing else will take, mapped so that the file's PMDs lie on PMDs of the address space, or just miss them. */
static char *reserve(struct run *r, size_t size)
{
	char *room = mmap(NULL, size + 4 * r->pmd, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	CHECK(r, room != MAP_FAILED, "no address space: %s", strerror(errno));
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

static void fill(struct run *r, size_t size)
{
	const size_t chunk = 256 * 4096;
	char *buf = malloc(chunk);
	size_t done, n;

	CHECK(r, buf, "out of memory");
	/* Blocks first, so that they are laid out for PMDs. */
	CHECK(r, !fallocate(r->fd, 0, 0, size) || errno == EOPNOTSUPP, "fallocate: %s", strerror(errno));
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
	CHECK(r, pread(fd, buf, n * r->page, page * r->page) == (ssize_t)(n * r->page), "pread: short or %s", strerror(errno));
	wrong = pattern_find_wrong(buf, page, n, generation);
	CHECK(r, wrong < 0, "the file does not hold generation %u at page %zd", generation, wrong);
	free(buf);
}

void expect_file(struct run *r, size_t page, size_t n, uint8_t generation)
{
	expect_file_at(r, r->fd, page, n, generation);
}
