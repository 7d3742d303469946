// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* How io_uring registers memory, for a cache of libhmm's. A registration is a slot of the ring. */
#include <errno.h>
#include "internal.h"

static int update(struct uring_cache *c, unsigned int slot, uint64_t start, uint64_t bytes)
{
	struct iovec iov = { (void *)(uintptr_t)start, bytes };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(c->ring, slot, &iov, &tag, 1);

	return ret < 0 ? ret : 0;
}

/* A free slot becomes this registration's. -1: there is none. */
static int take_slot(struct uring_cache *c, struct hmm_registration *r)
{
	int slot = -1;

	pthread_mutex_lock(&c->lock);
	while (c->hint < c->slots && c->of[c->hint])
		c->hint++;
	if (c->hint < c->slots) {
		slot = (int)c->hint;
		c->of[slot] = r;
		c->registered++;
	}
	pthread_mutex_unlock(&c->lock);
	return slot;
}

static void give_slot(struct uring_cache *c, unsigned int slot)
{
	pthread_mutex_lock(&c->lock);
	c->of[slot] = NULL;
	c->registered--;
	if (slot < c->hint)
		c->hint = slot;
	pthread_mutex_unlock(&c->lock);
}

static int reg(struct hmm_registration *r, void *priv)
{
	struct uring_cache *c = priv;
	int slot = take_slot(c, r);
	int ret;

	if (slot < 0)
		return -ENOBUFS;
	ret = update(c, (unsigned int)slot, r->start, r->length);
	if (ret) {
		give_slot(c, (unsigned int)slot);
		/* That is how io_uring says that it may not pin this memory. */
		return ret == -EFAULT ? -EOPNOTSUPP : ret;
	}
	r->device = (uint64_t)slot;
	pthread_mutex_lock(&c->lock);
	c->made++;
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static void dereg(struct hmm_registration *r, void *priv)
{
	struct uring_cache *c = priv;

	update(c, (unsigned int)r->device, 0, 0);
	give_slot(c, (unsigned int)r->device);
}

const struct hmm_regcache_ops buffer_ops = {
	.size = sizeof(buffer_ops),
	.reg = reg,
	.dereg = dereg,
};
