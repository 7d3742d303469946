// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample.h"

#define MIB (1UL << 20)

static void *map(size_t size, int flags, int fd)
{
	void *p =
		mmap(NULL, size, fd < 0 || flags & MAP_SHARED ? PROT_READ | PROT_WRITE : PROT_READ,
		     flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int make_files(struct sample *s)
{
	int memfd = memfd_create("sample", MFD_CLOEXEC),
	    self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	int ret = 0;

	s->size[2] = 4 * MIB;
	if (memfd < 0 || self < 0 || ftruncate(memfd, 4 * MIB) || fstat(self, &st)) {
		ret = -errno;
	} else {
		s->base[2] = map(s->size[2], MAP_SHARED, memfd);
		s->size[3] = (size_t)st.st_size;
		s->base[3] = map(s->size[3], MAP_PRIVATE, self);
		if (!s->base[2] || !s->base[3])
			ret = -ENOMEM;
	}
	if (memfd >= 0)
		close(memfd);
	if (self >= 0)
		close(self);
	return ret;
}

struct half {
	uint64_t start;
	uint64_t end;
};

/* Reads a byte of each page of the half: what the device has not is a fault. */
static int read_half(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	const struct half *half = arg;
	char byte;
	int ret = 0;

	for (uint64_t at = half->start; at < half->end && !ret; at += HMM_PAGE_SIZE)
		ret = hmm_load(ctx, &byte, at, 1);
	return ret;
}

/* A device that runs nothing is given what it would have faulted. */
static int fault_half(struct session *session, uint64_t start, uint64_t end)
{
	struct half half = { start, end };
	struct hmm_job_range range = { start, end, PROT_READ, 0 };
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = read_half,
			       .arg = &half,
			       .items = 1,
			       .ranges = &range,
			       .nranges = 1 };
	int64_t done;
	int ret = hmm_svm_run(session->svm, &job);

	if (ret != -EOPNOTSUPP)
		return ret;
	done = hmm_svm_prefetch(session->svm, start, end, PROT_READ);
	return done < 0 ? (int)done : 0;
}

int sample_make(struct sample *s, struct session *session)
{
	char *aligned;
	int ret;

	memset(s, 0, sizeof(*s));
	s->size[0] = 2 * MIB;
	s->size[1] = 10 * MIB;
	s->base[0] = map(s->size[0], MAP_PRIVATE | MAP_ANONYMOUS, -1);
	s->base[1] = map(s->size[1], MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!s->base[0] || !s->base[1])
		return -ENOMEM;
	ret = make_files(s);
	if (ret)
		return ret;
	madvise(s->base[0], s->size[0], MADV_NOHUGEPAGE);
	madvise(s->base[1], s->size[1], MADV_HUGEPAGE);
	aligned = (char *)(((uintptr_t)s->base[1] + 2 * MIB - 1) & ~(2 * MIB - 1));
	memset(s->base[0], 1, s->size[0] * 3 / 4);
	memset(aligned, 1, 6 * MIB);
	memset(s->base[2], 1, s->size[2] / 2);
	for (int i = 0; i < SAMPLES && !ret; i++)
		ret = session_migrate(session, s->base[i], s->size[i]);
	for (int i = 0; i < SAMPLES && !ret; i++) {
		uint64_t start = i == 1 ? (uintptr_t)aligned : (uintptr_t)s->base[i];
		uint64_t half =
			i == 1 ? 4 * MIB
			       : (s->size[i] / 2 + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1);

		ret = fault_half(session, start, start + half);
	}
	return ret;
}

void sample_free(struct sample *s)
{
	for (int i = 0; i < SAMPLES; i++)
		if (s->base[i])
			munmap(s->base[i], s->size[i]);
}
