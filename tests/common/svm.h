/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* svm: an attached space, a device and a mirror for it, with their counters; memory; jobs. */
#ifndef TESTS_SVM_H
#define TESTS_SVM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hmm/hmm.h>

#include "common/apart.h"
#include "common/zero_page.h"

#define PAGE 4096UL
#define K64 (64UL << 10)
#define M2 (2UL << 20)

struct mirror {
	struct hmm_mm *mm;
	struct hmm_device *dev;
	struct hmm_svm *svm;
};

/* mm_flags: HMM_MM_*, to behave as a lesser kernel */
static inline void mirror_open_as(struct mirror *m, uint32_t mm_flags, const char *spec,
				  unsigned int engines, const struct hmm_svm_options *options)
{
	struct hmm_mm_options o = HMM_MM_OPTIONS_INIT;

	o.flags = mm_flags;
	assert_int_equal(hmm_mm_attach(&o, &m->mm), 0);
	assert_int_equal(hmm_device_open(m->mm, spec, engines, &m->dev), 0);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, options, &m->svm), 0);
}

static inline void mirror_open(struct mirror *m, const char *spec, unsigned int engines,
			       const struct hmm_svm_options *options)
{
	mirror_open_as(m, 0, spec, engines, options);
}

/* Of a file in this folder: on tmpfs it is memory. */
static inline enum hmm_vma_kind file_kind(struct hmm_mm *mm)
{
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	void *p = fd < 0 || ftruncate(fd, PAGE) ? MAP_FAILED
						: mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	struct hmm_vma vma = { .kind = HMM_VMA_FILE };

	if (p != MAP_FAILED) {
		hmm_vma_find(mm, (uint64_t)(uintptr_t)p, &vma);
		munmap(p, PAGE);
	}
	if (fd >= 0)
		close(fd);
	return vma.kind;
}

/* Skips a test of what this kernel, or one that is pretended, does not give. */
static inline void mirror_need(struct mirror *m, bool scan, bool files)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	assert_int_equal(hmm_mm_get_info(m->mm, &info), 0);
	if (scan && !info.pagemap_scan) {
		print_message("nothing tells which pages are huge (PAGEMAP_SCAN)\n");
		skip();
	}
	if (files && info.reduced) {
		print_message("files are never cached here (WP_ASYNC, PAGEMAP_SCAN)\n");
		skip();
	}
	if (files && file_kind(m->mm) != HMM_VMA_FILE) {
		print_message("files of this folder are memory (tmpfs)\n");
		skip();
	}
}

static inline void mirror_close(struct mirror *m)
{
	hmm_svm_destroy(m->svm);
	hmm_device_destroy(m->dev);
	hmm_mm_detach(m->mm);
}

static inline struct hmm_device_stats device_stats(struct mirror *m)
{
	struct hmm_device_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_device_get_stats(m->dev, &s), 0);
	return s;
}

static inline struct hmm_svm_stats svm_stats(struct mirror *m)
{
	struct hmm_svm_stats s = { .size = sizeof(s) };

	assert_int_equal(hmm_svm_get_stats(m->svm, &s), 0);
	return s;
}

static inline uint64_t at(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

/*
 * Memory that begins on a 2 MiB boundary, with an unmapped page in front and behind, 4K pages only,
 * so that what chunks it makes is known.
 */
static inline char *map_aligned(size_t bytes, int prot)
{
	char *p = map_apart(bytes, prot);

	madvise(p, bytes, MADV_NOHUGEPAGE);
	return p;
}

/*
 * Memory of which a page that was only read is not writable yet: the zero page; where the kernel
 * shares none, a page of a memfd in a private mapping.
 */
static inline char *map_unwritten(size_t bytes)
{
	char *p = map_aligned(bytes, PROT_READ | PROT_WRITE);
	int fd;

	if (!reads_make_private(PAGE))
		return p;
	fd = memfd_create("unwritten", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_ptr_equal(mmap(p, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0), p);
	close(fd);
	return p;
}

static inline void barrier(struct mirror *m)
{
	assert_int_equal(hmm_mm_barrier(m->mm, HMM_FOREVER), 0);
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Run one kernel function over so many items; returns the job's status. */
static inline int run(struct mirror *m, int (*kernel)(struct hmm_ctx *, uint64_t, void *),
		      void *arg, uint64_t items)
{
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel, .arg = arg, .items = items };

	return hmm_svm_run(m->svm, &job);
}

/* Kernels that most tests need: copy to or from the job's own memory. */
struct span {
	uint64_t va;
	size_t len;
	void *buf;
	int prot;
};

static inline int kernel_load(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct span *s = arg;

	(void)item;
	return hmm_load(ctx, s->buf, s->va, s->len);
}

static inline int kernel_store(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct span *s = arg;

	(void)item;
	return hmm_store(ctx, s->va, s->buf, s->len);
}

/* Touch the first byte through hmm_access(). */
static inline int kernel_touch(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct span *s = arg;
	void *p;

	(void)item;
	return hmm_access(ctx, s->va, s->len, s->prot, &p);
}

#endif
