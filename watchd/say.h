/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What hmm-watchd says, on standard error. Under systemd that is the journal. */
#ifndef WATCHD_SAY_H
#define WATCHD_SAY_H

#include <syslog.h>

/* A line; priority: LOG_ERR and the like. */
__attribute__((format(printf, 2, 3))) void say(int priority, const char *format, ...);

/* The same for what a peer can cause: a few lines a minute, then a count of those left out. */
__attribute__((format(printf, 2, 3))) void say_seldom(int priority, const char *format, ...);

#endif
