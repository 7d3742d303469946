// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Shared virtual memory on the null device, whose page table can be looked at. */
#include "common/null.h"

static void options_are_checked(void **state)
{
	struct mirror *m = *state;
	struct hmm_svm_options o = HMM_SVM_OPTIONS_INIT;
	struct hmm_svm *svm;

	hmm_svm_destroy(m->svm);
	o.notifier_size = 256UL << 20;
	assert_int_equal(hmm_svm_create(m->mm, m->dev, &o, &svm), -EINVAL);
	o.notifier_size = 0;
	o.chunk_shifts = 1UL << 13;
	assert_int_equal(hmm_svm_create(m->mm, m->dev, &o, &svm), -EINVAL);
	o.chunk_shifts = 0;
	o.size = 4;
	assert_int_equal(hmm_svm_create(m->mm, m->dev, &o, &svm), -EINVAL);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &m->svm), 0);
}

static void device_has_one_mirror(void **state)
{
	struct mirror *m = *state;
	struct hmm_svm *second;

	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &second), -EBUSY);
}

static void read_fault_installs_the_chunk(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(2 * M2, PROT_READ | PROT_WRITE);

	memset(p, 1, 2 * M2);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 5000, 1, PROT_READ), 0);
	assert_int_equal(entries(m, p, M2), 512);
	assert_int_equal(entries(m, p + M2, M2), 0);
	assert_int_equal(svm_stats(m).range_faults, 1);
	assert_int_equal(svm_stats(m).chunks_2m, 1);
	assert_int_equal(svm_stats(m).notifiers, 1);
	assert_int_equal(svm_stats(m).mapped_bytes, M2);
	munmap(p, 2 * M2);
}

static void second_fault_finds_the_chunk(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + M2 - 1, 1, PROT_READ), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), M2, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(svm_stats(m).range_faults, 1);
	assert_int_equal(svm_stats(m).chunks_found, 2);
	munmap(p, M2);
}

static void chunks_fit_the_mapping(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	/* 64 KiB + 4 KiB are left of it */
	munmap(p + K64 + PAGE, M2 - K64 - PAGE);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(svm_stats(m).chunks_64k, 1);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + K64, 1, PROT_READ), 0);
	assert_int_equal(svm_stats(m).chunks_4k, 1);
	assert_int_equal(svm_stats(m).chunks_2m, 0);
	assert_int_equal(entries(m, p, M2), 17);
	munmap(p, K64 + PAGE);
}

static void chunk_sizes_can_be_restricted(void **state)
{
	struct mirror *m = *state;
	struct hmm_svm_options o = HMM_SVM_OPTIONS_INIT;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	hmm_svm_destroy(m->svm);
	o.chunk_shifts = 1UL << 16;
	assert_int_equal(hmm_svm_create(m->mm, m->dev, &o, &m->svm), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(entries(m, p, M2), 16);
	munmap(p, M2);
}

static void hole_is_a_fault(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ);

	munmap(p, M2);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), -EFAULT);
	assert_int_equal(svm_stats(m).mapped_bytes, 0);
}

static void no_access_is_a_fault(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_NONE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), -EFAULT);
	assert_int_equal(entries(m, p, M2), 0);
	munmap(p, M2);
}

static void write_to_read_only_is_refused(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ | PROT_WRITE), -EPERM);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(entry(m, p) & HMM_PFN_WRITE, 0);
	munmap(p, M2);
}

static void end_of_file_fails_only_beyond_it(void **state)
{
	struct mirror *m = *state;
	int fd = memfd_create("short", 0);
	char *p = map_aligned(M2, PROT_READ);

	assert_int_equal(ftruncate(fd, 5 * PAGE), 0);
	p = mmap(p, M2, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	madvise(p, M2, MADV_NOHUGEPAGE); /* a huge page reaches beyond the end */
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 4 * PAGE, 1, PROT_READ), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 5 * PAGE, 1, PROT_READ), -EFAULT);
	assert_true(entry(m, p + 4 * PAGE) & HMM_PFN_VALID);
	assert_int_equal(entry(m, p + 5 * PAGE), 0);
	munmap(p, M2);
	close(fd);
}

