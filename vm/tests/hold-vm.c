// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * hold-vm: holds a virtual machine of KVM until it is killed. The first one and the last one of a
 * host make the kernel patch its scheduler, which the emulator of vm/run does not survive when
 * another processor executes there (vm/init). So there is always one.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0 || ioctl(kvm, KVM_CREATE_VM, 0) < 0) {
		perror("hold-vm");
		return 1;
	}
	puts("held");
	fflush(stdout);
	pause();
	return 0;
}
