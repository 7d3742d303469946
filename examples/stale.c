// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Why libhmm: a device keeps the page that it found behind an address, the program then puts other
 * memory there, and the device reads. Once nobody tells the device, once hooks in front of libc's
 * calls do, as registration caches have them, and once libhmm does.
 *
 * The device is a pipe: vmsplice() gives it a reference to the page itself, as hardware has one
 * for its DMA, and tee() reads the page again and again.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <hmm/hmm.h>

enum teller { NOBODY, HOOKS, LIBHMM, TELLERS };

static enum teller teller;
static char *memory; /* one page of the program */
static size_t page_size;

static struct hmm_mm *mm;
static struct hmm_interval_notifier *notifier;
static struct hmm_engine *engine;
static uint64_t entries[16]; /* of the page, which may be 64 KiB */
static struct hmm_range range;

static void need(int error, const char *what)
{
	if (error >= 0)
		return;
	fprintf(stderr, "stale: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* ---- the device ---------------------------------------------------------------------------- */

static int held[2] = { -1, -1 }; /* the page that it holds */
static int scratch[2];           /* bytes on their way */
static _Atomic bool installed;   /* it may use what it holds */
static bool once;                /* ... for one read, as the page is not to be cached */

static void device_drop(void)
{
	close(held[0]);
	close(held[1]);
	held[0] = held[1] = -1;
}

static void device_take(void)
{
	struct iovec iov = { memory, page_size };

	if (held[0] >= 0)
		device_drop();
	need(pipe2(held, O_CLOEXEC | O_NONBLOCK) ? -errno : 0, "pipe2");
	need(vmsplice(held[1], &iov, 1, 0) < 0 ? -errno : 0, "vmsplice");
}

static char device_read(void)
{
	char byte = 0;

	need(tee(held[0], scratch[1], 1, 0) < 0 ? -errno : 0, "tee");
	need(read(scratch[0], &byte, 1) < 0 ? -errno : 0, "read");
	return byte;
}

/* ---- its driver, with libhmm --------------------------------------------------------------- */

/* Mostly on a thread of the library's, while the program's call has not returned. */
static int invalidate(struct hmm_interval_notifier *n, const struct hmm_invalidation *inv,
		      void *priv)
{
	atomic_store(&installed, false);
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), invalidate };

static void driver_fault(void)
{
	bool stands = false;

	while (!stands) {
		need(hmm_range_fault(&range, 0), "hmm_range_fault");
		device_take();
		hmm_engine_commit_begin(mm);
		stands = !hmm_interval_read_retry(notifier, range.notifier_seq);
		once = entries[0] & HMM_PFN_TRANSIENT;
		atomic_store(&installed, stands && !once);
		hmm_engine_commit_end(mm);
	}
}

static char driver_read(void)
{
	char byte = 0;

	for (;;) {
		bool may;

		hmm_engine_enter(engine);
		may = atomic_load(&installed) || (once && !hmm_range_valid(&range, HMM_CHECK_ALL));
		if (may)
			byte = device_read();
		if (hmm_engine_exit(engine) && may)
			return byte;
		driver_fault();
	}
}

/* ---- its driver, without ------------------------------------------------------------------- */

/* What libc's call took away. A cache with hooks looks it up and drops it. */
static void hook(const void *addr, size_t len)
{
	if (teller == HOOKS && memory >= (const char *)addr && memory < (const char *)addr + len)
		atomic_store(&installed, false);
}

static char cache_read(void)
{
	if (!atomic_load(&installed)) {
		device_take();
		atomic_store(&installed, true);
	}
	return device_read();
}

static char read_memory(void)
{
	return teller == LIBHMM ? driver_read() : cache_read();
}

/* ---- the program --------------------------------------------------------------------------- */

static char *map_at(char *addr, char fill)
{
	char *p = mmap(addr, page_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (addr ? MAP_FIXED : 0), -1, 0);

	need(p == MAP_FAILED ? -errno : 0, "mmap");
	/* Hooks are called for what mmap() replaces. */
	hook(p, page_size);
	memset(p, fill, page_size);
	return p;
}

static void unmap_and_map(void)
{
	munmap(memory, page_size);
	hook(memory, page_size);
	map_at(memory, 'n');
}

static void map_over(void)
{
	map_at(memory, 'n');
}

static void discard(void)
{
	need(madvise(memory, page_size, MADV_DONTNEED) ? -errno : 0, "madvise");
	hook(memory, page_size);
	memset(memory, 'n', page_size);
}

/* As a language's runtime does, a library with a libc of its own, or the dynamic linker. */
static void raw_discard(void)
{
	need(syscall(SYS_madvise, memory, page_size, MADV_DONTNEED) ? -errno : 0, "madvise");
	memset(memory, 'n', page_size);
}

static void move_onto(void)
{
	char *other = map_at(NULL, 'n');
	void *p = mremap(other, page_size, page_size, MREMAP_MAYMOVE | MREMAP_FIXED, memory);

	need(p == MAP_FAILED ? -errno : 0, "mremap");
	/* The hooks of today's caches look at what mremap() moves, not at what it replaces. */
	hook(other, page_size);
}

static const struct {
	const char *name;
	void (*change)(void);
	bool hooked; /* hooks see it */
} changes[] = {
	{ "munmap, then mmap", unmap_and_map, true },
	{ "mmap(MAP_FIXED) over it", map_over, true },
	{ "madvise(MADV_DONTNEED)", discard, true },
	{ "madvise as a raw system call", raw_discard, false },
	{ "mremap of other memory onto it", move_onto, false },
};

#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static void begin(void)
{
	memory = map_at(NULL, 'o');
	atomic_store(&installed, false);
	once = false;
	if (teller != LIBHMM)
		return;
	need(hmm_interval_notifier_insert(mm, (uintptr_t)memory, page_size, &ops, NULL, &notifier),
	     "a notifier");
	range = (struct hmm_range){
		.size = sizeof(range),
		.notifier = notifier,
		.start = (uintptr_t)memory,
		.end = (uintptr_t)memory + page_size,
		.hmm_pfns = entries,
		.default_flags = HMM_PFN_REQ_FAULT,
	};
}

static void end(void)
{
	device_drop();
	if (teller == LIBHMM)
		hmm_interval_notifier_remove(notifier);
	munmap(memory, page_size);
}

/* Does the device read what was there before? */
static bool is_stale(void (*change)(void))
{
	bool stale;

	begin();
	if (read_memory() != 'o')
		need(-EIO, "the device");
	change();
	stale = read_memory() != memory[0];
	end();
	return stale;
}

int main(void)
{
	bool as_expected = true;
	int ret = hmm_mm_attach(NULL, &mm);

	if (ret) {
		fprintf(stderr, "stale: cannot attach: %s\n", strerror(-ret));
		return 77;
	}
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	need(pipe2(scratch, O_CLOEXEC | O_NONBLOCK) ? -errno : 0, "pipe2");
	need(hmm_engine_create(mm, &engine), "hmm_engine_create");
	puts("A device holds the page behind an address. The program puts other memory there:\n");
	printf("%-32s  %-14s %-14s %s\n", "", "nobody tells", "hooks tell", "libhmm tells");
	for (size_t i = 0; i < CHANGES; i++) {
		bool stale[TELLERS];

		for (teller = NOBODY; teller < TELLERS; teller++)
			stale[teller] = is_stale(changes[i].change);
		printf("%-32s  %-14s %-14s %s\n", changes[i].name,
		       stale[NOBODY] ? "STALE" : "right", stale[HOOKS] ? "STALE" : "right",
		       stale[LIBHMM] ? "STALE" : "right");
		as_expected &=
			stale[NOBODY] && stale[HOOKS] == !changes[i].hooked && !stale[LIBHMM];
	}
	hmm_engine_destroy(engine);
	hmm_mm_detach(mm);
	return !as_expected;
}
