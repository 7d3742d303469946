/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Look-ups of VMAs, without the program's heap. */
#ifndef LIB_KERNEL_VMA_H
#define LIB_KERNEL_VMA_H

#include "base/ownfd.h"

#include <limits.h>
#include <stdatomic.h>
#include <hmm/mm.h>

struct vma_reader {
	struct ownfd maps;
	int maps_fd;          /* maps.fd: /proc/PID/maps */
	bool procmap_query;   /* probed */
	_Atomic bool by_name; /* a hint: the last look-up needed the name */
	struct vma_cache *cache;
};

int vma_reader_open(struct vma_reader *r, int maps_fd, bool no_query);
void vma_reader_close(struct vma_reader *r);
/* The VMA at or above addr, with its kind. -ENOENT: there is none. */
int vma_lookup(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma);
/* The same, without the name if the kind of the file is known already: half the cost. */
int vma_lookup_unnamed(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma);
/* The same with the name and without the kind, for messages. Makes one system call. */
int vma_name(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma);
/* The same without kind and name. Makes one system call. */
int vma_peek(struct vma_reader *r, uint64_t addr, struct hmm_vma *vma);
/*
 * An O_PATH descriptor of the file that the VMA maps; the caller closes it. -ENOENT: no descriptor
 * can be had; -EAGAIN: something else is mapped there by now.
 */
int vma_open_file(struct vma_reader *r, const struct hmm_vma *vma);

/* ---- for the files that look VMAs up ------------------------------------------------------ */

/* A VMA as the kernel describes it, with its whole name ("" without one). */
struct vma_raw {
	struct hmm_vma vma; /* kind and name not filled in */
	char path[PATH_MAX];
};

/* maps.c: the look-up without PROCMAP_QUERY */
int vma_maps_lookup(int maps_fd, uint64_t addr, struct vma_raw *raw);

/* classify.c: fills in the kind, and page_size if the look-up could not tell. */
struct vma_cache;
struct vma_cache *vma_cache_create(void);
void vma_cache_destroy(struct vma_cache *cache);
void vma_classify(struct vma_reader *r, struct vma_raw *raw);
/* Fills in the kind if it is known without the name. False: vma_classify() has to find out. */
bool vma_classify_known(struct vma_reader *r, struct hmm_vma *vma);

/*
 * mapfile.c: an O_PATH descriptor of the file that a VMA maps, or -errno; the caller closes it.
 * O_PATH, because closing any other descriptor of a file drops the POSIX locks that the program
 * holds on it.
 */
int vma_file_open(const struct vma_raw *raw);
/* Is it a descriptor of a file that shows the VMA's device and inode in maps? */
bool vma_file_is(int fd, const struct hmm_vma *vma);

#endif
