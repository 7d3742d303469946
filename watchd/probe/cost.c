// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * watch-cost: what an munmap of 16 KiB costs in a process that nobody watches while another one is
 * watched, beside the same without programs; and in one that is watched, by functions and by the
 * kernel's notifiers. Emulated guests count instructions more than time: the ratios are what this
 * is for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "watchd/probe/log.h"

#define BYTES 16384
#define TIMES 3000
#define ROUNDS 5

static int to[2], from[2];

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* The median time of an munmap. */
static double measure(void)
{
	static double took[TIMES];
	double began;
	char *p;
	int i;

	for (i = 0; i < TIMES; i++) {
		p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		began = now();
		munmap(p, BYTES);
		took[i] = now() - began;
	}
	qsort(took, TIMES, sizeof(*took), compare);
	return took[TIMES / 2];
}

/* 0; -errno: the process's space has no notifier. */
static int make_anchor(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, err = 0;
	double began = now(), made;

	if (kvm < 0)
		return -errno;
	vm = ioctl(kvm, KVM_CREATE_VM, 0);
	err = vm < 0 ? -errno : 0;
	made = now();
	if (vm >= 0)
		close(vm);
	printf("a virtual machine: made in %.1f ms, closed in %.1f ms\n", (made - began) / 1e6,
	       (now() - made) / 1e6);
	close(kvm);
	return err;
}

static void start(unsigned int flags, struct watch_loader **loader, struct probe_log *log)
{
	int err = watch_load(flags, loader);

	if (!err)
		err = probe_log_open(*loader, 1 << 20, 0, log);
	if (!err)
		return;
	fprintf(stderr, "watch-cost: %s\n", strerror(-err));
	exit(err == -EPERM || err == -EOPNOTSUPP ? 77 : 1);
}

/* The other process, which nobody watches. */
static double ask(void)
{
	double ns;

	if (write(to[1], "m", 1) != 1 || read(from[0], &ns, sizeof(ns)) != sizeof(ns))
		exit(1);
	return ns;
}

static void answer(void)
{
	double ns;
	char byte;

	close(to[1]);
	while (read(to[0], &byte, 1) == 1) {
		ns = measure();
		if (write(from[1], &ns, sizeof(ns)) != sizeof(ns))
			break;
	}
	_exit(0);
}

/* In turns, as a machine is not as fast all the time. */
static void compare_both(const char *what, unsigned int flags)
{
	double before = ask(), after, own[ROUNDS], other[ROUNDS], plain;
	struct watch_loader *loader;
	struct probe_log log;
	bool anchored;

	start(flags, &loader, &log);
	anchored = log.space->anchored;
	for (int i = 0; i < ROUNDS; i++) {
		other[i] = ask();
		own[i] = measure();
	}
	watch_unload(loader);
	after = ask();
	plain = (before + after) / 2;
	qsort(own, ROUNDS, sizeof(*own), compare);
	qsort(other, ROUNDS, sizeof(*other), compare);
	printf("%s (%s): without programs %.0f and %.0f ns, unwatched %.0f ns (%.3f), watched %.0f "
	       "ns (%.3f)\n",
	       what, anchored ? "anchored" : "not anchored", before, after, other[ROUNDS / 2],
	       other[ROUNDS / 2] / plain, own[ROUNDS / 2], own[ROUNDS / 2] / plain);
}

int main(void)
{
	int err;

	if (pipe(to) || pipe(from))
		return 1;
	if (!fork())
		answer();
	ask();
	printf("munmap of 16 KiB\n");
	compare_both("all programs", 0);
	err = make_anchor();
	if (err) {
		printf("no anchor: %s\n", strerror(-err));
		return 0;
	}
	make_anchor(); /* once more: how long it takes */
	compare_both("all programs", 0);
	compare_both("programs at the notifiers alone", WATCH_LOAD_ANCHORED);
	return 0;
}
