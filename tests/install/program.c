// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Built as C and as C++ against the installed library: a device sums memory that malloc gave. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <hmm/hmm.h>

#define N 100000

struct sum {
	const unsigned int *numbers;
	unsigned long total;
};

static int add(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct sum *sum = (struct sum *)arg;
	unsigned long total = 0;
	unsigned int number;

	for (size_t i = 0; i < N; i++) {
		int ret = hmm_load(ctx, &number, (uint64_t)(uintptr_t)&sum->numbers[i],
				   sizeof(number));

		if (ret)
			return ret;
		total += number;
	}
	(void)item;
	sum->total = total;
	return 0;
}

/* Loads that may fault, and code with a landing. */
static int guarded(const void *there, const void *gone)
{
	struct hmm_guard guard;
	char byte;

	if (hmm_copy_from_nofault(&byte, there, 1, NULL) ||
	    hmm_copy_from_nofault(&byte, gone, 1, NULL) != -EFAULT)
		return -EIO;
	if (hmm_guard_landing(&guard))
		return guard.hit == (uintptr_t)gone ? 0 : -EIO;
	if (!hmm_guard_arm(&guard, gone, 1))
		byte = *(const volatile char *)gone;
	hmm_guard_disarm(&guard);
	return -EIO;
}

int main(void)
{
	unsigned int *numbers = (unsigned int *)malloc(N * sizeof(*numbers));
	struct sum sum = { numbers, 0 };
	struct hmm_device *device = NULL;
	struct hmm_svm *svm = NULL;
	struct hmm_mm *mm = NULL;
	struct hmm_job job;
	int ret;

	for (unsigned int i = 0; numbers && i < N; i++)
		numbers[i] = i;
	memset(&job, 0, sizeof(job));
	job.size = sizeof(job);
	job.kernel = add;
	job.arg = &sum;
	job.items = 1;
	ret = hmm_mm_attach(NULL, &mm);
	if (!ret)
		ret = hmm_device_open(mm, "soft", 1, &device);
	if (!ret)
		ret = hmm_svm_create(mm, device, NULL, &svm);
	if (!ret)
		ret = hmm_svm_run(svm, &job);
	if (!ret)
		ret = guarded(numbers,
			      mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	hmm_svm_destroy(svm);
	hmm_device_destroy(device);
	hmm_mm_detach(mm);
	free(numbers);
	printf("%d %lu\n", ret, sum.total);
	return ret || sum.total != (unsigned long)N * (N - 1) / 2;
}
