/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Which file a program's name stands for, and whether its dynamic linker preloads. */
#ifndef TOOLS_HMM_PROGRAM_H
#define TOOLS_HMM_PROGRAM_H

/*
 * As a shell finds it, then beside the tool; path has room for PATH_MAX. 0; -ENOENT; -EACCES: it is
 * there, and not to be run.
 */
int program_find(const char *name, char *path);
/* The same. 0; EXIT_NO_FILE or EXIT_NO_EXEC, and that is said. */
int program_resolve(const char *name, char *path);

/* Says why execve() failed with -errno. Returns EXIT_NO_EXEC. */
int program_not_executed(const char *name, int error);

/* Why the dynamic linker would ignore LD_PRELOAD for it, in words; NULL if it does not. */
const char *program_ignores_preload(const char *path);

/*
 * Puts a list of names in front of what the user preloads. 0 or an exit status, and that is said.
 */
int program_preload(const char *list);

#endif
