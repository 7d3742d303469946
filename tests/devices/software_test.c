// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A device in software by an outsider: hmm/software.h, and the memory and look-ups that it needs.
 */
#include <hmm/memory.h>
#include <hmm/software.h>

#include "common/svm.h"

#define ENGINES 3
#define GROW_TO_TRANSLATE (offsetof(struct hmm_software_ops, translate) + sizeof(void (*)(void)))

/* One translation each time: no TLB. */
struct plain {
	struct hmm_ptable *table;
	unsigned int destroyed;
	uint64_t looks; /* of all engines, when it was destroyed */
	unsigned int once;
};

struct looks {
	_Atomic uint64_t n;
	_Atomic uint64_t sections;
};

static int plain_map(struct hmm_device *dev, const struct hmm_device_map *m)
{
	struct plain *p = hmm_device_priv(dev);

	return hmm_ptable_set(p->table, m->start, m->shift, m->pfns, m->n);
}

static void plain_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			     enum hmm_event event)
{
	struct plain *p = hmm_device_priv(dev);

	hmm_ptable_clear(p->table, start, end);
}

static uint64_t all_looks(struct hmm_device *dev)
{
	struct looks *looks;
	uint64_t n = 0;

	for (unsigned int i = 0; (looks = hmm_software_state(dev, i)); i++)
		n += looks->n;
	return n;
}

static int plain_get_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	struct plain *p = hmm_device_priv(dev);

	stats->tlb_misses += all_looks(dev);
	hmm_device_stats_count(stats, p->table);
	return 0;
}

static void plain_destroy(struct hmm_device *dev)
{
	struct plain *p = hmm_device_priv(dev);

	p->destroyed++;
	p->looks = all_looks(dev);
}

static int translate(void *priv, void *state, uint64_t va, size_t len, int prot, void **host)
{
	const uint64_t want = HMM_PFN_VALID | (prot & PROT_WRITE ? HMM_PFN_WRITE : 0);
	const struct plain *p = priv;
	struct looks *looks = state;
	uint64_t entries[HMM_ACCESS_MAX / HMM_PAGE_SIZE + 1];
	const uint64_t first = va & ~(HMM_PAGE_SIZE - 1);
	const unsigned int n = (unsigned int)((va + len - 1 - first) / HMM_PAGE_SIZE) + 1;

	looks->n++;
	hmm_ptable_lookup_pages(p->table, first, n, entries);
	for (unsigned int i = 0; i < n; i++)
		if ((entries[i] & want) != want)
			return -ENOENT;
	*host = (void *)(uintptr_t)va;
	return 0;
}

static void enter(void *priv, void *state)
{
	struct looks *looks = state;

	looks->sections++;
}

static int once(void *priv, void *state, uint64_t va, size_t len, int prot, void **host)
{
	struct plain *p = priv;

	p->once++;
	*host = (void *)(uintptr_t)va;
	return 0;
}

static const struct hmm_device_ops plain_ops = {
	.size = sizeof(plain_ops),
	.abi = HMM_DEVICE_ABI,
	.name = "plain",
	.thread_model = HMM_THREADS_PARALLEL,
	.map = plain_map,
	.invalidate = plain_invalidate,
	.get_stats = plain_get_stats,
	.destroy = plain_destroy,
};

static const struct hmm_software_ops plain_software = {
	.size = sizeof(plain_software),
	.state_size = sizeof(struct looks),
	.translate = translate,
	.enter = enter,
	.once = once,
};

static void plain_open(struct mirror *m, struct plain *p)
{
	memset(p, 0, sizeof(*p));
	assert_int_equal(hmm_mm_attach(NULL, &m->mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &p->table), 0);
	assert_int_equal(
		hmm_software_create(m->mm, &plain_ops, p, &plain_software, ENGINES, &m->dev), 0);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &m->svm), 0);
}

static void plain_close(struct mirror *m, struct plain *p)
{
	mirror_close(m);
	hmm_ptable_destroy(p->table);
}

static int kernel_double(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	uint64_t va = at(arg) + item * PAGE;
	uint64_t word;
	int ret = hmm_load(ctx, &word, va, sizeof(word));

	word *= 2;
	return ret ? ret : hmm_store(ctx, va, &word, sizeof(word));
}

static void its_engines_run_jobs(void **state)
{
	char *p = map_aligned(64 * PAGE, PROT_READ | PROT_WRITE);
	struct hmm_device_stats stats;
	struct mirror m;
	struct plain plain;
	uint64_t looks;

	plain_open(&m, &plain);
	for (uint64_t i = 0; i < 64; i++)
		memcpy(p + i * PAGE, &i, sizeof(i));
	assert_int_equal(run(&m, kernel_double, p, 64), 0);
	for (uint64_t i = 0; i < 64; i++)
		assert_int_equal(*(uint64_t *)(p + i * PAGE), 2 * i);
	stats = device_stats(&m);
	assert_int_equal(stats.engines, ENGINES);
	assert_int_equal(stats.items, 64);
	assert_int_equal(stats.jobs, 1);
	assert_true(stats.device_faults > 0);
	assert_int_equal(stats.bytes_written, 64 * sizeof(uint64_t));
	assert_true(stats.tlb_misses >= 128);
	assert_int_equal(stats.tlb_misses, all_looks(m.dev));
	assert_true(stats.held_4k >= 64);
	looks = stats.tlb_misses;
	assert_non_null(hmm_software_state(m.dev, ENGINES - 1));
	assert_null(hmm_software_state(m.dev, ENGINES));

	munmap(p, 64 * PAGE);
	barrier(&m);
	assert_int_equal(device_stats(&m).held_4k, 0);
	assert_int_equal(run(&m, kernel_double, p, 1), -EFAULT);
	assert_true(all_looks(m.dev) > looks);
	looks = all_looks(m.dev);
	plain_close(&m, &plain);
	/* Once, when the engines had ended; what they had was still there. */
	assert_int_equal(plain.destroyed, 1);
	assert_int_equal(plain.looks, looks);
}

