/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* The threads of a space: the pump, its watchdog, and the settler of a log. */
#ifndef LIB_PUMP_PUMP_H
#define LIB_PUMP_PUMP_H

#include "space/space.h"

int pump_start(struct hmm_mm *mm);
void pump_stop(struct hmm_mm *mm);
/* watchdog.c */
void *watchdog_main(void *arg);
/* settler.c */
void *settler_main(void *arg);

#endif
