// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

#define BIT(cap) (1ULL << (cap))

/* ---- privilege ------------------------------------------------------------------------------- */

static int caps_read(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	return syscall(SYS_capget, &head, data) ? -errno : 0;
}

/* Of those that the process may have, keeps what is in `mask`. */
static int caps_keep(uint64_t mask)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	int err = caps_read(data);

	if (err)
		return err;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(mask >> 32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* What is executed cannot get others back. Needs CAP_SETPCAP; without it no_new_privs does. */
static void bound_caps(uint64_t mask)
{
	for (int cap = 0; cap < 64; cap++) {
		if (!(mask & BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	}
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

/* What the kernel itself calls nobody; there need be no file of users. */
#define NOBODY 65534

static int find_user(const char *user, uid_t *uid, gid_t *gid)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(user);
	if (!entry && strcmp(user, "nobody"))
		return errno ? -errno : -ENOENT;
	*uid = entry ? entry->pw_uid : NOBODY;
	*gid = entry ? entry->pw_gid : NOBODY;
	return *uid ? 0 : -EINVAL;
}

static int become(const char *user)
{
	uid_t uid;
	gid_t gid;
	int err = find_user(user, &uid, &gid);

	if (err)
		return err;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(0, NULL) || setresgid(gid, gid, gid) ||
	    setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

static int set_limits(void)
{
	const struct rlimit none = { 0, 0 };
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &none) || getrlimit(RLIMIT_NOFILE, &files))
		return -errno;
	/* Descriptors in the queues of `links` count, too. */
	files.rlim_cur = files.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &files) ? -errno : 0;
}

int sandbox_drop(const char *user)
{
	const uint64_t both = BIT(CAP_BPF) | BIT(CAP_PERFMON);
	int err = set_limits();

	if (err)
		return err;
	if (!geteuid()) {
		bound_caps(both);
		err = become(user);
		if (err)
			return err;
	}
	err = caps_keep(both);
	if (err)
		return err;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
#ifdef WATCHD_SANITIZED
	/* The sanitizer's look at leaks traces the process. */
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) ? -errno : 0;
#else
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? -errno : 0;
#endif
}

/* ---- the filter ------------------------------------------------------------------------------ */

#ifndef WATCHD_SANITIZED
static const int allowed[] = {
	SCMP_SYS(accept4),
	SCMP_SYS(brk),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(close),
	SCMP_SYS(dup),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(getsockopt),
	SCMP_SYS(gettid),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(newfstatat),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(read),
	SCMP_SYS(recvmsg),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(sendmsg),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(write),
#ifdef WATCHD_MEMFD
	/* a loader of the tests, which has no BPF */
	SCMP_SYS(ftruncate),
	SCMP_SYS(memfd_create),
#endif
};

/* What opening and closing a space takes. Not among them: to load a program. */
static const int bpf_allowed[] = {
	BPF_MAP_CREATE,       BPF_MAP_LOOKUP_ELEM,    BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM,
	BPF_MAP_GET_NEXT_KEY, BPF_MAP_FREEZE,         BPF_PROG_TEST_RUN,   BPF_LINK_CREATE,
	BPF_ITER_CREATE,      BPF_OBJ_GET_INFO_BY_FD,
};

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

static int allow(scmp_filter_ctx filter, int call)
{
	return seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 0);
}

static int fill(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp no_code = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const struct scmp_arg_cmp unix_only = SCMP_A0(SCMP_CMP_EQ, AF_UNIX);
	int err = 0;

	for (size_t i = 0; !err && i < N_OF(allowed); i++)
		err = allow(filter, allowed[i]);
	for (size_t i = 0; !err && i < N_OF(bpf_allowed); i++) {
		const struct scmp_arg_cmp command =
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)bpf_allowed[i]);

		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(bpf), 1, &command);
	}
	if (!err)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &no_code);
	if (!err)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
					     &no_code);
	if (!err)
		err = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
					     &unix_only);
	return err;
}

/* An error, not the process's end: a C library may try a newer call first. */
static int enter_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = filter ? fill(filter) : -ENOMEM;

	if (!err)
		err = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return err;
}
#else
static int enter_filter(void)
{
	return 0;
}
#endif

int sandbox_enter(void)
{
	const int err = caps_keep(BIT(CAP_BPF));

	return err ? err : enter_filter();
}
