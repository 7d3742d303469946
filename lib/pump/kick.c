// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "pump/kick.h"
#include "space/space.h"
#include "base/ownfd.h"
#include "base/raw.h"

void pump_kick(struct hmm_mm *mm)
{
	if (ownfd_is_ours(&mm->kick[1]))
		raw3(SYS_write, mm->kick[1].fd, (long)"", 1);
}
