/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Where objects and programs are that are built with the tool; meson.build says where they go. */
#ifndef TOOLS_HMM_OBJECT_H
#define TOOLS_HMM_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

/* The folder that the running tool is in, without a slash at the end. 0 or -errno */
int own_folder(char *folder, size_t size);

/*
 * Of the build tree that the tool is in, there below `folder`; else where both were installed. path
 * has room for PATH_MAX, and is "" where there is none.
 */
bool object_find(const char *folder, const char *file, char *path);
/* The same for a program that is not in PATH. */
bool object_find_program(const char *folder, const char *file, char *path);

#endif
