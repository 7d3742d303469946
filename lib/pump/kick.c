// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "pump/kick.h"
#include "space/space.h"
#include "base/ownfd.h"
#include "base/raw.h"

#include <errno.h>
#include <sys/socket.h>

void pump_kick(struct hmm_mm *mm)
{
	long ret;

	if (!ownfd_is_ours(&mm->kick[1]))
		return;
	ret = raw5(SYS_sendto, mm->kick[1].fd, (long)"", 1, MSG_NOSIGNAL, 0);
	/* It may be a pipe, or a seccomp filter may not know sendto(). */
	if (ret < 0 && ret != -EPIPE && ret != -EAGAIN)
		raw3(SYS_write, mm->kick[1].fd, (long)"", 1);
}
