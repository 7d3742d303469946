// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Dear system calls: a seccomp filter that allows everything, as slowly as is asked for. There are
 * machines where a call costs ten times of what it does elsewhere (page-table isolation, other
 * mitigations, a filter of a container's); a figure that is about calls looks different there. Both
 * sides pay for it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "bench.h"

/* The kernel's limits: of a program, and of all programs of a process together. */
#define LONGEST 4096

/* What it loads depends on the call, or the kernel would not run it a second time. */
static int add(unsigned int length)
{
	static struct sock_filter code[LONGEST];
	struct sock_fprog program = { (unsigned short)length, code };

	for (unsigned int i = 0; i + 1 < length; i++)
		code[i] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						       offsetof(struct seccomp_data, args[0]));
	code[length - 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) ? -errno : 0;
}

int bench_dear_calls(unsigned int instructions)
{
	int ret = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;

	for (unsigned int length; !ret && instructions; instructions -= length) {
		length = instructions < LONGEST ? instructions : LONGEST;
		ret = add(length);
	}
	return ret;
}
