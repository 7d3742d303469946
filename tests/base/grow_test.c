// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Structures that begin with their size, by callers that were built with an older header (shorter)
 * and with a newer one (longer). A structure lies right before a page that cannot be touched: what
 * the library reads or writes beyond the caller's size is a crash.
 */
#include "common/svm.h"
#include "base/grow.h"

#define ROOM 8192UL

/* What every call needs. */
static struct {
	struct mirror m;
	struct hmm_interval_notifier *ni;
	struct hmm_devmem *d; /* NULL where the kernel moves no pages */
	char *end;            /* of the room for a structure */
	char *p;              /* PAGE bytes of memory to mirror */
	uint64_t pfn;
	uint64_t src, dst;
	unsigned int invalidations;
} with;

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	with.invalidations += inv->event == HMM_EVENT_CLEAR;
	return 0;
}

static void stop(void *priv)
{
}

static int kernel(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	return 0;
}

/*
 * ---- the calls: each with a structure of some length that says what its first version said
 * -----------
 */

static int attach(void *structure)
{
	struct hmm_mm *mm;
	int ret = hmm_mm_attach(structure, &mm);

	if (!ret)
		hmm_mm_detach(mm);
	return ret;
}

static int get_info(void *structure)
{
	struct hmm_mm_info *info = structure;
	int ret = hmm_mm_get_info(with.m.mm, info);

	if (!ret)
		assert_int_equal(info->page_size, sysconf(_SC_PAGESIZE));
	return ret;
}

static int get_stats(void *structure)
{
	return hmm_mm_get_stats(with.m.mm, structure);
}

static int insert(void *structure)
{
	const struct hmm_invalidation inv = { .start = at(with.p),
					      .end = at(with.p) + PAGE,
					      .event = HMM_EVENT_CLEAR };
	struct hmm_interval_notifier *ni;
	const unsigned int before = with.invalidations;
	int ret = hmm_interval_notifier_insert(with.m.mm, at(with.p), PAGE, structure, NULL, &ni);

	if (ret)
		return ret;
	assert_int_equal(hmm_interval_invalidate(with.m.mm, &inv), 0);
	assert_int_equal(with.invalidations, before + 2); /* ours, and the one of the ranges */
	hmm_interval_notifier_remove(ni);
	return 0;
}

static int add_quiescer(void *structure)
{
	struct hmm_quiescer *q;
	int ret = hmm_quiescer_add(with.m.mm, structure, NULL, &q);

	if (!ret)
		hmm_quiescer_remove(q);
	return ret;
}

static int fault(void *structure)
{
	const struct hmm_range *r = structure;
	int ret;

	with.pfn = 0;
	ret = hmm_range_fault(structure, HMM_FOREVER);
	if (!ret) {
		assert_int_equal(hmm_range_check_timeout(r, 0, 30000000000ULL), 0);
		/* Without default_flags nothing is asked for. */
		if (r->size > GROW_LEAST(struct hmm_range, hmm_pfns))
			assert_true(with.pfn & HMM_PFN_WRITE);
	}
	return ret;
}

static int check(void *structure)
{
	struct hmm_range *r = structure;
	int ret = -ESTALE;

	/* What came home from the region is given back a little later, which is an event, too. */
	for (int ms = 0; ms < 30000 && ret == -ESTALE; ms++) {
		if (ms)
			usleep(1000);
		r->notifier_seq = hmm_interval_read_begin(with.ni);
		ret = hmm_range_check(r, 0);
	}
	return ret;
}

static int create_device(void *structure)
{
	struct hmm_device *dev;
	int ret = hmm_device_create(with.m.mm, structure, NULL, NULL, &dev);

	if (ret)
		return ret;
	assert_int_equal(hmm_device_get_ops(dev)->size, sizeof(struct hmm_device_ops));
	assert_int_equal(hmm_device_get_ops(dev)->cancel(dev, NULL), -EOPNOTSUPP);
	hmm_device_destroy(dev);
	return 0;
}

static int get_device_stats(void *structure)
{
	struct hmm_device_stats *stats = structure;
	int ret = hmm_device_get_stats(with.m.dev, stats);

	if (!ret)
		assert_int_equal(stats->engines, 1);
	return ret;
}

