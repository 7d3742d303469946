/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The extents of a file. */
#ifndef LIB_KERNEL_EXTENTS_H
#define LIB_KERNEL_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

/* The descriptor's name under /proc, without stdio. */
#define FD_PATH_SIZE 32
const char *fd_path(char buf[FD_PATH_SIZE], int fd);
/* Does the file's stamp have to look at its extents? */
bool extents_matter(int path_fd);
/* outside.c. How many bytes the file shares with others: 0; -errno. */
int outside_shared_bytes(int path_fd, uint64_t *bytes);

#endif
