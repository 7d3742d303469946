/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * The kernel tells its own notifiers of each change of an address space that has, or has had, a
 * notifier. A process without privilege gets one by a virtual machine, which registers one and need
 * not stay: the kernel does not ask again whether any is left.
 */
#ifndef LIB_PROVIDER_ANCHOR_H
#define LIB_PROVIDER_ANCHOR_H

/*
 * Gives the calling process's address space a notifier, once. A forked child has an address space
 * of its own, without one. No descriptor stays open. The caller is between opening_begin() and
 * opening_end().
 *
 * 0; -ECANCELED: LIBHMM_ANCHOR=no; errors of open(2) for /dev/kvm; -ENOTTY: that is not KVM; errors
 * of KVM_CREATE_VM. Does not change errno.
 */
int anchor_make(void);

#endif
