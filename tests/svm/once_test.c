// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Memory that is never cached is used under the svm's notifier. What that stood for may go between
 * the fault and the use, and the notifier with it.
 */
#include "common/svm.h"
#include "svm/svm.h"

#include <pthread.h>

static struct mirror m;
static bool armed;

static void *collect(void *arg)
{
	(void)arg;
	hmm_svm_drop(m.svm, 0, UINT64_MAX);
	hmm_svm_collect(m.svm);
	return NULL;
}

int __real_svm_fault_span(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot,
			  struct svm_need *need);
int __wrap_svm_fault_span(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot,
			  struct svm_need *need);

int __wrap_svm_fault_span(struct hmm_svm *svm, uint64_t start, uint64_t end, int prot,
			  struct svm_need *need)
{
	const int ret = __real_svm_fault_span(svm, start, end, prot, need);
	pthread_t thread;

	if (ret == 1 && armed) {
		armed = false;
		if (pthread_create(&thread, NULL, collect, NULL))
			abort();
		pthread_join(thread, NULL);
	}
	return ret;
}

static void a_fault_is_served_whatever_is_collected(void **state)
{
	const int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char buf[6] = "";
	char *p;

	/* Without write protection of files, each use asks once. */
	mirror_open_as(&m, HMM_MM_NO_WP_ASYNC, "soft", 1, NULL);
	if (fd < 0 || file_kind(m.mm) != HMM_VMA_FILE) {
		print_message("files of this folder are memory (tmpfs)\n");
		mirror_close(&m);
		skip();
	}
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(pwrite(fd, "hello", 5, 0), 5);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	for (int i = 0; i < 10; i++) {
		struct span s = { at(p), 5, buf, PROT_READ };

		armed = true;
		memset(buf, 0, sizeof(buf));
		assert_int_equal(run(&m, kernel_load, &s, 1), 0);
		assert_string_equal(buf, "hello");
	}
	assert_true(svm_stats(&m).once > 0);
	munmap(p, PAGE);
	close(fd);
	mirror_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_is_served_whatever_is_collected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