static int create_svm(void *structure)
{
	struct hmm_device *dev;
	struct hmm_svm *svm;
	int ret;

	assert_int_equal(hmm_device_open(with.m.mm, "null", 1, &dev), 0);
	ret = hmm_svm_create(with.m.mm, dev, structure, &svm);
	if (!ret)
		hmm_svm_destroy(svm);
	hmm_device_destroy(dev);
	return ret;
}

static int set_policy(void *structure)
{
	return hmm_svm_set_policy(with.m.svm, 0, UINT64_MAX, structure);
}

static int get_svm_stats(void *structure)
{
	return hmm_svm_get_stats(with.m.svm, structure);
}

static int run_job(void *structure)
{
	return hmm_svm_run(with.m.svm, structure);
}

static int no_open(struct hmm_mm *mm, struct hmm_device *inner, const char *options,
		   unsigned int engines, struct hmm_device **dev)
{
	return -ENOTSUP;
}

static int register_driver(void *structure)
{
	struct hmm_device *dev;
	int ret = hmm_device_register(structure);

	if (ret)
		return ret;
	assert_int_equal(hmm_device_open(with.m.mm, "old", 1, &dev), -ENOTSUP);
	return hmm_device_unregister("old");
}

static int translate(void *priv, void *state, uint64_t va, size_t len, int prot, void **host)
{
	return -ENOENT;
}

static int create_software(void *structure)
{
	static const struct hmm_device_ops ops = { sizeof(ops), HMM_DEVICE_ABI, "old" };
	struct hmm_device *dev;
	int ret = hmm_software_create(with.m.mm, &ops, NULL, structure, 1, &dev);

	if (!ret)
		hmm_device_destroy(dev);
	return ret;
}

static int cache_reg(struct hmm_registration *r, void *priv)
{
	return -ENOTSUP;
}

static void cache_dereg(struct hmm_registration *r, void *priv)
{
}

static const struct hmm_regcache_ops regcache_ops = { sizeof(regcache_ops), 0, cache_reg,
						      cache_dereg };

static int create_cache(void *structure)
{
	struct hmm_regcache *cache;
	struct hmm_registration *r;
	int ret = hmm_regcache_create(with.m.mm, structure, NULL, NULL, &cache);

	if (ret)
		return ret;
	assert_int_equal(hmm_regcache_get(cache, at(with.p), PAGE, 0, 0, &r), -ENOTSUP);
	hmm_regcache_destroy(cache);
	return 0;
}

static int limit_cache(void *structure)
{
	struct hmm_regcache *cache;
	int ret = hmm_regcache_create(with.m.mm, &regcache_ops, structure, NULL, &cache);

	if (!ret)
		hmm_regcache_destroy(cache);
	return ret;
}

static int get_cache_stats(void *structure)
{
	struct hmm_regcache *cache;
	int ret;

	assert_int_equal(hmm_regcache_create(with.m.mm, &regcache_ops, NULL, NULL, &cache), 0);
	ret = hmm_regcache_get_stats(cache, structure);
	hmm_regcache_destroy(cache);
	return ret;
}

static int create_region(void *structure)
{
	struct hmm_devmem *d;
	int ret = hmm_devmem_create(with.m.mm, structure, &d);

	if (!ret)
		assert_int_equal(hmm_devmem_destroy(d, HMM_FOREVER), 0);
	return ret == -EOPNOTSUPP ? 0 : ret;
}

static int get_region_stats(void *structure)
{
	return hmm_devmem_get_stats(with.d, structure);
}

static int migrate(void *structure)
{
	struct hmm_migrate_result *r = structure;
	int ret = hmm_migrate_to_device(with.d, at(with.p), at(with.p) + PAGE, HMM_FOREVER, r);

	if (!ret)
		assert_int_equal(r->moved, 1);
	assert_int_equal(hmm_evict_all(with.m.mm, HMM_FOREVER), 0);
	return ret;
}

/* All steps. */
static int migrate_steps(void *structure)
{
	struct hmm_migrate_vma *args = structure;
	int ret = hmm_migrate_vma_setup(args);

	if (!ret) {
		assert_int_equal(args->cpages, 1);
		assert_int_equal(hmm_migrate_vma_pages(args), 0);
		hmm_migrate_vma_finalize(args);
	}
	return ret;
}

