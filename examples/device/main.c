// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Registers the device, opens it by name under another of the library's, and adds numbers up on it.
 */
#include <stdio.h>
#include <stdlib.h>
#include "count.h"

#define NUMBERS 1000000
#define ITEMS 100

struct job {
	unsigned int *numbers;
	uint64_t sums[ITEMS];
};

static int add(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	const uint64_t n = NUMBERS / ITEMS;
	struct job *job = arg;
	unsigned int *local = ctx->scratch;
	uint64_t sum = 0;
	int ret = hmm_load(ctx, local, (uint64_t)(uintptr_t)(job->numbers + item * n),
			   n * sizeof(*local));

	for (uint64_t i = 0; !ret && i < n; i++)
		sum += local[i];
	job->sums[item] = sum;
	return ret;
}

static int run(struct hmm_mm *mm, struct job *job, struct hmm_device_stats *stats)
{
	struct hmm_job work = { .size = sizeof(work), .kernel = add, .arg = job, .items = ITEMS };
	struct hmm_device *dev = NULL;
	struct hmm_svm *svm = NULL;
	int ret = hmm_device_open(mm, "delay:us=5,count:label=adds up", 2, &dev);

	if (!ret)
		ret = hmm_svm_create(mm, dev, NULL, &svm);
	if (!ret)
		ret = hmm_svm_run(svm, &work);
	if (!ret)
		ret = hmm_device_get_stats(dev, stats);
	hmm_svm_destroy(svm);
	hmm_device_destroy(dev);
	return ret;
}

int main(void)
{
	struct hmm_device_stats stats = { .size = sizeof(stats) };
	struct job job = { .numbers = malloc(NUMBERS * sizeof(*job.numbers)) };
	struct hmm_mm *mm = NULL;
	uint64_t sum = 0;
	int ret = job.numbers ? hmm_mm_attach(NULL, &mm) : -1;

	for (unsigned int i = 0; job.numbers && i < NUMBERS; i++)
		job.numbers[i] = i;
	if (!ret)
		ret = hmm_device_register(&count_driver);
	if (!ret)
		ret = run(mm, &job, &stats);
	hmm_device_unregister("count");
	hmm_mm_detach(mm);
	free(job.numbers);
	for (unsigned int i = 0; i < ITEMS; i++)
		sum += job.sums[i];
	if (ret || sum != (uint64_t)NUMBERS * (NUMBERS - 1) / 2) {
		fprintf(stderr, "error %d, sum %llu\n", ret, (unsigned long long)sum);
		return 1;
	}
	printf("sum %llu, %llu look-ups, %llu faults\n", (unsigned long long)sum,
	       (unsigned long long)stats.tlb_misses, (unsigned long long)stats.device_faults);
	return 0;
}
