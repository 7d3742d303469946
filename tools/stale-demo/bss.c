// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A library with static data, which is loaded and unloaded. */
#include "stage.h"

extern char stale_demo_bss[BUFFER_BYTES];
char stale_demo_bss[BUFFER_BYTES] __attribute__((aligned(4096), visibility("default")));
