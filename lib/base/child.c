// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/child.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <stdatomic.h>
#include <unistd.h>

/* ---- the list -------------------------------------------------------------------------------- */

/*
 * A child may inherit any state of this list. A place with number 0 is free. A thread that takes a
 * place writes device and inode first, then the number, so that a child can tell the file from
 * another with that number.
 */
struct place {
	_Atomic uint32_t number; /* descriptor + 1, or TAKEN */
	_Atomic uint64_t dev;
	_Atomic uint64_t ino;
};

#define TAKEN UINT32_MAX
#define PLACES 340 /* two pages */

struct places {
	struct places *_Atomic next;
	struct place place[PLACES];
};

static struct places places;

static struct places *next_places(struct places *p)
{
	struct places *next = atomic_load(&p->next);
	struct places *fresh;

	if (next)
		return next;
	fresh = pool_map(sizeof(*fresh));
	if (!fresh || atomic_compare_exchange_strong(&p->next, &next, fresh))
		return fresh;
	pool_unmap(fresh, sizeof(*fresh));
	return next;
}

int child_closes(int fd)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return fd;
	for (struct places *p = &places; p; p = next_places(p)) {
		for (int i = 0; i < PLACES; i++) {
			uint32_t none = 0;

			if (atomic_load_explicit(&p->place[i].number, memory_order_relaxed) ||
			    !atomic_compare_exchange_strong(&p->place[i].number, &none, TAKEN))
				continue;
			atomic_store(&p->place[i].dev, st.st_dev);
			atomic_store(&p->place[i].ino, st.st_ino);
			atomic_store(&p->place[i].number, (uint32_t)fd + 1);
			return fd;
		}
	}
	return fd; /* no memory: only an exec closes it */
}

/* A filter of system calls may know one way to ask and not the other. */
int fd_look(int fd, uint64_t dev, uint64_t ino)
{
	const int saved = errno;
	struct statx stx;
	struct stat st;
	int ret;

	if (!fstat(fd, &st))
		ret = st.st_dev == dev && st.st_ino == ino;
	else if (errno == EBADF)
		ret = 0;
	else if (!statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx))
		ret = makedev(stx.stx_dev_major, stx.stx_dev_minor) == dev && stx.stx_ino == ino;
	else
		ret = errno == EBADF ? 0 : -errno;
	errno = saved;
	return ret;
}

/* The program may have closed the descriptor, and have another file under its number by now. */
static bool is_still_ours(const struct place *place, int fd)
{
	return fd_look(fd, atomic_load(&place->dev), atomic_load(&place->ino)) == 1;
}

static struct place *find(int fd)
{
	const uint32_t number = (uint32_t)fd + 1;

	for (struct places *p = &places; p; p = atomic_load(&p->next)) {
		for (int i = 0; i < PLACES; i++) {
			if (atomic_load_explicit(&p->place[i].number, memory_order_relaxed) ==
			    number)
				return &p->place[i];
		}
	}
	return NULL;
}

static void take_off(struct place *place, int fd)
{
	uint32_t number = (uint32_t)fd + 1;

	if (place)
		atomic_compare_exchange_strong(&place->number, &number, 0);
}

void child_keeps(int fd)
{
	take_off(find(fd), fd);
}

bool child_is_listed(int fd)
{
	const struct place *place = find(fd);

	return place && is_still_ours(place, fd);
}

void child_close_all(void)
{
	for (struct places *p = &places; p; p = atomic_load(&p->next)) {
		for (int i = 0; i < PLACES; i++) {
			uint32_t number = atomic_exchange(&p->place[i].number, 0);

			if (number && number != TAKEN &&
			    is_still_ours(&p->place[i], (int)number - 1))
				/*
				 * Not close(): sanitizers track descriptors, and what they know
				 * here is the parent's.
				 */
				syscall(SYS_close, (int)number - 1);
		}
	}
}
