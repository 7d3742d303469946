// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pages that live in a device's memory (hmm-devmem(7)). Sends an array to the device, as far as it
 * can move; the device doubles it there; the CPU reads one number, which brings that page home, and
 * hmm_evict_all() brings the rest. Then device and CPU count one word up together: the device takes
 * its page exclusively, the CPU takes it back by touching it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

#define PAGES 64
#define COUNTS 1000

static struct hmm_mm *mm;
static struct hmm_devmem *devmem;
static struct hmm_engine *engine;
static struct hmm_interval_notifier *notifier;
static char device; /* who owns the region */
static size_t page_size;
static uint64_t entries[16 * PAGES]; /* of pages that may be 64 KiB */

static int invalidate(struct hmm_interval_notifier *n, const struct hmm_invalidation *inv,
		      void *priv)
{
	(void)n;
	(void)inv;
	(void)priv;
	return 0; /* the device looks at the sequence */
}

static int open_device(const char *memory)
{
	const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
						       .invalidate = invalidate };
	const struct hmm_devmem_options options = { .size = sizeof(options),
						    .bytes = 64 << 20,
						    .owner = &device };
	int err = hmm_mm_attach(NULL, &mm);

	if (!err)
		err = hmm_devmem_create(mm, &options, &devmem);
	if (!err)
		err = hmm_engine_create(mm, &engine);
	if (!err)
		err = hmm_interval_notifier_insert(mm, (uintptr_t)memory, PAGES * page_size, &ops,
						   NULL, &notifier);
	return err;
}

static int close_device(void)
{
	int err;

	hmm_interval_notifier_remove(notifier);
	hmm_engine_destroy(engine);
	err = hmm_devmem_destroy(devmem, HMM_FOREVER);
	hmm_mm_detach(mm);
	return err;
}

static int send(const char *memory)
{
	struct hmm_migrate_result result = { .size = sizeof(result) };
	const uint64_t start = (uintptr_t)memory;
	int err = hmm_migrate_to_device(devmem, start, start + PAGES * page_size, HMM_FOREVER,
					&result);

	printf("%llu KiB moved to the device\n",
	       (unsigned long long)(result.moved * HMM_PAGE_SIZE >> 10));
	for (int why = 0; why < HMM_MIGRATE_REASON_NR; why++) {
		if (result.left[why])
			printf("%llu KiB stayed: %s\n",
			       (unsigned long long)(result.left[why] * HMM_PAGE_SIZE >> 10),
			       hmm_migrate_reason_name(why));
	}
	return err == -ENOENT ? 0 : err; /* what stays is used in place */
}

/* Doubles the first word of each page, on the device or in place. */
static int double_all(const char *memory)
{
	struct hmm_range range = { .size = sizeof(range),
				   .notifier = notifier,
				   .start = (uintptr_t)memory,
				   .end = (uintptr_t)memory + PAGES * page_size,
				   .hmm_pfns = entries,
				   .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE,
				   .dev_private_owner = &device };
	bool valid = false;

	while (!valid) {
		int err = hmm_range_fault(&range, HMM_FOREVER);

		if (err)
			return err;
		hmm_engine_enter(engine);
		valid = !hmm_interval_read_retry(notifier, range.notifier_seq);
		for (size_t i = 0; valid && i < PAGES; i++) {
			uint64_t entry = entries[i * (page_size / HMM_PAGE_SIZE)];

			*(uint64_t *)(uintptr_t)hmm_pfn_to_addr(entry) *= 2;
		}
		hmm_engine_exit(engine);
	}
	return 0;
}

static void *count_on_cpu(void *word)
{
	for (int i = 0; i < COUNTS; i++)
		__atomic_fetch_add((uint64_t *)word, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Two steps, which the CPU neither sees nor crosses while the device has the page. */
static int count_on_device(const uint64_t *word)
{
	const uint64_t start = (uintptr_t)word;

	for (int done = 0; done < COUNTS;) {
		struct hmm_exclusive *exclusive;
		uint64_t at;
		int err = hmm_exclusive_begin(mm, start, start + page_size, &device, HMM_FOREVER,
					      &exclusive);

		if (err == -EBUSY)
			continue; /* the CPU was faster */
		if (err)
			return err;
		hmm_engine_enter(engine);
		if (!hmm_exclusive_check(exclusive, start, &at)) {
			uint64_t value = *(uint64_t *)(uintptr_t)at;

			*(uint64_t *)(uintptr_t)at = value + 1;
			done++;
		}
		hmm_engine_exit(engine);
		hmm_exclusive_end(exclusive);
	}
	return 0;
}

static int together(uint64_t *word)
{
	pthread_t thread;
	int err;

	*word = 0;
	err = -pthread_create(&thread, NULL, count_on_cpu, word);
	if (err)
		return err;
	err = count_on_device(word);
	pthread_join(thread, NULL);
	printf("device and CPU have counted to %llu\n", (unsigned long long)*word);
	return err ? err : *word == 2 * COUNTS ? 0 : -EIO;
}

static int show(const char *memory)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };
	int err = double_all(memory);

	if (err)
		return err;
	printf("page 5 has %llu\n", (unsigned long long)*(uint64_t *)(memory + 5 * page_size));
	err = hmm_devmem_get_stats(devmem, &stats);
	printf("%llu KiB on the device after a touch of the CPU's\n",
	       (unsigned long long)((stats.moved_out - stats.moved_home) >> 10));
	if (!err)
		err = hmm_evict_all(mm, HMM_FOREVER);
	for (size_t i = 0; !err && i < PAGES; i++) {
		if (*(uint64_t *)(memory + i * page_size) != 2 * i)
			err = -EIO;
	}
	return err;
}

/*
 * What migrates is trapped as a whole mapping, and the kernel joins mappings that lie side by side.
 * So pages that nobody can touch keep this one apart.
 */
static char *map_apart(size_t bytes)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *room = mmap(NULL, bytes + 2 * page_size, PROT_NONE, flags, -1, 0);

	if (room == MAP_FAILED || mprotect(room + page_size, bytes, PROT_READ | PROT_WRITE))
		return NULL;
	return room + page_size;
}

int main(void)
{
	char *memory;
	int err;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	memory = map_apart(PAGES * page_size);
	if (!memory)
		return 1;
	for (size_t i = 0; i < PAGES; i++)
		*(uint64_t *)(memory + i * page_size) = i;
	err = open_device(memory);
	if (err == -EOPNOTSUPP) {
		puts("no device memory here: the kernel moves no pages");
		hmm_mm_detach(mm);
		return 0;
	}
	if (!err)
		err = send(memory);
	if (!err)
		err = show(memory);
	if (!err)
		err = hmm_migrate_to_system(mm, 0, UINT64_MAX, HMM_FOREVER);
	if (!err)
		err = together((uint64_t *)memory);
	if (!err)
		err = close_device();
	munmap(memory - page_size, (PAGES + 2) * page_size);
	if (err)
		fprintf(stderr, "migrate: %s\n", strerror(-err));
	return err ? 1 : 0;
}