/* As on a kernel that cannot watch files: they are used once. */
static void memory_to_use_once_goes_through_its_own_op(void **state)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct plain plain = { NULL };
	struct mirror m;
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *p;

	options.flags = HMM_MM_NO_WP_ASYNC;
	assert_int_equal(hmm_mm_attach(&options, &m.mm), 0);
	if (fd < 0 || file_kind(m.mm) != HMM_VMA_FILE) {
		print_message("files of this folder are memory (tmpfs)\n");
		hmm_mm_detach(m.mm);
		skip();
	}
	assert_int_equal(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	close(fd);
	p[0] = 21;
	assert_int_equal(hmm_ptable_create(NULL, &plain.table), 0);
	assert_int_equal(hmm_software_create(m.mm, &plain_ops, &plain, &plain_software, 1, &m.dev),
			 0);
	assert_int_equal(hmm_svm_create(m.mm, m.dev, NULL, &m.svm), 0);
	assert_int_equal(run(&m, kernel_double, p, 1), 0);
	assert_int_equal(p[0], 42);
	assert_true(plain.once >= 2);
	assert_true(device_stats(&m).once_uses >= 2);
	assert_int_equal(device_stats(&m).held_4k, 0);
	plain_close(&m, &plain);
	munmap(p, PAGE);
}

static void what_is_the_librarys_cannot_be_the_drivers(void **state)
{
	struct hmm_software_ops software = plain_software;
	struct hmm_device_ops ops = plain_ops;
	struct hmm_device *dev = NULL;
	struct plain plain = { NULL };
	struct hmm_mm *mm;

	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &plain.table), 0);
#define CREATE(engines) hmm_software_create(mm, &ops, &plain, &software, engines, &dev)
	assert_int_equal(CREATE(0), -EINVAL);
	assert_int_equal(CREATE(HMM_SOFTWARE_ENGINES_MAX + 1), -EINVAL);
	ops.abi++;
	assert_int_equal(CREATE(1), -EINVAL);
	ops = plain_ops;
	ops.submit = (int (*)(struct hmm_device *, struct hmm_job *))(uintptr_t)1;
	assert_int_equal(CREATE(1), -EINVAL);
	ops = plain_ops;
	software.translate = NULL;
	assert_int_equal(CREATE(1), -EINVAL);
	assert_null(dev);
	assert_int_equal(plain.destroyed, 0);

	software = plain_software;
	software.size = (uint32_t)GROW_TO_TRANSLATE;
	assert_int_equal(CREATE(HMM_SOFTWARE_ENGINES_MAX), 0);
	hmm_device_destroy(dev);
	assert_int_equal(plain.destroyed, 1);
	assert_int_equal(hmm_device_open(mm, "null", 1, &dev), 0);
	assert_null(hmm_software_state(dev, 0));
	hmm_device_destroy(dev);
	hmm_ptable_destroy(plain.table);
	hmm_mm_detach(mm);
}

static void memory_of_the_library_is_never_mirrored(void **state)
{
	struct hmm_vma vma;
	struct mirror m;
	char *p = hmm_memory_alloc(3 * PAGE + 1);

	assert_non_null(p);
	for (size_t i = 0; i < 3 * PAGE + 1; i++)
		assert_int_equal(p[i], 0);
	p[3 * PAGE] = 1;
	mirror_open(&m, "null", 1, NULL);
	assert_int_equal(hmm_vma_find(m.mm, at(p), &vma), 0);
	assert_int_equal(vma.kind, HMM_VMA_SPECIAL);
	assert_int_equal(hmm_svm_fault(m.svm, at(p), PAGE, PROT_READ), -EFAULT);
	hmm_memory_free(p, 3 * PAGE + 1);
	assert_true(hmm_vma_find(m.mm, at(p), &vma) || vma.start > at(p) ||
		    vma.kind != HMM_VMA_SPECIAL);
	mirror_close(&m);
	hmm_memory_free(NULL, PAGE);
	assert_null(hmm_memory_alloc(0));
	assert_null(hmm_memory_alloc(SIZE_MAX / 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(its_engines_run_jobs),
		cmocka_unit_test(memory_to_use_once_goes_through_its_own_op),
		cmocka_unit_test(what_is_the_librarys_cannot_be_the_drivers),
		cmocka_unit_test(memory_of_the_library_is_never_mirrored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