static const struct hmm_devmem_options region = { .bytes = 2 << 20, .owner = &with };
static const struct hmm_devmem_stats region_stats;
static const struct hmm_migrate_result migrate_result;
static const struct hmm_regcache_options regcache_options;
static const struct hmm_regcache_stats regcache_stats_none;
static const struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
static const struct hmm_mm_info info;
static const struct hmm_mm_stats stats;
static const struct hmm_interval_notifier_ops notifier_ops = { .invalidate = on_invalidate };
static const struct hmm_quiescer_ops quiescer_ops = { .quiesce = stop, .resume = stop };
static struct hmm_range range;
static struct hmm_migrate_vma migrate_vma;
static const struct hmm_device_ops device_ops = { .abi = HMM_DEVICE_ABI, .name = "old" };
static const struct hmm_device_stats device_stats_none;
static const struct hmm_svm_options svm_options;
static const struct hmm_svm_policy svm_policy;
static const struct hmm_svm_stats svm_stats_none;
static const struct hmm_job job = { .kernel = kernel };
static const struct hmm_device_driver driver = { .name = "old", .summary = "old", .open = no_open };
static const struct hmm_software_ops software = { .translate = translate };

enum way { IN, OUT };

static const struct {
	const char *name;
	int (*call)(void *structure);
	const void *first;
	size_t size;
	size_t least;
	enum way way;
} table[] = {
#define ROW(name, call, first, member, way)                                                        \
	{                                                                                          \
		name, call, &first, sizeof(first), GROW_LEAST(__typeof__(first), member), way      \
	}
	ROW("hmm_mm_options", attach, options, maps_fd, IN),
	ROW("hmm_mm_info", get_info, info, page_size, OUT),
	ROW("hmm_mm_stats", get_stats, stats, pump_cycles, OUT),
	ROW("hmm_interval_notifier_ops", insert, notifier_ops, invalidate, IN),
	ROW("hmm_quiescer_ops", add_quiescer, quiescer_ops, resume, IN),
	ROW("hmm_range of hmm_range_fault()", fault, range, hmm_pfns, IN),
	ROW("hmm_range of hmm_range_check()", check, range, end, IN),
	ROW("hmm_regcache_ops", create_cache, regcache_ops, dereg, IN),
	ROW("hmm_regcache_options", limit_cache, regcache_options, flags, IN),
	ROW("hmm_regcache_stats", get_cache_stats, regcache_stats_none, hits, OUT),
	ROW("hmm_device_ops", create_device, device_ops, page_shifts, IN),
	ROW("hmm_device_stats", get_device_stats, device_stats_none, engines, OUT),
	ROW("hmm_svm_options", create_svm, svm_options, flags, IN),
	ROW("hmm_svm_policy", set_policy, svm_policy, chunk_shift, IN),
	ROW("hmm_svm_stats", get_svm_stats, svm_stats_none, batches, OUT),
	ROW("hmm_job", run_job, job, driver, IN),
	ROW("hmm_device_driver", register_driver, driver, open, IN),
	ROW("hmm_software_ops", create_software, software, translate, IN),
	ROW("hmm_devmem_options", create_region, region, owner, IN),
	ROW("hmm_devmem_stats", get_region_stats, region_stats, used, OUT),
	ROW("hmm_migrate_result", migrate, migrate_result, moved, OUT),
	ROW("hmm_migrate_vma", migrate_steps, migrate_vma, state, IN),
};
#define ROWS (sizeof(table) / sizeof(table[0]))

/* The first row from `row` on that this kernel has. */
static size_t next_row(size_t row)
{
	while (row < ROWS && !with.d &&
	       (table[row].call == get_region_stats || table[row].call == migrate ||
		table[row].call == migrate_steps))
		row++;
	return row;
}

/*
 * A structure of n bytes, which says that it has `says`; byte `tail` beyond what the library knows
 * is set.
 */
static int call(size_t row, size_t n, uint32_t says, bool tail)
{
	const size_t known = n < table[row].size ? n : table[row].size;
	char *structure = with.end - n;

	memset(structure, 0, n);
	memcpy(structure, table[row].first, known);
	memcpy(structure, &says, n < sizeof(says) ? n : sizeof(says));
	if (tail)
		with.end[-1] = 1;
	return table[row].call(structure);
}

