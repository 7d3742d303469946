/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Between the files that look VMAs up; who only asks uses mm.h. */
#ifndef LIB_MM_VMA_H
#define LIB_MM_VMA_H

#include "mm/mm.h"

#include <limits.h>

/* A VMA as the kernel describes it, with its whole name ("" without one). */
struct vma_raw {
	struct hmm_vma vma; /* kind and name not filled in */
	char path[PATH_MAX];
};

/* vma_maps.c: the look-up without PROCMAP_QUERY */
int vma_maps_lookup(int maps_fd, uint64_t addr, struct vma_raw *raw);

/* vma_classify.c: fills kind; page_size too where the look-up could not tell. */
struct vma_cache;
struct vma_cache *vma_cache_create(void);
void vma_cache_destroy(struct vma_cache *cache);
void vma_classify(struct vma_reader *r, struct vma_raw *raw);
/* The kind, where it is known without the name; false: vma_classify() has to find out. */
bool vma_classify_known(struct vma_reader *r, struct hmm_vma *vma);

/*
 * vma_file.c: an O_PATH descriptor of the very file that a VMA maps, or -ENOENT. O_PATH, because
 * closing any other descriptor of a file drops the POSIX locks that the program holds on it. The
 * caller closes it.
 */
int vma_file_open(const struct vma_raw *raw);
/* Is it a descriptor of a file that shows the VMA's device and inode in maps? */
bool vma_file_is(int fd, const struct hmm_vma *vma);

/* mounts.c: what is mounted. dev is the superblock's, mnt_id may be 0 for "any". -ENOENT */
struct mount_facts {
	uint32_t dev_major;
	uint32_t dev_minor;
	bool is_tmpfs;
	bool is_hugetlbfs;
	bool is_remote;
	bool dax_always;
};
int mounts_find_device(uint32_t dev_major, uint32_t dev_minor, struct mount_facts *facts);
int mounts_find_id(uint64_t mnt_id, struct mount_facts *facts);
/* Can another machine, or a server, change what lies there? Asks nobody but mountinfo; kept for a second. */
bool mounts_is_remote(uint32_t dev_major, uint32_t dev_minor);

#endif
