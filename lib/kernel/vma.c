// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * VMA look-ups by PROCMAP_QUERY, or by reading maps if the kernel lacks it. Names are kept on the
 * stack, as look-ups are made under locks that the program's allocator may wait for.
 */
#include "kernel/vma.h"
#include "kernel/abi/procmap.h"
#include "base/ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int query(int fd, uint64_t addr, struct procmap_query *q)
{
	q->size = sizeof(*q);
	q->query_flags = PROCMAP_QUERY_COVERING_OR_NEXT_VMA;
	q->query_addr = addr;
	return ioctl(fd, PROCMAP_QUERY, q) ? -errno : 0;
}

static void fill(struct hmm_vma *vma, const struct procmap_query *q)
{
	memset(vma, 0, sizeof(*vma));
	vma->start = q->vma_start;
	vma->end = q->vma_end;
	vma->offset = q->vma_offset;
	vma->inode = q->inode;
	vma->dev_major = q->dev_major;
	vma->dev_minor = q->dev_minor;
	vma->prot = (q->vma_flags & PROCMAP_QUERY_VMA_READABLE ? PROT_READ : 0) |
		    (q->vma_flags & PROCMAP_QUERY_VMA_WRITABLE ? PROT_WRITE : 0) |
		    (q->vma_flags & PROCMAP_QUERY_VMA_EXECUTABLE ? PROT_EXEC : 0);
	vma->shared = q->vma_flags & PROCMAP_QUERY_VMA_SHARED;
	vma->page_size = q->vma_page_size;
}

static int lookup_raw(const struct vma_reader *r, uint64_t addr, struct vma_raw *raw)
{
	struct procmap_query q = { .vma_name_addr = (uint64_t)(uintptr_t)raw->path,
				   .vma_name_size = sizeof(raw->path) };
	int err;

	if (!r->procmap_query)
		return vma_maps_lookup(r->maps_fd, addr, raw);
	err = query(r->maps_fd, addr, &q);
	if (err == -ENAMETOOLONG) {
		q.vma_name_addr = 0;
		q.vma_name_size = 0;
		err = query(r->maps_fd, addr, &q);
	}
	if (err)
		return err;
	if (!q.vma_name_size)
		raw->path[0] = 0;
	fill(&raw->vma, &q);
	return 0;
}

int vma_lookup(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma)
{
	struct vma_raw raw;
	int err = lookup_raw(r, addr, &raw);

	if (err)
		return err;
	vma_classify(r, &raw);
	memcpy(raw.vma.name, raw.path, strnlen(raw.path, sizeof(raw.vma.name) - 1));
	*vma = raw.vma;
	return 0;
}

int vma_name(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma)
{
	struct vma_raw raw;
	int err = lookup_raw(r, addr, &raw);

	if (err)
		return err;
	memcpy(raw.vma.name, raw.path, strnlen(raw.path, sizeof(raw.vma.name) - 1));
	*vma = raw.vma;
	return 0;
}

int vma_peek(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma)
{
	struct procmap_query q = { 0 };
	int err;

	if (!r->procmap_query) {
		struct vma_raw raw;

		err = vma_maps_lookup(r->maps_fd, addr, &raw);
		if (!err)
			*vma = raw.vma;
		return err;
	}
	err = query(r->maps_fd, addr, &q);
	if (!err)
		fill(vma, &q);
	return err;
}

/*
 * If the last look-up needed the name this one asks for the name at once: one call instead of two.
 */
int vma_lookup_unnamed(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma)
{
	bool known = false;
	int err = 0;

	if (r->procmap_query && !atomic_load_explicit(&r->by_name, memory_order_relaxed)) {
		err = vma_peek(r, addr, vma);
		known = err || vma_classify_known(r, vma);
	}
	if (!known) {
		err = vma_lookup(r, addr, vma);
		known = !err && vma_classify_known(r, vma);
	}
	if (!err)
		atomic_store_explicit(&r->by_name, !known, memory_order_relaxed);
	return err;
}

int vma_open_file(struct vma_reader *r, const struct hmm_vma *vma)
{
	struct vma_raw raw;
	int err = lookup_raw(r, vma->start, &raw);

	if (err)
		return err == -ENOENT ? -EAGAIN : err;
	if (raw.vma.inode != vma->inode || raw.vma.dev_major != vma->dev_major ||
	    raw.vma.dev_minor != vma->dev_minor)
		return -EAGAIN;
	return vma_file_open(&raw);
}

int vma_reader_open(struct vma_reader *r, int maps_fd, bool no_query)
{
	struct procmap_query q = { 0 };

	int fd = maps_fd < 0 ? open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
			     : fcntl(maps_fd, F_DUPFD_CLOEXEC, 0);
	int err = fd < 0 ? -errno : 0;

	memset(r, 0, sizeof(*r));
	/* there is no /proc, or it does not show this process */
	if (err == -ENOENT)
		err = -EOPNOTSUPP;
	if (err == -EBADF)
		err = -EINVAL;
	if (!err)
		err = ownfd_take(&r->maps, fd);
	if (err)
		return err;
	r->maps_fd = r->maps.fd;
	r->procmap_query = !no_query && !query(r->maps_fd, (uint64_t)(uintptr_t)&q, &q);
	r->cache = vma_cache_create();
	if (!r->cache) {
		ownfd_close(&r->maps);
		return -ENOMEM;
	}
	return 0;
}

void vma_reader_close(struct vma_reader *r)
{
	ownfd_close(&r->maps);
	r->maps_fd = -1;
	vma_cache_destroy(r->cache);
	r->cache = NULL;
}
