/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The address space that the monitors of a process watch. A mapping has one userfaultfd, so all
 * monitors share one attached space: each exports libhmm_monitor_attach() and
 * libhmm_monitor_space(), and the dynamic linker binds every monitor to those of the one that was
 * loaded first.
 *
 * It is attached when a peer needs it first, not when the monitor is loaded: a program that becomes
 * a daemon meanwhile is served. It is never detached, as the peer may ask until the process ends.
 */
#ifndef MONITOR_SPACE_H
#define MONITOR_SPACE_H

#include <hmm/hmm.h>

#define MONITOR_EXPORT __attribute__((visibility("default")))

/* 0, or why the space cannot be watched. The first call attaches. -ESRCH: a forked child. */
MONITOR_EXPORT int libhmm_monitor_attach(void);
/* NULL: it is not attached, or this is a forked child, which watches nothing. Takes no lock. */
MONITOR_EXPORT struct hmm_mm *libhmm_monitor_space(void);

#endif
