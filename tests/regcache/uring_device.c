// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pins as registered buffers of an io_uring: the kernel holds the pages that were mapped at
 * registration, and a fixed write to a pipe reads them, whatever is mapped now.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <liburing.h>
#include "storm.h"

static struct io_uring ring;
static int ends[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the queues of ring, and ends */

static int update(unsigned int slot, uint64_t addr, uint64_t length)
{
	struct iovec iov = { (void *)(uintptr_t)addr, length };
	__u64 tag = 0;
	int ret = io_uring_register_buffers_update_tag(&ring, slot, &iov, &tag, 1);

	return ret < 0 ? ret : 0;
}

static int pin(unsigned int slot, uint64_t addr, uint64_t length)
{
	return update(slot, addr, length);
}

static void unpin(unsigned int slot)
{
	update(slot, 0, 0);
}

static int read_word(unsigned int slot, uint64_t addr, uint64_t *word)
{
	struct io_uring_cqe *cqe;
	int ret;

	pthread_mutex_lock(&lock);
	io_uring_prep_write_fixed(io_uring_get_sqe(&ring), ends[1],
				  (void *)(uintptr_t)(addr + TAG_OFFSET), sizeof(*word), 0,
				  (int)slot);
	do
		ret = io_uring_submit_and_wait(&ring, 1);
	while (ret == -EINTR);
	if (ret >= 0)
		ret = io_uring_wait_cqe(&ring, &cqe);
	if (!ret) {
		ret = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
	}
	if (ret == sizeof(*word))
		ret = read(ends[0], word, sizeof(*word)) == sizeof(*word) ? 0 : -EIO;
	else if (ret >= 0)
		ret = -EIO;
	pthread_mutex_unlock(&lock);
	return ret;
}

const struct pin_device *uring_device(char *why, size_t size)
{
	static const struct pin_device device = { .pin = pin, .unpin = unpin, .read = read_word };
	int err = io_uring_queue_init(8, &ring, 0);

	if (!err)
		err = io_uring_register_buffers_sparse(&ring, PIN_SLOTS);
	if (!err && pipe2(ends, O_CLOEXEC))
		err = -errno;
	if (!err)
		return &device;
	snprintf(why, size, "io_uring: %s", strerror(-err));
	return NULL;
}
