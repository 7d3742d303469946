/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The kernel tells its own notifiers of each change of an address space that has, or has had, a
 * notifier. A process without privilege gets one by a virtual machine, which registers one and need
 * not stay: the kernel does not ask again whether any is left. To close it takes the kernel some
 * 10 ms, so that is left to a thread that nobody waits for.
 */
#ifndef LIB_PROVIDER_ANCHOR_H
#define LIB_PROVIDER_ANCHOR_H

#include <stdbool.h>

struct ownfd;

/* LIBHMM_ANCHOR=yes */
bool anchor_is_wanted(void);

/*
 * Gives the calling process's address space a notifier, once. A forked child has an address space
 * of its own, without one. vm: none, or what the caller closes soon. The caller is between
 * opening_begin() and opening_end().
 *
 * 0; errors of open(2) for /dev/kvm; -ENOTTY: that is not KVM; errors of KVM_CREATE_VM. Does not
 * change errno.
 */
int anchor_make(struct ownfd *vm);

#endif
