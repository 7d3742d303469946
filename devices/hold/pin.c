// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * HOLD_PIN: a registered buffer of io_uring pins the page that is mapped now. Bytes are copied
 * through a pipe, which io_uring serves in the submitting thread, without worker threads.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "internal.h"

int hold_pin_init(struct hold_device *dev)
{
	int ret;

	dev->pin_used = calloc(dev->max_pins ? dev->max_pins : 1, 1);
	if (!dev->pin_used)
		return -ENOMEM;
	ret = io_uring_queue_init(4, &dev->ring, 0);
	if (ret)
		/* io_uring is denied or too old: hold_device_pins() says that there are no pins */
		return 0;
	ret = io_uring_register_buffers_sparse(&dev->ring, dev->max_pins);
	if (ret) {
		io_uring_queue_exit(&dev->ring);
		return 0;
	}
	dev->pins = true;
	return 0;
}

void hold_pin_exit(struct hold_device *dev)
{
	if (dev->pins)
		io_uring_queue_exit(&dev->ring);
	dev->pins = false;
	free(dev->pin_used);
}

static int pin_update(struct hold_device *dev, unsigned int slot, void *base, size_t len)
{
	struct iovec iov = { base, len };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(&dev->ring, slot, &iov, &tag, 1);

	return ret < 0 ? ret : 0;
}

static int pin_take(struct hold_device *dev, struct hold_page *page, const struct hmm_vma *vma)
{
	unsigned int slot;
	int ret;

	if (!dev->pins)
		return -EOPNOTSUPP;
	for (slot = 0; slot < dev->max_pins && dev->pin_used[slot]; slot++)
		;
	if (slot == dev->max_pins)
		return -ENOSPC;
	ret = pin_update(dev, slot, (void *)page->addr, HMM_PAGE_SIZE);
	if (ret)
		return ret;
	dev->pin_used[slot] = 1;
	page->slot = slot;
	return 0;
}

static void pin_drop(struct hold_device *dev, struct hold_page *page)
{
	pin_update(dev, page->slot, NULL, 0);
	dev->pin_used[page->slot] = 0;
}

static int pin_io(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		  unsigned int len, bool from_memory)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&dev->ring);
	struct io_uring_cqe *cqe;
	void *addr = (void *)(page->addr + offset);
	int ret;

	if (!sqe)
		return -EBUSY;
	if (from_memory)
		io_uring_prep_write_fixed(sqe, dev->scratch[1], addr, len, (__u64)-1,
					  (int)page->slot);
	else
		io_uring_prep_read_fixed(sqe, dev->scratch[0], addr, len, (__u64)-1,
					 (int)page->slot);
	ret = io_uring_submit_and_wait(&dev->ring, 1);
	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe(&dev->ring, &cqe);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&dev->ring, cqe);
	return ret == (int)len ? 0 : (ret < 0 ? ret : -EIO);
}

static int pin_read(struct hold_device *dev, struct hold_page *page, unsigned int offset, void *buf,
		    unsigned int len)
{
	int ret = pin_io(dev, page, offset, len, true);

	if (ret)
		return ret;
	return read(dev->scratch[0], buf, len) == (ssize_t)len ? 0 : -EIO;
}

static int pin_write(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		     const void *buf, unsigned int len)
{
	if (write(dev->scratch[1], buf, len) != (ssize_t)len)
		return -EIO;
	return pin_io(dev, page, offset, len, false);
}

const struct hold_method_ops hold_pin_ops = { pin_take, pin_drop, pin_read, pin_write };