static void write_upgrades_a_readable_chunk(void **state)
{
	struct mirror *m = *state;
	char *p = map_unwritten(M2);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(entry(m, p) & HMM_PFN_WRITE, 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ | PROT_WRITE), 0);
	assert_true(entry(m, p) & HMM_PFN_WRITE);
	assert_int_equal(svm_stats(m).upgrades, 1);
	assert_int_equal(svm_stats(m).range_faults, 2);
	munmap(p, M2);
}

static void munmap_takes_it_from_the_device(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	munmap(p, M2);
	barrier(m);
	assert_int_equal(entries(m, p, M2), 0);
	assert_int_equal(svm_stats(m).mapped_bytes, 0);
	assert_int_equal(svm_stats(m).unmaps, 1);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), -EFAULT);
}

static void younger_mapping_is_faulted_anew(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	uint64_t walks;

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	walks = svm_stats(m).range_faults;
	assert_ptr_equal(mmap(p, M2, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), p);
	barrier(m);
	assert_int_equal(entries(m, p, M2), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_true(svm_stats(m).range_faults > walks);
	munmap(p, M2);
}

static void rest_of_a_chunk_survives_a_partial_unmap(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ | PROT_WRITE), 0);
	munmap(p + 8 * PAGE, 4 * PAGE);
	barrier(m);
	assert_int_equal(entries(m, p, M2), 508);
	assert_int_equal(entry(m, p + 8 * PAGE), 0);
	/* A fault next to the hole is served in spite of it. */
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 12 * PAGE, 1, PROT_READ), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 8 * PAGE, 1, PROT_READ), -EFAULT);
	munmap(p, 8 * PAGE);
	munmap(p + 12 * PAGE, M2 - 12 * PAGE);
	barrier(m);
	assert_int_equal(entries(m, p, M2), 0);
}

static void chunk_unmapped_in_pieces_is_collected(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	munmap(p, M2 / 2);
	barrier(m);
	hmm_svm_collect(m->svm);
	assert_int_equal(svm_stats(m).mapped_bytes, M2);
	munmap(p + M2 / 2, M2 / 2);
	barrier(m);
	assert_int_equal(entries(m, p, M2), 0);
	hmm_svm_collect(m->svm);
	assert_int_equal(svm_stats(m).mapped_bytes, 0);
}

static int on_chunk(const struct hmm_svm_chunk *c, void *arg)
{
	struct hmm_svm_chunk *list = arg;

	while (list->end)
		list++;
	*list = *c;
	return 0;
}

static void walk_lists_the_chunks(void **state)
{
	struct mirror *m = *state;
	struct hmm_svm_chunk list[8] = { 0 };
	char *p = map_aligned(2 * M2, PROT_READ | PROT_WRITE);

	memset(p, 1, 2 * M2);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + M2, 1, PROT_READ), 0);
	munmap(p + M2, PAGE);
	barrier(m);
	assert_int_equal(hmm_svm_walk(m->svm, 0, UINT64_MAX, on_chunk, list), 0);
	assert_int_equal(list[0].start, at(p));
	assert_int_equal(list[0].end, at(p) + M2);
	assert_int_equal(list[0].prot, PROT_READ | PROT_WRITE);
	assert_int_equal(list[0].flags, 0);
	assert_int_equal(list[1].start, at(p) + M2);
	assert_int_equal(list[1].flags, HMM_SVM_CHUNK_PARTIAL);
	assert_int_equal(list[2].end, 0);
	munmap(p, M2);
	munmap(p + M2 + PAGE, M2 - PAGE);
}

