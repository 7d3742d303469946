/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef COUNT_H
#define COUNT_H

#include <hmm/hmm.h>

#if !HMM_VERSION_CHECK(0, 1, 0)
#error "this device needs libhmm 0.1"
#endif

extern const struct hmm_device_driver count_driver;

#endif
