// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Pages that move from one address to another, and what a touch of a missing page waits for. */
#include "provider/provider.h"
#include "kernel/abi/uffd.h"
#include "base/mutation.h"

#include <errno.h>
#include <sys/ioctl.h>

/* What an ioctl has done before it met an error counts. */
static int64_t outcome(int ret, int64_t done)
{
	if (!ret)
		return done;
	return done > 0 ? done : -errno;
}

/*
 * Since Linux 6.9 the kernel looks the mapping up before it looks once more whether an event is
 * unread. If the program moves or unmaps the mapping at that instant it says ENOENT, as if nothing
 * had ever been there. The event is unread by then, so it says EAGAIN when it is asked again.
 */
static int ask(int fd, unsigned long request, void *arg)
{
	const int ret = ioctl(fd, request, arg);

	return ret && errno == ENOENT && !hmm_mutation(HMM_MUTATION_ASK_ONCE)
		       ? ioctl(fd, request, arg)
		       : ret;
}

static int reg(const struct provider *p, uint64_t start, uint64_t end, uint64_t mode)
{
	struct uffdio_register r = {
		.range = { start, end - start },
		.mode = mode | UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(p->fd.fd, UFFDIO_REGISTER, &r) ? -errno : 0;
}

static int trap(const struct provider *p, uint64_t start, uint64_t end)
{
	return reg(p, start, end, UFFDIO_REGISTER_MODE_MISSING);
}

static int trap_shared(const struct provider *p, uint64_t start, uint64_t end)
{
	return reg(p, start, end, UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR);
}

static int64_t show(const struct provider *p, uint64_t start, uint64_t bytes)
{
	struct uffdio_continue c = { .range = { start, bytes } };
	const int ret = ask(p->fd.fd, UFFDIO_CONTINUE, &c);

	return outcome(ret, c.mapped);
}

static int64_t move(const struct provider *p, uint64_t to, uint64_t from, uint64_t bytes)
{
	struct uffdio_move m = { .dst = to, .src = from, .len = bytes };
	const int ret = ask(p->fd.fd, UFFDIO_MOVE, &m);

	return outcome(ret, m.move);
}

static int64_t copy_into(int fd, uint64_t to, uint64_t from, uint64_t bytes)
{
	struct uffdio_copy c = { .dst = to, .src = from, .len = bytes };
	const int ret = ask(fd, UFFDIO_COPY, &c);

	return outcome(ret, c.copy);
}

static int64_t copy(const struct provider *p, uint64_t to, uint64_t from, uint64_t bytes)
{
	return copy_into(p->fd.fd, to, from, bytes);
}

static int64_t zero(const struct provider *p, uint64_t start, uint64_t bytes)
{
	struct uffdio_zeropage z = { .range = { start, bytes } };
	const int ret = ask(p->fd.fd, UFFDIO_ZEROPAGE, &z);

	return outcome(ret, z.zeropage);
}

static void wake(const struct provider *p, uint64_t start, uint64_t bytes)
{
	struct uffdio_range r = { start, bytes };

	ioctl(p->fd.fd, UFFDIO_WAKE, &r);
}

static int64_t poison(int fd, uint64_t start, uint64_t bytes)
{
	struct uffdio_poison p = { .range = { start, bytes } };
	const int ret = ask(fd, UFFDIO_POISON, &p);

	return outcome(ret, p.updated);
}

static int unmark(const struct provider *p, uint64_t start, uint64_t bytes)
{
	struct uffdio_writeprotect w = { .range = { start, bytes } };

	return ioctl(p->fd.fd, UFFDIO_WRITEPROTECT, &w) ? -errno : 0;
}

const struct provider_move provider_uffd_move = {
	.trap = trap,
	.trap_shared = trap_shared,
	.show = show,
	.move = move,
	.copy = copy,
	.zero = zero,
	.wake = wake,
	.copy_into = copy_into,
	.poison = poison,
	.unmark = unmark,
};
