// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "kernel/smaps.h"
#include "base/child.h"
#include "base/lines.h"
#include "base/ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int smaps_flags(uint64_t start, char *flags, size_t size)
{
	const int fd = child_closes(open("/proc/self/smaps", O_RDONLY | O_CLOEXEC));
	struct lines l;
	bool inside = false;
	char *line;
	int err = -EFAULT;

	if (fd < 0)
		return -errno;
	lines_init(&l, fd);
	while (err && (line = lines_next(&l))) {
		char *dash = line;
		uint64_t at = lines_hex(&dash);

		if (*dash == '-' && dash > line) {
			inside = at == start;
		} else if (inside && !strncmp(line, "VmFlags:", 8)) {
			strncpy(flags, line + 8, size - 1);
			flags[size - 1] = 0;
			err = 0;
		}
	}
	close_ours(fd);
	return err;
}

bool smaps_has(const char *flags, const char *flag)
{
	for (const char *p = flags; (p = strstr(p, flag)); p++)
		if (p > flags && p[-1] == ' ' && (p[2] == ' ' || !p[2]))
			return true;
	return false;
}
