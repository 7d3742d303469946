/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef TOOLS_HMM_RUN_SPEC_H
#define TOOLS_HMM_RUN_SPEC_H

/*
 * Why hmm_device_open() refused this description: says which device, which option, and what there
 * is. EXIT_INPUT.
 */
int complain_device(const char *spec);

#endif
