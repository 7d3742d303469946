// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include "copy.h"

/*
 * A block on its way: read, then written, piece by piece where the kernel does less than was asked
 * for.
 */
struct block {
	char *buf;
	uint64_t offset;
	uint32_t length;
	uint32_t done;
	bool writing;
	int slot; /* of the fixed buffer, negative for none */
};

struct engine {
	struct copy *copy;
	struct io_uring ring;
	struct hmm_mm *mm;
	struct uring_cache *cache;
	struct block *blocks;
	unsigned int busy;
	uint64_t next; /* offset */
};

double now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static char *map_block(const struct copy *copy)
{
	char *p =
		mmap(NULL, copy->block, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int update(struct engine *e, const struct block *b, void *base, size_t length)
{
	struct iovec iov = { base, length };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(&e->ring, (unsigned int)(b - e->blocks),
						       &iov, &tag, 1);

	return ret < 0 ? ret : 0;
}

/* A fixed buffer for the block, or none. */
static int take_slot(struct engine *e, struct block *b)
{
	int ret;

	b->slot = -EOPNOTSUPP;
	if (e->copy->mode == MODE_REGISTER) {
		ret = update(e, b, b->buf, e->copy->block);
		b->slot = ret ? ret : (int)(b - e->blocks);
		return ret;
	}
	if (e->copy->mode == MODE_CACHE) {
		b->slot = uring_cache_get(e->cache, b->buf, e->copy->block);
		if (b->slot < 0 && b->slot != -EOPNOTSUPP && b->slot != -EBUSY)
			return b->slot;
	}
	return 0;
}

static void give_slot(struct engine *e, struct block *b)
{
	if (b->slot >= 0 && e->copy->mode == MODE_REGISTER)
		update(e, b, NULL, 0);
	else if (b->slot >= 0)
		uring_cache_put(e->cache, b->slot);
	b->slot = -EOPNOTSUPP;
}

static void queue(struct engine *e, struct block *b)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);
	char *at = b->buf + b->done;
	unsigned int left = b->length - b->done;
	uint64_t offset = b->offset + b->done;
	int fd = b->writing ? e->copy->to : e->copy->from;

	if (b->slot >= 0 && b->writing)
		io_uring_prep_write_fixed(sqe, fd, at, left, offset, b->slot);
	else if (b->slot >= 0)
		io_uring_prep_read_fixed(sqe, fd, at, left, offset, b->slot);
	else if (b->writing)
		io_uring_prep_write(sqe, fd, at, left, offset);
	else
		io_uring_prep_read(sqe, fd, at, left, offset);
	io_uring_sqe_set_data(sqe, b);
	*(b->slot >= 0 ? &e->copy->fixed : &e->copy->plain) += 1;
}

/* The next block of the file, if there is one, through this block's buffer. */
static int begin(struct engine *e, struct block *b)
{
	uint64_t left = e->copy->size - e->next;
	int ret;

	if (!left)
		return 0;
	if (!b->buf)
		b->buf = map_block(e->copy);
	if (!b->buf)
		return -ENOMEM;
	ret = take_slot(e, b);
	if (ret)
		return ret;
	b->offset = e->next;
	b->length = (uint32_t)(left < e->copy->block ? left : e->copy->block);
	b->done = 0;
	b->writing = false;
	e->next += b->length;
	e->busy++;
	queue(e, b);
	return 0;
}

static int end(struct engine *e, struct block *b)
{
	e->copy->bytes += b->length;
	e->busy--;
	give_slot(e, b);
	if (e->copy->fresh) {
		munmap(b->buf, e->copy->block);
		b->buf = NULL;
	}
	return begin(e, b);
}

static int completed(struct engine *e, struct block *b, int res)
{
	if (res == -EINTR || res == -EAGAIN)
		res = 0;
	else if (res <= 0)
		return res ? res : -EIO; /* the file became shorter */
	b->done += (uint32_t)res;
	if (b->done == b->length) {
		if (b->writing || e->copy->to < 0)
			return end(e, b);
		b->writing = true;
		b->done = 0;
	}
	queue(e, b);
	return 0;
}

static int reap(struct engine *e)
{
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit_and_wait(&e->ring, 1);

	if (ret < 0 && ret != -EINTR)
		return ret;
	/* Blocks that were unmapped stay pinned until then, or until the next one is registered. */
	if (e->cache && e->copy->fresh)
		uring_cache_begin(e->cache);
	ret = 0;
	while (!ret && !io_uring_peek_cqe(&e->ring, &cqe)) {
		struct block *b = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&e->ring, cqe);
		ret = completed(e, b, res);
	}
	return ret;
}

static int open_engine(struct engine *e, struct copy *copy)
{
	int ret = io_uring_queue_init(copy->depth, &e->ring, 0);

	if (ret)
		return ret;
	e->copy = copy;
	e->blocks = calloc(copy->depth, sizeof(*e->blocks));
	if (!e->blocks)
		ret = -ENOMEM;
	if (!ret && copy->mode == MODE_REGISTER)
		ret = io_uring_register_buffers_sparse(&e->ring, copy->depth);
	if (!ret && copy->mode == MODE_CACHE)
		ret = hmm_mm_attach(NULL, &e->mm);
	if (!ret && copy->mode == MODE_CACHE)
		ret = uring_cache_create(e->mm, &e->ring, 2 * copy->depth, 0, &e->cache);
	return ret;
}

static void close_engine(struct engine *e)
{
	if (e->cache)
		uring_cache_get_stats(e->cache, &e->copy->cache);
	uring_cache_destroy(e->cache);
	hmm_mm_detach(e->mm);
	/* Ends what is still in flight, after which the buffers may go. */
	io_uring_queue_exit(&e->ring);
	for (unsigned int i = 0; e->blocks && i < e->copy->depth; i++)
		if (e->blocks[i].buf)
			munmap(e->blocks[i].buf, e->copy->block);
	free(e->blocks);
}

int copy_run(struct copy *copy)
{
	struct engine e = { 0 };
	double began = now_seconds();
	int ret = open_engine(&e, copy);

	if (ret && !e.copy)
		return ret;
	for (unsigned int i = 0; !ret && i < copy->depth; i++)
		ret = begin(&e, &e.blocks[i]);
	while (!ret && e.busy)
		ret = reap(&e);
	copy->seconds = now_seconds() - began;
	close_engine(&e);
	return ret;
}
