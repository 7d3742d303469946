// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A mapping that was looked up once is remembered for the faults that follow. Whatever becomes of
 * it meanwhile, with an event or without one, they answer as if each had looked for itself.
 */
#include "common/null.h"

#include <sys/ipc.h>
#include <sys/shm.h>

#define CHUNKS 8
#define RW (PROT_READ | PROT_WRITE)

/* Written throughout, and remembered: the first fault registers it, the second looks it up. */
static char *remembered(struct mirror *m)
{
	char *p = map_aligned(CHUNKS * M2, RW);

	memset(p, 1, CHUNKS * M2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(hmm_svm_fault(m->svm, at(p) + i * M2, 1, RW), 0);
	return p;
}

static char *chunk(char *p, int n)
{
	return p + (size_t)n * M2;
}

static void assert_readable_only(struct mirror *m, char *p)
{
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_true(entry(m, p) & HMM_PFN_VALID);
	assert_false(entry(m, p) & HMM_PFN_WRITE);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, RW), -EPERM);
	assert_false(entry(m, p) & HMM_PFN_WRITE);
}

static void lost_permission_is_seen(void **state)
{
	struct mirror *m = *state;
	char *p = remembered(m);

	/* of a page amid a chunk: the mapping is three by now */
	assert_int_equal(mprotect(chunk(p, 4) + 7 * PAGE, PAGE, PROT_READ), 0);
	assert_readable_only(m, chunk(p, 4) + 7 * PAGE);
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, RW), 0);
	assert_true(entry(m, chunk(p, 4)) & HMM_PFN_WRITE);
	munmap(p, CHUNKS * M2);
}

static void gained_permission_is_seen(void **state)
{
	struct mirror *m = *state;
	char *p = remembered(m);

	assert_int_equal(mprotect(p, CHUNKS * M2, PROT_READ), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, RW), -EPERM);
	for (int i = 5; i < 7; i++)
		assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, i)), 1, PROT_READ), 0);
	assert_int_equal(mprotect(p, CHUNKS * M2, RW), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, RW), 0);
	/* at the first attempt: the smaller ones that follow a refusal bring less */
	assert_int_equal(entries(m, chunk(p, 4), M2), 512);
	munmap(p, CHUNKS * M2);
}

static void hole_is_seen(void **state)
{
	struct mirror *m = *state;
	char *p = remembered(m);

	munmap(chunk(p, 4), M2);
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, PROT_READ), -EFAULT);
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 5)), 1, RW), 0);
	/* Not the hole: the library's own memory may be there by now. */
	munmap(p, 4 * M2);
	munmap(chunk(p, 5), 3 * M2);
}

static void other_mapping_in_its_place_is_seen(void **state)
{
	struct mirror *m = *state;
	char *p = remembered(m);
	int fd = memfd_create("other", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)M2), 0);
	assert_ptr_equal(mmap(chunk(p, 4), M2, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0),
			 chunk(p, 4));
	assert_readable_only(m, chunk(p, 4));
	close(fd);
	munmap(p, CHUNKS * M2);
}

/* No event tells of it. */
static void segment_attached_over_it_is_seen(void **state)
{
	struct mirror *m = *state;
	char *p = remembered(m);
	int id = shmget(IPC_PRIVATE, M2, IPC_CREAT | 0600);

	if (id < 0) {
		munmap(p, CHUNKS * M2);
		print_message("no System V shared memory here: %s\n", strerror(errno));
		skip();
	}
	assert_ptr_equal(shmat(id, chunk(p, 4), SHM_REMAP | SHM_RDONLY), chunk(p, 4));
	shmctl(id, IPC_RMID, NULL);
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, RW), -EPERM);
	assert_true(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, PROT_READ) >= 0);
	assert_false(entry(m, chunk(p, 4)) & HMM_PFN_WRITE);
	munmap(p, CHUNKS * M2);
}

static void what_is_mapped_behind_it_is_found(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(CHUNKS * M2, RW);

	memset(p, 1, CHUNKS * M2);
	/* No hole, which the library's own memory might fill. */
	assert_ptr_equal(mmap(chunk(p, 4), 4 * M2, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 chunk(p, 4));
	for (int i = 0; i < 3; i++)
		assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, i)), 1, RW), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, RW), -EFAULT);
	assert_ptr_equal(mmap(chunk(p, 4), M2, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 chunk(p, 4));
	assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p, 4)), 1, RW), 0);
	munmap(p, CHUNKS * M2);
}

/* One after the other at the same place: more than are remembered, and each is itself. */
static void each_of_many_is_its_own(void **state)
{
	struct mirror *m = *state;
	char *p[20];

	for (int i = 0; i < 20; i++)
		p[i] = remembered(m);
	for (int i = 0; i < 20; i += 2)
		assert_int_equal(mprotect(p[i], CHUNKS * M2, PROT_READ), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(hmm_svm_fault(m->svm, at(chunk(p[i], 5)), 1, RW),
				 i % 2 ? 0 : -EPERM);
	for (int i = 0; i < 20; i++)
		munmap(p[i], CHUNKS * M2);
}

/* What is there already is asked for under permission and ranges as before. */
static void served_chunk_is_not_served_to_who_may_not(void **state)
{
	struct hmm_svm_options o = HMM_SVM_OPTIONS_INIT;
	char *p = map_aligned(CHUNKS * M2, RW);
	struct mirror *m = *state;

	memset(p, 1, CHUNKS * M2);
	hmm_svm_destroy(m->svm);
	o.flags = HMM_SVM_EXPLICIT;
	assert_int_equal(hmm_svm_create(m->mm, m->dev, &o, &m->svm), 0);
	assert_int_equal(hmm_svm_add_range(m->svm, at(p), at(p) + M2, PROT_READ), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, RW), -EACCES);
	assert_int_equal(hmm_svm_remove_range(m->svm, at(p), at(p) + M2), 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), -EACCES);
	munmap(p, CHUNKS * M2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(lost_permission_is_seen),
		T(gained_permission_is_seen),
		T(hole_is_seen),
		T(other_mapping_in_its_place_is_seen),
		T(segment_attached_over_it_is_seen),
		T(what_is_mapped_behind_it_is_found),
		T(each_of_many_is_its_own),
		T(served_chunk_is_not_served_to_who_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
