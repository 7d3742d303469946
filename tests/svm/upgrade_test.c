// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * More permission without a full remap: a write installs what changed. And what the mirror knows of
 * permissions at a submission. A device that counts, stacked upon the null device.
 */
#include <sys/shm.h>
#include <sys/syscall.h>
#include "common/svm.h"

#define RW (PROT_READ | PROT_WRITE)
#define BLOCK_PAGES 16

struct counts {
	uint64_t maps;
	uint64_t entries; /* installed */
	uint64_t upgrades;
};

struct upgrade {
	struct mirror m;
	struct counts n;
	char *p; /* M2 bytes, not mapped yet */
};

static int count_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct counts *n = hmm_device_priv(dev);
	struct hmm_device *inner = hmm_device_inner(dev);

	n->maps++;
	n->upgrades += map->flags & HMM_MAP_UPGRADE ? 1 : 0;
	for (uint64_t i = 0; i < map->n; i++)
		n->entries += map->pfns[i] != 0;
	return hmm_device_get_ops(inner)->map(inner, map);
}

static const struct hmm_device_ops count_ops = {
	.size = sizeof(count_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "count",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = count_map,
};

static int setup(void **state)
{
	struct upgrade *u = calloc(1, sizeof(*u));
	struct hmm_device *inner;

	assert_int_equal(hmm_mm_attach(NULL, &u->m.mm), 0);
	assert_int_equal(hmm_device_open(u->m.mm, "null", 1, &inner), 0);
	assert_int_equal(hmm_device_create(u->m.mm, &count_ops, &u->n, inner, &u->m.dev), 0);
	assert_int_equal(hmm_svm_create(u->m.mm, u->m.dev, NULL, &u->m.svm), 0);
	u->p = map_aligned(M2, RW);
	*state = u;
	return 0;
}

static int teardown(void **state)
{
	struct upgrade *u = *state;

	mirror_close(&u->m);
	munmap(u->p, M2);
	free(u);
	return 0;
}

static void map_file(struct upgrade *u, int flags)
{
	char path[] = "upgrade-XXXXXX";
	int fd = mkstemp(path);

	unlink(path);
	assert_int_equal(ftruncate(fd, M2), 0);
	assert_ptr_equal(mmap(u->p, M2, RW, flags | MAP_FIXED, fd, 0), u->p);
	close(fd);
}

static void fault(struct upgrade *u, size_t offset, int prot)
{
	assert_int_equal(hmm_svm_fault(u->m.svm, at(u->p) + offset, 1, prot), 0);
}

static uint64_t entry(struct upgrade *u, size_t offset)
{
	return hmm_ptable_lookup(hmm_device_priv(hmm_device_inner(u->m.dev)), at(u->p) + offset,
				 NULL);
}

static unsigned int with(struct upgrade *u, uint64_t bit)
{
	unsigned int n = 0;

	for (size_t i = 0; i < M2; i += PAGE)
		n += (entry(u, i) & bit) != 0;
	return n;
}

static void of_a_file_the_block_alone(struct upgrade *u, int flags)
{
	mirror_need(&u->m, false, true);
	map_file(u, flags);
	fault(u, 0, PROT_READ);
	assert_int_equal(u->n.entries, 512);
	fault(u, 5 * K64, RW);
	assert_int_equal(u->n.entries, 512 + BLOCK_PAGES);
	assert_int_equal(u->n.upgrades, 1);
	fault(u, 9 * K64 + 3 * PAGE, RW);
	assert_int_equal(u->n.entries, 512 + 2 * BLOCK_PAGES);
	/* The first one is writable still, and known to be. */
	assert_int_equal(with(u, HMM_PFN_WRITE), 2 * BLOCK_PAGES);
	assert_int_equal(with(u, HMM_PFN_VALID), 512);
	fault(u, 5 * K64 + PAGE, RW);
	assert_int_equal(u->n.maps, 3);
	assert_int_equal(svm_stats(&u->m).range_faults, 3);
	assert_int_equal(svm_stats(&u->m).chunks_found, 1);
}

static void a_write_to_a_shared_file_installs_its_block_alone(void **state)
{
	of_a_file_the_block_alone(*state, MAP_SHARED);
}

static void a_write_to_a_private_file_installs_its_block_alone(void **state)
{
	of_a_file_the_block_alone(*state, MAP_PRIVATE);
}

/* Against the stream, so that none is taken for one. */
static void blocks_add_up_to_a_writable_chunk(void **state)
{
	struct upgrade *u = *state;

	mirror_need(&u->m, false, true);
	map_file(u, MAP_SHARED);
	fault(u, 0, PROT_READ);
	for (int i = 31; i >= 0; i--)
		fault(u, (size_t)i * K64, RW);
	assert_int_equal(u->n.entries, 2 * 512);
	assert_int_equal(with(u, HMM_PFN_WRITE), 512);
	assert_int_equal(hmm_svm_fault(u->m.svm, at(u->p), M2, RW), 0);
	assert_int_equal(svm_stats(&u->m).range_faults, 33);
}

static void a_write_to_private_memory_leaves_what_is_writable(void **state)
{
	struct upgrade *u = *state;

	munmap(u->p, M2);
	u->p = map_unwritten(M2);
	memset(u->p, 1, M2 / 2);
	fault(u, 0, PROT_READ);
	assert_int_equal(with(u, HMM_PFN_WRITE), 256);
	assert_int_equal(u->n.entries, 512);
	fault(u, M2 / 2, RW);
	assert_int_equal(with(u, HMM_PFN_WRITE), 512);
	assert_int_equal(u->n.entries, 512 + 256);
}

/* A chunk of which something is missing is installed anew, whatever was known of its blocks. */
static void after_an_invalidation_nothing_is_taken_for_granted(void **state)
{
	struct upgrade *u = *state;

	mirror_need(&u->m, false, true);
	map_file(u, MAP_SHARED);
	fault(u, 0, PROT_READ);
	fault(u, 20 * K64, RW);
	assert_int_equal(madvise(u->p + 3 * K64, PAGE, MADV_DONTNEED), 0);
	barrier(&u->m);
	assert_int_equal(hmm_mm_note(u->m.mm, HMM_NOTE_DISCARD, at(u->p) + 3 * K64,
				     at(u->p) + 3 * K64 + PAGE),
			 0);
	assert_int_equal(with(u, HMM_PFN_VALID), 511);
	fault(u, 9 * K64, RW);
	assert_int_equal(with(u, HMM_PFN_VALID), 512);
	assert_true(entry(u, 9 * K64) & HMM_PFN_WRITE);
	fault(u, 3 * K64, RW);
	assert_true(entry(u, 3 * K64) & HMM_PFN_WRITE);
}

/* The null device runs no jobs, but the barrier comes first. */
static void submit(struct upgrade *u)
{
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel_touch, .items = 1 };

	assert_int_equal(hmm_svm_submit(u->m.svm, &job), -EOPNOTSUPP);
}

