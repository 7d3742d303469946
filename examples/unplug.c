// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A device with memory of its own (hmm-devmem(7)): what the program sends there takes no memory of
 * the process. The CPU reads one page, which the device copies back. Then the device is pulled out:
 * a page that it had is SIGBUS, and the page that had come home is as it was.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

#define PAGES 64
#define DEVICE_BYTES (2 << 20)

static char card[DEVICE_BYTES]; /* the device's memory */
static sigjmp_buf out;

static int copy_in(struct hmm_devmem *devmem, uint64_t offset, const void *from, uint64_t bytes,
		   void *priv)
{
	(void)devmem;
	(void)priv;
	memcpy(card + offset, from, bytes);
	return 0;
}

static int copy_out(struct hmm_devmem *devmem, uint64_t offset, void *to, uint64_t bytes,
		    void *priv)
{
	(void)devmem;
	(void)priv;
	memcpy(to, card + offset, bytes);
	return 0;
}

static void on_sigbus(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static bool is_lost(const char *page)
{
	if (sigsetjmp(out, 1))
		return true;
	signal(SIGBUS, on_sigbus);
	(void)*(const volatile char *)page;
	return false;
}

static int show(struct hmm_devmem *devmem, const char *memory, size_t page_size)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };
	const uint64_t start = (uintptr_t)memory;
	const uint64_t end = start + PAGES * page_size;
	int err = hmm_migrate_to_device(devmem, start, end, HMM_FOREVER, NULL);

	if (!err)
		err = hmm_devmem_get_stats(devmem, &stats);
	if (err)
		return err;
	printf("%llu KiB are on the device alone\n", (unsigned long long)(stats.copied_in >> 10));
	printf("page 5 begins with %d\n", memory[5 * page_size]);
	err = hmm_devmem_lose(devmem);
	if (err)
		return err;
	printf("without the device: page 5 %s, page 40 %s\n",
	       is_lost(memory + 5 * page_size) ? "is lost" : "is there",
	       is_lost(memory + 40 * page_size) ? "is lost" : "is there");
	return 0;
}

/* Pages that nobody can touch keep what migrates apart from what is mapped beside it. */
static char *map_apart(size_t bytes, size_t page_size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *room = mmap(NULL, bytes + 2 * page_size, PROT_NONE, flags, -1, 0);

	if (room == MAP_FAILED || mprotect(room + page_size, bytes, PROT_READ | PROT_WRITE))
		return NULL;
	return room + page_size;
}

int main(void)
{
	const size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	const struct hmm_devmem_options options = { .size = sizeof(options),
						    .bytes = DEVICE_BYTES,
						    .owner = card,
						    .fault_around = 1,
						    .copy_in = copy_in,
						    .copy_out = copy_out };
	struct hmm_devmem *devmem = NULL;
	struct hmm_mm *mm = NULL;
	char *memory = map_apart(PAGES * page_size, page_size);
	int err;

	if (!memory)
		return 1;
	for (size_t i = 0; i < PAGES; i++)
		memory[i * page_size] = (char)i;
	err = hmm_mm_attach(NULL, &mm);
	if (!err)
		err = hmm_devmem_create(mm, &options, &devmem);
	if (err == -EOPNOTSUPP) {
		puts("no device memory here: the kernel moves no pages");
		err = 0;
	} else if (!err) {
		err = show(devmem, memory, page_size);
	}
	hmm_devmem_destroy(devmem, HMM_FOREVER);
	hmm_mm_detach(mm);
	if (err)
		fprintf(stderr, "unplug: %s\n", strerror(-err));
	return err ? 1 : 0;
}
