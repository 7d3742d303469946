/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef LIB_PUMP_KICK_H
#define LIB_PUMP_KICK_H

#include "space/space.h"

/* Wakes the pump from its poll. Does not touch errno. */
void pump_kick(struct hmm_mm *mm);

#endif