static void expect(size_t row, int got, int want, size_t n)
{
	if (got != want)
		print_error("%s of %zu bytes\n", table[row].name, n);
	assert_int_equal(got, want);
}

static void the_header_of_today(void **state)
{
	for (size_t row = next_row(0); row < ROWS; row = next_row(row + 1))
		expect(row, call(row, table[row].size, (uint32_t)table[row].size, false), 0,
		       table[row].size);
}

static void an_older_caller_says_less_and_is_told_less(void **state)
{
	for (size_t row = next_row(0); row < ROWS; row = next_row(row + 1))
		for (size_t n = table[row].least; n < table[row].size; n += 8)
			expect(row, call(row, n, (uint32_t)n, false), 0, n);
}

static void a_newer_caller_may_say_0(void **state)
{
	for (size_t row = next_row(0); row < ROWS; row = next_row(row + 1))
		for (size_t more = 8; more <= 64; more += 8)
			expect(row,
			       call(row, table[row].size + more, (uint32_t)(table[row].size + more),
				    false),
			       0, table[row].size + more);
}

static void what_a_newer_caller_says_is_refused(void **state)
{
	for (size_t row = next_row(0); row < ROWS; row = next_row(row + 1)) {
		const size_t n = table[row].size + 24;
		uint32_t says;

		/* What is only written is none of the library's business, and 0 afterwards. */
		expect(row, call(row, n, (uint32_t)n, true), table[row].way == IN ? -E2BIG : 0, n);
		memcpy(&says, with.end - n, sizeof(says));
		assert_int_equal(says, n);
		if (table[row].way == OUT)
			assert_int_equal(with.end[-1], 0);
	}
}

static void what_is_no_structure_is_refused(void **state)
{
	for (size_t row = next_row(0); row < ROWS; row = next_row(row + 1)) {
		for (uint32_t says = 0; says < table[row].least; says += 4)
			expect(row, call(row, table[row].size, says, false), -EINVAL, says);
		/* Memory that was not initialised. */
		expect(row, call(row, table[row].size, 0xa5a5a5a5, false), -E2BIG, 0xa5a5a5a5);
	}
}

static int set_up(void **state)
{
	char *room =
		mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const struct hmm_interval_notifier_ops ops = { sizeof(ops), on_invalidate };

	assert_ptr_not_equal(room, MAP_FAILED);
	assert_int_equal(mprotect(room + ROOM, PAGE, PROT_NONE), 0);
	with.end = room + ROOM;
	with.p = map_aligned(PAGE, PROT_READ | PROT_WRITE);
	mirror_open(&with.m, "soft", 1, NULL);
	assert_int_equal(
		hmm_interval_notifier_insert(with.m.mm, at(with.p), PAGE, &ops, NULL, &with.ni), 0);
	if (hmm_devmem_create(
		    with.m.mm,
		    &(struct hmm_devmem_options){ .size = sizeof(struct hmm_devmem_options),
						  .bytes = 2 << 20,
						  .owner = &with },
		    &with.d) == -EOPNOTSUPP)
		with.d = NULL;
	range = (struct hmm_range){ .notifier = with.ni,
				    .start = at(with.p),
				    .end = at(with.p) + PAGE,
				    .hmm_pfns = &with.pfn,
				    .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	migrate_vma = (struct hmm_migrate_vma){ .flags = HMM_MIGRATE_VMA_SELECT_SYSTEM,
						.mm = with.m.mm,
						.start = at(with.p),
						.end = at(with.p) + PAGE,
						.src = &with.src,
						.dst = &with.dst,
						.pgmap_owner = &with };
	return 0;
}

static int tear_down(void **state)
{
	hmm_interval_notifier_remove(with.ni);
	assert_int_equal(hmm_devmem_destroy(with.d, HMM_FOREVER), 0);
	mirror_close(&with.m);
	munmap(with.p, PAGE);
	munmap(with.end - ROOM, ROOM + PAGE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_of_today),
		cmocka_unit_test(an_older_caller_says_less_and_is_told_less),
		cmocka_unit_test(a_newer_caller_may_say_0),
		cmocka_unit_test(what_a_newer_caller_says_is_refused),
		cmocka_unit_test(what_is_no_structure_is_refused),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
