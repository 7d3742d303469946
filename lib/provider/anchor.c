// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "provider/anchor.h"
#include "base/epoch.h"
#include "base/ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The kernel gives up when a signal is pending. */
#define TRIES 8

static int make_once(int kvm, struct ownfd *vm)
{
	const int fd = ioctl(kvm, KVM_CREATE_VM, 0);

	return fd < 0 ? -errno : ownfd_take(vm, fd);
}

static int make(struct ownfd *vm)
{
	const int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int err = -ENOTTY;

	if (kvm < 0)
		return -errno;
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION) {
		for (int i = 0; i < TRIES; i++) {
			err = make_once(kvm, vm);
			if (err != -EINTR)
				break;
		}
	}
	close(kvm);
	return err;
}

bool anchor_is_wanted(void)
{
	const char *value = secure_getenv("LIBHMM_ANCHOR");

	return value && !strcmp(value, "yes");
}

int anchor_make(struct ownfd *vm)
{
	/* The epoch of the process that has one. */
	static _Atomic uint64_t anchored;
	const uint64_t epoch = epoch_now();
	const int saved = errno;
	int err;

	if (epoch && atomic_load(&anchored) == epoch)
		return 0;
	err = make(vm);
	if (!err)
		atomic_store(&anchored, epoch);
	errno = saved;
	return err;
}
