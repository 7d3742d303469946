// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "program.h"
#include "child.h"
#include "command.h"
#include "object.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SCRIPTS 4 /* interpreters of interpreters that are looked at */

static int usable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno == ENOENT || errno == ENOTDIR ? -ENOENT : -EACCES;
	return S_ISREG(st.st_mode) && !access(path, X_OK) ? 0 : -EACCES;
}

/* 0 or what usable() says; the name is in *path then. */
static int find_in(const char *folder, size_t length, const char *name, char *path)
{
	int n = length ? snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folder, name)
		       : snprintf(path, PATH_MAX, "./%s", name);
	struct stat st;

	/* A folder that may not be searched is one without the program. */
	return n < PATH_MAX && !stat(path, &st) ? usable(path) : -ENOENT;
}

static int find_in_path(const char *name, char *path)
{
	const char *folders = getenv("PATH");
	int best = -ENOENT;

	if (!folders)
		folders = "/usr/local/bin:/usr/bin:/bin";
	for (;; folders++) {
		size_t length = strcspn(folders, ":");
		int ret = find_in(folders, length, name, path);

		if (!ret)
			return 0;
		if (ret == -EACCES)
			best = ret;
		folders += length;
		if (!*folders)
			return best;
	}
}

int program_find(const char *name, char *path)
{
	static const char *const besides[] = { "", "/tools/stale-demo" };
	char own[PATH_MAX], folder[PATH_MAX + 32];
	int ret;

	if (strchr(name, '/')) {
		if (strlen(name) >= PATH_MAX)
			return -ENOENT;
		strcpy(path, name);
		return usable(path);
	}
	ret = *name ? find_in_path(name, path) : -ENOENT;
	if (!ret || !*name || own_folder(own, sizeof(own)))
		return ret;
	for (size_t i = 0; i < sizeof(besides) / sizeof(besides[0]); i++) {
		snprintf(folder, sizeof(folder), "%s%s", own, besides[i]);
		if (!find_in(folder, strlen(folder), name, path))
			return 0;
	}
	return ret;
}

int program_resolve(const char *name, char *path)
{
	switch (program_find(name, path)) {
	case 0:
		return 0;
	case -ENOENT:
		return complain(EXIT_NO_FILE, "'%s': no such program", name);
	default:
		return complain(EXIT_NO_EXEC, "'%s' cannot be executed: %s", name,
				strerror(EACCES));
	}
}

int program_not_executed(const char *name, int error)
{
	if (error == -ENOENT)
		return complain(EXIT_NO_EXEC, "'%s': its interpreter is not there", name);
	return complain(EXIT_NO_EXEC, "'%s' cannot be executed: %s", name, strerror(-error));
}

/* The kernel gives it other rights than its caller has: the dynamic linker distrusts the caller. */
static bool gives_rights(const char *path, int fd)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) > 0 ||
	    (!statvfs(path, &fs) && fs.f_flag & ST_NOSUID))
		return false;
	if (st.st_mode & S_ISUID && st.st_uid != geteuid())
		return true;
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getegid())
		return true;
	return geteuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* Of a file that is an ELF image of this machine's kind. */
static bool has_interpreter(int fd, const Elf64_Ehdr *elf)
{
	Elf64_Phdr segment;

	for (int i = 0; i < elf->e_phnum; i++) {
		off_t at = (off_t)(elf->e_phoff + (uint64_t)i * elf->e_phentsize);

		if (pread(fd, &segment, sizeof(segment), at) != sizeof(segment))
			break;
		if (segment.p_type == PT_INTERP)
			return true;
	}
	return false;
}

static int own_machine(void)
{
	Elf64_Ehdr elf = { 0 };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, &elf, sizeof(elf)) != sizeof(elf))
		elf.e_machine = EM_NONE;
	if (fd >= 0)
		close(fd);
	return elf.e_machine;
}

static const char *ignores(const char *path, int fd, const Elf64_Ehdr *elf)
{
	if (elf->e_ident[EI_CLASS] != ELFCLASS64 || elf->e_machine != own_machine())
		return "it is a program for another machine, or of 32 bits";
	if (gives_rights(path, fd))
		return "it is set-uid, set-gid or has capabilities, and the dynamic linker "
		       "preloads nothing then";
	if (!has_interpreter(fd, elf))
		return "it is linked statically, and nothing can be preloaded";
	return NULL;
}

/* The interpreter that a script names, into path; false if it is no script. */
static bool interpreter(const char *head, char *path)
{
	const char *name = head + 2;
	size_t length;

	if (strncmp(head, "#!", 2))
		return false;
	name += strspn(name, " \t");
	length = strcspn(name, " \t\n");
	if (!length || length >= PATH_MAX)
		return false;
	snprintf(path, PATH_MAX, "%.*s", (int)length, name);
	return true;
}

const char *program_ignores_preload(const char *path)
{
	union {
		Elf64_Ehdr elf;
		char text[512];
	} head;
	char script[PATH_MAX];

	for (int i = 0; i < SCRIPTS; i++) {
		const char *why = NULL;
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		memset(&head, 0, sizeof(head));
		if (fd < 0)
			return NULL;
		if (read(fd, &head, sizeof(head) - 1) >= (ssize_t)sizeof(head.elf) &&
		    !memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
			why = ignores(path, fd, &head.elf);
		close(fd);
		if (why || !interpreter(head.text, script))
			return why;
		path = script;
	}
	return NULL;
}

int program_preload(const char *list)
{
	const char *old = getenv("LD_PRELOAD");
	char *all = NULL;
	int err;

	if (!old || !*old)
		err = setenv("LD_PRELOAD", list, 1);
	else if (asprintf(&all, "%s:%s", list, old) < 0)
		err = -1;
	else
		err = setenv("LD_PRELOAD", all, 1);
	if (old && *old)
		free(all);
	return err ? complain(EXIT_FAILED, "not enough memory") : 0;
}
