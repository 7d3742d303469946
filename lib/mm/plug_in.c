// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The plug-in lies beside libhmm, also below a prefix that the dynamic linker does not know; or in
 * the build folder, beside the folder of libhmm; or where the dynamic linker looks. What it is
 * looked up by is the name under which the dynamic linker has found libhmm. That is not taken if it
 * is relative, as the working directory may be anybody's. In a program that has libhmm linked into
 * it there is none: what the system calls the program's name is its caller's word.
 */
#include "mm/plug_in.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLUG_IN "libhmm-watch.so"

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

static bool has(const struct __user_cap_data_struct caps[2], unsigned int cap)
{
	return caps[cap / 32].effective >> cap % 32 & 1;
}

bool plug_in_may_load(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = { 0 };

	if (syscall(SYS_capget, &header, caps))
		return false;
	return has(caps, CAP_SYS_ADMIN) || (has(caps, CAP_BPF) && has(caps, CAP_PERFMON));
}

static void *open_at(const char *path)
{
	return dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

/* In the folder of libhmm, or by a way from there. NULL: it is not there. */
static void *open_from(const char *libhmm, const char *way)
{
	const char *slash = strrchr(libhmm, '/');
	char path[PATH_MAX];

	if ((size_t)(slash - libhmm) + strlen(way) + 2 > sizeof(path))
		return NULL;
	memcpy(path, libhmm, (size_t)(slash - libhmm) + 1);
	strcpy(path + (slash - libhmm) + 1, way);
	return access(path, F_OK) ? NULL : open_at(path);
}

/* NULL: it is nowhere, or lacks a library. */
static void *find(void)
{
	void *plug_in = NULL;
	struct link_map *us;
	Dl_info info;

	if (dladdr1((void *)(uintptr_t)plug_in_open, &info, (void **)&us, RTLD_DL_LINKMAP) &&
	    us->l_name[0] == '/') {
		plug_in = open_from(us->l_name, PLUG_IN);
		if (!plug_in && !getauxval(AT_SECURE))
			plug_in = open_from(us->l_name, "../watchd/" PLUG_IN);
	}
	return plug_in ? plug_in : open_at(PLUG_IN);
}

int plug_in_open(unsigned int flags, size_t log_bytes, struct watch_fds *fds,
		 const struct watch_site **sites, size_t *n)
{
	int (*open_self)(unsigned int flags, size_t log_bytes, struct watch_fds *fds,
			 const struct watch_site **sites, size_t *n);
	void *plug_in = find();

	if (!plug_in)
		return -ELIBACC;
	*(void **)&open_self = dlsym(plug_in, "watch_open_self");
	return open_self ? open_self(flags, log_bytes, fds, sites, n) : -ELIBACC;
}
