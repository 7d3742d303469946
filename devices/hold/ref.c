// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * HOLD_REF: vmsplice puts a reference to the page into a pipe, and tee reads its bytes without
 * removing it. The page is not pinned: a fork shares it with the child, and the program's next
 * write goes to a copy while the pipe keeps the original.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>
#include "internal.h"

static void ref_drop(struct hold_device *dev, struct hold_page *page)
{
	/* Only closing the pipe drops the page without copying it. */
	close(page->pipe[0]);
	close(page->pipe[1]);
	page->pipe[0] = page->pipe[1] = -1;
}

static int ref_take(struct hold_device *dev, struct hold_page *page, const struct hmm_vma *vma)
{
	struct iovec iov = { (void *)page->addr, HMM_PAGE_SIZE };
	ssize_t n;
	int ret;

	if (pipe2(page->pipe, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	n = vmsplice(page->pipe[1], &iov, 1, 0);
	if (n == (ssize_t)HMM_PAGE_SIZE)
		return 0;
	ret = n < 0 ? -errno : -EFAULT;
	ref_drop(dev, page);
	return ret;
}

static int ref_read(struct hold_device *dev, struct hold_page *page, unsigned int offset, void *buf,
		    unsigned int len)
{
	char bytes[HMM_PAGE_SIZE];
	ssize_t n = tee(page->pipe[0], dev->scratch[1], offset + len, 0);

	if (n != (ssize_t)(offset + len))
		return n < 0 ? -errno : -EIO;
	if (read(dev->scratch[0], bytes, offset + len) != n)
		return -EIO;
	__builtin_memcpy(buf, bytes + offset, len);
	return 0;
}

static int ref_write(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		     const void *buf, unsigned int len)
{
	return -EOPNOTSUPP;
}

const struct hold_method_ops hold_ref_ops = { ref_take, ref_drop, ref_read, ref_write };
