// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What a thread that serves a device says of itself. */
#include "base/signals.h"

#include <hmm/engine.h>

void hmm_thread_block_signals(void)
{
	signals_block();
}
