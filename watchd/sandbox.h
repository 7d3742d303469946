/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What hmm-watchd gives up. */
#ifndef WATCHD_SANDBOX_H
#define WATCHD_SANDBOX_H

/*
 * Before anything is loaded: root becomes `user` and keeps CAP_BPF and CAP_PERFMON alone; another
 * user keeps those of the two that it has. No program that is executed can give more. No core file.
 * 0; -ENOENT: there is no such user; -EINVAL: it is root; -errno.
 */
int sandbox_drop(const char *user);

/*
 * After the programs are loaded: CAP_PERFMON goes, and a filter refuses all system calls but those
 * that serve peers. Nothing can be opened by a name, nothing executed, no program loaded. 0;
 * -errno.
 */
int sandbox_enter(void);

#endif