static void explicit_mirror_stays_in_its_ranges(void **state)
{
	struct mirror *m = *state;
	struct hmm_svm_options o = HMM_SVM_OPTIONS_INIT;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_add_range(m->svm, at(p), at(p) + PAGE, PROT_READ), -EINVAL);
	hmm_svm_destroy(m->svm);
	o.flags = HMM_SVM_EXPLICIT;
	assert_int_equal(hmm_svm_create(m->mm, m->dev, &o, &m->svm), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), -EACCES);
	assert_int_equal(hmm_svm_add_range(m->svm, at(p), at(p) + 3 * PAGE, PROT_READ), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 3 * PAGE, PROT_READ), 0);
	assert_int_equal(entries(m, p, M2), 3);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ | PROT_WRITE), -EACCES);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 3 * PAGE, 1, PROT_READ), -EACCES);
	assert_int_equal(hmm_svm_remove_range(m->svm, at(p), at(p) + 3 * PAGE), 0);
	assert_int_equal(entries(m, p, M2), 0);
	assert_int_equal(hmm_svm_remove_range(m->svm, at(p), at(p) + 3 * PAGE), -ENOENT);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), -EACCES);
	munmap(p, M2);
}

static void dropped_range_faults_again(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(hmm_svm_drop(m->svm, at(p), at(p) + M2), 0);
	assert_int_equal(entries(m, p, M2), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(svm_stats(m).range_faults, 2);
	assert_int_equal(hmm_svm_drop(m->svm, 5, 5), -EINVAL);
	munmap(p, M2);
}

static void prefetch_skips_holes(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(3 * M2, PROT_READ | PROT_WRITE);

	mprotect(p + M2, PAGE, PROT_NONE);
	munmap(p + M2 + PAGE, M2 - PAGE);
	assert_int_equal(hmm_svm_prefetch(m->svm, at(p), at(p) + 3 * M2, PROT_READ), 2 * M2);
	/* Bytes that were asked for, not those of whole pages. */
	assert_int_equal(hmm_svm_prefetch(m->svm, at(p) + 4000, at(p) + 4001, PROT_READ), 1);
	assert_int_equal(entries(m, p, 3 * M2), 1024);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 2 * M2, 1, PROT_READ), 0);
	assert_int_equal(svm_stats(m).range_faults, 2);
	/* Not the hole: the library's own memory may be there by now. */
	munmap(p, M2 + PAGE);
	munmap(p + 2 * M2, M2);
}

static void collection_frees_what_unmapped_ranges_left(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	char *q = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), PAGE, PROT_READ), 0);
	assert_int_equal(svm_stats(m).notifiers, 1);
	munmap(p, M2);
	barrier(m);
	assert_true(hmm_svm_collect(m->svm) >= 2 * PAGE);
	assert_int_equal(svm_stats(m).notifiers, 0);
	assert_int_equal(svm_stats(m).collected_notifiers, 1);
	assert_int_equal(hmm_svm_fault(m->svm, at(q), PAGE, PROT_READ), 0);
	assert_int_equal(hmm_svm_collect(m->svm), 0);
	assert_int_equal(svm_stats(m).notifiers, 1);
	munmap(q, M2);
}

static void collection_comes_by_itself(void **state)
{
	struct mirror *m = *state;

	for (int i = 0; i < 600; i++) {
		char *p = map_aligned(PAGE, PROT_READ);

		assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
		munmap(p, PAGE);
	}
	barrier(m);
	assert_int_equal(svm_stats(m).collections, 1);
	assert_true(svm_stats(m).collected_bytes > 0);
}

static void destruction_takes_everything_from_the_device(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	hmm_svm_destroy(m->svm);
	m->svm = NULL;
	assert_int_equal(entries(m, p, M2), 0);
	munmap(p, M2);
}

static void detach_before_destruction_is_legal(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	hmm_mm_detach(m->mm);
	m->mm = NULL;
	assert_int_equal(entries(m, p, M2), 0);
	munmap(p, M2);
}

