// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The program has closed our descriptors, as code that makes a daemon closes all that it does not
 * know. Without them no event can be read, so nothing is valid any more: the space is dead, as
 * after detaching. No call of the program waits for us, as the kernel forgets registrations when
 * the userfaultfd is closed.
 */
#include "space/space.h"
#include "base/ownfd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct ownfd standard_error = { .fd = -1 };

/*
 * What descriptor 2 was at the first attachment. If it is another file by now we do not write to
 * it.
 */
void lost_init(void)
{
	struct stat st;

	if (standard_error.fd < 0 && !fstat(2, &st))
		standard_error = (struct ownfd){ .fd = 2, .dev = st.st_dev, .ino = st.st_ino };
}

static void say(void)
{
	static const char text[] = "libhmm: the program closed descriptors of the library "
				   "(closefrom, close_range): the "
				   "address space is let go of. Attach after closing.\n";

	if (ownfd_is_ours(&standard_error) && write(2, text, sizeof(text) - 1) < 0)
		return;
}

void mm_lost(struct hmm_mm *mm)
{
	if (atomic_exchange(&mm->lost, 1))
		return;
	atomic_store(&mm->dead, 1);
	if (!atomic_load(&mm->stopping))
		say();
}
