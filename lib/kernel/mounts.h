/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What is mounted. */
#ifndef LIB_KERNEL_MOUNTS_H
#define LIB_KERNEL_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

/* What mountinfo says of a mount. The device number is the superblock's. */
struct mount_facts {
	uint32_t dev_major;
	uint32_t dev_minor;
	bool is_tmpfs;
	bool is_hugetlbfs;
	bool is_remote;
	bool dax_always;
};

/* 0; -ENOENT. mnt_id may be 0, which no mount has. */
int mounts_find_device(uint32_t dev_major, uint32_t dev_minor, struct mount_facts *facts);
int mounts_find_id(uint64_t mnt_id, struct mount_facts *facts);
/*
 * Can another machine, or a server, change files of this device? Reads nothing but mountinfo, and
 * keeps the answer for a second.
 */
bool mounts_is_remote(uint32_t dev_major, uint32_t dev_minor);

#endif
