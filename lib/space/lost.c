// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The program has closed our descriptors, as code that makes a daemon closes all that it does not
 * know. Without them no event can be read, so nothing is valid any more: the space is dead, as
 * after detaching. No call of the program waits for us, as the kernel forgets registrations when
 * the userfaultfd is closed: the watchdog closes it, if it is open still. The same holds when the
 * kernel's log of the space has ended.
 */
#include "space/space.h"
#include "base/log.h"

#include <errno.h>

static void lose(struct hmm_mm *mm, const char *why)
{
	/* First: a thread that finds the space lost already returns, and its calls must fail. */
	atomic_store(&mm->dead, 1);
	if (!atomic_exchange(&mm->lost, 1) && !atomic_load(&mm->stopping))
		log_say(HMM_LOG_ERROR, why);
}

void mm_lost(struct hmm_mm *mm)
{
	lose(mm, "the program closed descriptors of the library (closefrom, close_range): the "
		 "address space is let go of. Attach after closing.");
}

void mm_lost_log(struct hmm_mm *mm, int err)
{
	lose(mm, err == -EPROTO ? "the kernel's log of the address space makes no sense: it is let "
				  "go of."
				: "the kernel's log of the address space has ended: it is let go "
				  "of. Attach again.");
}

void mm_shut_out(struct hmm_mm *mm)
{
	lose(mm, "a seccomp filter or RLIMIT_NOFILE keeps the library from its events (poll or "
		 "ppoll of two descriptors, read): the address space is let go of.");
}

int mm_lost_by(struct hmm_mm *mm, int err)
{
	if (err != -EBADF)
		return err;
	mm_lost(mm);
	return -ESRCH;
}
