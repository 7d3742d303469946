// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "ucx_cache.h"

const struct peer *const peers[] = { &ucx_hooks, &ucx_libhmm, NULL };
