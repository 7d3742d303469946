// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "programs.h"

static long bpf(enum bpf_cmd cmd, union bpf_attr *attr, size_t size)
{
	long ret = syscall(SYS_bpf, cmd, attr, size);

	return ret < 0 ? -errno : ret;
}

static int add(struct programs *p, uint32_t id)
{
	union bpf_attr attr = { .prog_id = id };
	struct bpf_prog_info info = { 0 };
	long fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	long ret;

	/* It may be gone by now. */
	if (fd < 0)
		return fd == -ENOENT ? 0 : (int)fd;
	attr = (union bpf_attr){ .info = { .bpf_fd = (uint32_t)fd,
					   .info_len = sizeof(info),
					   .info = (uintptr_t)&info } };
	ret = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	close((int)fd);
	if (ret)
		return (int)ret;
	if (info.type == BPF_PROG_TYPE_TRACING) {
		p->loaded++;
		p->missed += info.recursion_misses;
	}
	return 0;
}

int programs_count(struct programs *p)
{
	union bpf_attr attr = { .start_id = 0 };
	int ret;

	memset(p, 0, sizeof(*p));
	while (!(ret = (int)bpf(BPF_PROG_GET_NEXT_ID, &attr, sizeof(attr)))) {
		uint32_t id = attr.next_id;

		ret = add(p, id);
		if (ret)
			return ret;
		attr = (union bpf_attr){ .start_id = id };
	}
	return ret == -ENOENT ? 0 : ret;
}