static void a_writable_block_is_dropped_when_the_permission_went(void **state)
{
	struct upgrade *u = *state;

	mirror_need(&u->m, false, true);
	map_file(u, MAP_SHARED);
	fault(u, 0, PROT_READ);
	fault(u, 5 * K64, RW);
	submit(u);
	assert_int_equal(svm_stats(&u->m).dropped_at_submit, 0);
	assert_int_equal(syscall(SYS_mprotect, u->p, M2, PROT_READ), 0);
	submit(u);
	assert_int_equal(svm_stats(&u->m).dropped_at_submit, 1);
	assert_int_equal(with(u, HMM_PFN_VALID), 0);
	/* What is only read there stands. */
	fault(u, 0, PROT_READ);
	submit(u);
	assert_int_equal(svm_stats(&u->m).dropped_at_submit, 1);
}

/* Chunks of three kinds and all sizes, in runs and alone. */
static void what_stands_is_kept_at_submit(void **state)
{
	struct upgrade *u = *state;
	char *q = map_aligned(3 * M2 + K64 + PAGE, RW), *r = map_aligned(M2, RW);
	int fd = memfd_create("upgrade", MFD_CLOEXEC);
	const int id = shmget(IPC_PRIVATE, M2, IPC_CREAT | 0600);
	char *s = shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	map_file(u, MAP_SHARED);
	assert_int_equal(ftruncate(fd, M2), 0);
	assert_ptr_equal(mmap(r, M2, RW, MAP_SHARED | MAP_FIXED, fd, 0), r);
	assert_int_equal(hmm_svm_fault(u->m.svm, at(q), 3 * M2 + K64 + PAGE, RW), 0);
	assert_int_equal(hmm_svm_fault(u->m.svm, at(r), M2, PROT_READ), 0);
	assert_true(hmm_svm_fault(u->m.svm, at(s), M2, PROT_READ) >= 0);
	assert_true(hmm_svm_fault(u->m.svm, at(u->p), M2, PROT_READ) >= 0);
	for (int i = 0; i < 3; i++)
		submit(u);
	assert_int_equal(svm_stats(&u->m).dropped_at_submit, 0);
	/* One of them gone, the others are kept. */
	assert_ptr_equal(mmap(r, M2, RW, MAP_SHARED | MAP_FIXED, fd, 0), r);
	submit(u);
	assert_int_equal(svm_stats(&u->m).dropped_at_submit, 0);
	assert_int_equal(svm_stats(&u->m).unmaps, 1);
	munmap(q, 3 * M2 + K64 + PAGE);
	munmap(r, M2);
	shmdt(s);
	close(fd);
}

static void a_segment_in_the_place_of_memory_is_found_at_submit(void **state)
{
	struct upgrade *u = *state;
	int id = shmget(IPC_PRIVATE, M2, IPC_CREAT | 0600);

	fault(u, 0, RW);
	submit(u);
	assert_int_equal(with(u, HMM_PFN_VALID), 512);
	assert_ptr_equal(shmat(id, u->p, SHM_REMAP), u->p);
	shmctl(id, IPC_RMID, NULL);
	submit(u);
	assert_int_equal(svm_stats(&u->m).dropped_at_submit, 1);
	assert_int_equal(with(u, HMM_PFN_VALID), 0);
}

static void pages_of_a_file_in_another_order_are_found_at_submit(void **state)
{
	struct upgrade *u = *state;

	mirror_need(&u->m, false, true);
	map_file(u, MAP_SHARED);
	fault(u, 0, PROT_READ);
	assert_int_equal(syscall(SYS_remap_file_pages, u->p, PAGE, 0UL, 7UL, 0UL), 0);
	submit(u);
	assert_true(svm_stats(&u->m).dropped_at_submit > 0);
	assert_int_equal(entry(u, 0), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_write_to_a_shared_file_installs_its_block_alone),
		T(a_write_to_a_private_file_installs_its_block_alone),
		T(blocks_add_up_to_a_writable_chunk),
		T(a_write_to_private_memory_leaves_what_is_writable),
		T(after_an_invalidation_nothing_is_taken_for_granted),
		T(a_writable_block_is_dropped_when_the_permission_went),
		T(what_stands_is_kept_at_submit),
		T(a_segment_in_the_place_of_memory_is_found_at_submit),
		T(pages_of_a_file_in_another_order_are_found_at_submit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