static void forked_child_is_told(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	int status;
	pid_t pid;

	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	pid = fork();
	if (pid == 0)
		_exit(hmm_svm_fault(m->svm, at(p), 1, PROT_READ) == -ESRCH ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	munmap(p, M2);
}

static void bad_arguments_are_refused(void **state)
{
	struct mirror *m = *state;

	assert_int_equal(hmm_svm_fault(m->svm, 4096, 0, PROT_READ), -EINVAL);
	assert_int_equal(hmm_svm_fault(m->svm, UINT64_MAX, 2, PROT_READ), -EINVAL);
	assert_int_equal(hmm_svm_fault(m->svm, 4096, 1, PROT_WRITE), -EINVAL);
	assert_int_equal(hmm_svm_prefetch(m->svm, 5, 5, PROT_READ), -EINVAL);
}

/* Writable entries of a mapping. */
static unsigned int writable(struct mirror *m, const char *p, size_t bytes)
{
	unsigned int n = 0;

	for (size_t i = 0; i < bytes; i += PAGE)
		n += (entry(m, p + i) & HMM_PFN_WRITE) != 0;
	return n;
}

static void write_to_a_file_dirties_little_unless_it_streams(void **state)
{
	struct mirror *m = *state;
	char path[] = "stream-XXXXXX";
	int fd = mkstemp(path);
	char *p = map_aligned(2 * M2, PROT_READ);
	const int rw = PROT_READ | PROT_WRITE;

	mirror_need(m, false, true);
	unlink(path);
	assert_int_equal(ftruncate(fd, 2 * M2), 0);
	p = mmap(p, 2 * M2, rw, MAP_SHARED | MAP_FIXED, fd, 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 7 * K64 + 5, 1, rw), 0);
	assert_int_equal(writable(m, p, 2 * M2), 16);
	assert_int_equal(entries(m, p, 2 * M2), 512);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + 8 * K64, K64, rw), 0);
	assert_int_equal(writable(m, p, 2 * M2), 512);
	assert_int_equal(hmm_svm_fault(m->svm, at(p) + M2, K64, rw), 0);
	assert_int_equal(writable(m, p, 2 * M2), 1024);
	munmap(p, 2 * M2);
	close(fd);
}

/*
 * A thread maps, unmaps and maps again while another faults: what the device is left with is true.
 */
struct churn {
	struct mirror *m;
	char *p;
	_Atomic int stop;
};

static void *churner(void *arg)
{
	struct churn *c = arg;

	while (!atomic_load(&c->stop)) {
		if (mmap(c->p, K64, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
		    c->p)
			break;
		if (mmap(c->p, K64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			 -1, 0) != c->p)
			break;
	}
	munmap(c->p, K64);
	return NULL;
}

static void nothing_is_left_after_a_race_with_munmap(void **state)
{
	struct mirror *m = *state;
	struct churn c = { .m = m, .p = map_aligned(M2, PROT_READ | PROT_WRITE) };
	unsigned int served = 0;
	pthread_t t;

	pthread_create(&t, NULL, churner, &c);
	/* Half a second, or on a busy machine until both happened. */
	for (uint64_t end = now_ns() + 500000000;
	     now_ns() < end || served == 0 || svm_stats(m).invalidations == 0;)
		served += hmm_svm_fault(m->svm, at(c.p), K64, PROT_READ) == 0;
	atomic_store(&c.stop, 1);
	pthread_join(t, NULL);
	barrier(m);
	assert_int_equal(entries(m, c.p, K64), 0);
	munmap(c.p + K64, M2 - K64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(options_are_checked),
		T(device_has_one_mirror),
		T(read_fault_installs_the_chunk),
		T(second_fault_finds_the_chunk),
		T(chunks_fit_the_mapping),
		T(chunk_sizes_can_be_restricted),
		T(hole_is_a_fault),
		T(no_access_is_a_fault),
		T(write_to_read_only_is_refused),
		T(end_of_file_fails_only_beyond_it),
		T(write_upgrades_a_readable_chunk),
		T(munmap_takes_it_from_the_device),
		T(younger_mapping_is_faulted_anew),
		T(rest_of_a_chunk_survives_a_partial_unmap),
		T(chunk_unmapped_in_pieces_is_collected),
		T(walk_lists_the_chunks),
		T(explicit_mirror_stays_in_its_ranges),
		T(dropped_range_faults_again),
		T(prefetch_skips_holes),
		T(collection_frees_what_unmapped_ranges_left),
		T(collection_comes_by_itself),
		T(destruction_takes_everything_from_the_device),
		T(detach_before_destruction_is_legal),
		T(forked_child_is_told),
		T(bad_arguments_are_refused),
		T(write_to_a_file_dirties_little_unless_it_streams),
		T(nothing_is_left_after_a_race_with_munmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
