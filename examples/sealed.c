// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Memory that nobody reads while it is not needed (hmm-devmem(7), SEALED MEMORY). A word goes to
 * the holder, is changed there, and comes home when the program asks for it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

static size_t page_size;

/* What migrates is trapped as a whole mapping: pages that nobody can touch keep it apart. */
static char *map_apart(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *room = mmap(NULL, 3 * page_size, PROT_NONE, flags, -1, 0);

	if (room == MAP_FAILED || mprotect(room + page_size, page_size, PROT_READ | PROT_WRITE))
		return NULL;
	return room + page_size;
}

static int seal(struct hmm_sealed *sealed, uint64_t start)
{
	struct hmm_migrate_result result = { .size = sizeof(result) };
	int err = hmm_migrate_to_device(hmm_sealed_devmem(sealed), start, start + page_size,
					HMM_FOREVER, &result);

	if (!err)
		printf("%s: %llu KiB are in process %d\n", hmm_sealed_name(sealed),
		       (unsigned long long)(result.moved * HMM_PAGE_SIZE >> 10),
		       (int)hmm_sealed_holder(sealed));
	return err;
}

static int use(struct hmm_sealed *sealed, uint64_t *word)
{
	const uint64_t start = (uintptr_t)word;
	int err = seal(sealed, start);

	/* A touch would be SIGBUS now. */
	if (!err)
		err = hmm_sealed_run(sealed, HMM_SEALED_ADD, start, start + sizeof(*word), 40,
				     HMM_FOREVER, NULL);
	if (!err)
		err = hmm_sealed_get(sealed, start, start + page_size, HMM_FOREVER);
	if (!err)
		printf("the word is %llu\n", (unsigned long long)*word);
	return err ? err : *word == 42 ? 0 : -EIO;
}

int main(void)
{
	struct hmm_sealed *sealed = NULL;
	struct hmm_mm *mm = NULL;
	uint64_t *word;
	int err;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	word = (uint64_t *)map_apart();
	if (!word)
		return 1;
	*word = 2;
	err = hmm_mm_attach(NULL, &mm);
	if (!err)
		err = hmm_sealed_create(mm, 2 << 20, HMM_SEALED_REQUEST, 0, &sealed);
	if (err == -EOPNOTSUPP) {
		puts("no device memory here: the kernel moves no pages");
		hmm_mm_detach(mm);
		return 0;
	}
	if (hmm_sealed_supported())
		puts("no memfd_secret here: root can read what is unsealed");
	if (!err)
		err = use(sealed, word);
	if (!err)
		err = hmm_sealed_destroy(sealed, HMM_FOREVER);
	hmm_mm_detach(mm);
	if (err)
		fprintf(stderr, "sealed: %s\n", strerror(-err));
	return err ? 1 : 0;
}
