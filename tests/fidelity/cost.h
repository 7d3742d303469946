/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cost: figures of both targets and of the kernel's own interfaces, as ratios; the guest is
 * emulated.
 */
#ifndef FIDELITY_COST_H
#define FIDELITY_COST_H

#include "target.h"

/* Prints the part of the page on costs. 0, or 1 if a bound is not kept. */
int cost_report(void);

#endif
