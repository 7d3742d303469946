// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Faults in batches, and what may happen between the walk and the commit. */
#include "common/huge.h"
#include "common/null.h"
#include "svm/svm.h"

/* ---- batches: a device whose fault buffer is a script ---------------------------------------- */

struct script {
	struct hmm_ptable *table;
	struct hmm_device_fault in[8];
	unsigned int n;
	unsigned int done;
	uint64_t order[8]; /* cookies, as they were answered */
	int error[8];      /* by cookie */
	unsigned int maps;
	unsigned int upgrades;
};

static int script_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct script *s = hmm_device_priv(dev);

	s->maps++;
	s->upgrades += map->flags & HMM_MAP_UPGRADE;
	return hmm_ptable_set(s->table, map->start, map->shift, map->pfns, map->n);
}

static void script_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			      enum hmm_event event)
{
	hmm_ptable_clear(((struct script *)hmm_device_priv(dev))->table, start, end);
}

static int script_fetch(struct hmm_device *dev, struct hmm_device_fault *faults, unsigned int n,
			uint64_t timeout_ns)
{
	struct script *s = hmm_device_priv(dev);
	unsigned int k = s->n < n ? s->n : n;

	memcpy(faults, s->in, k * sizeof(*faults));
	s->n -= k;
	memmove(s->in, s->in + k, s->n * sizeof(*faults));
	return (int)k;
}

static int script_done(struct hmm_device *dev, const struct hmm_device_fault *fault, int error)
{
	struct script *s = hmm_device_priv(dev);

	s->order[s->done++] = fault->cookie;
	s->error[fault->cookie] = error;
	return 0;
}

static void script_open(struct mirror *m, struct script *s)
{
	static const struct hmm_device_ops ops = {
		.size = sizeof(ops),
		.abi = HMM_DEVICE_ABI,
		.name = "script",
		.map = script_map,
		.invalidate = script_invalidate,
		.fetch_faults = script_fetch,
		.fault_done = script_done,
	};

	mirror_close(m);
	assert_int_equal(hmm_mm_attach(NULL, &m->mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &s->table), 0);
	assert_int_equal(hmm_device_create(m->mm, &ops, s, NULL, &m->dev), 0);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &m->svm), 0);
}

static void script_close(struct mirror *m, struct script *s)
{
	mirror_close(m);
	hmm_ptable_destroy(s->table);
	mirror_open(m, "null", 1, NULL);
}

static void script_fault(struct script *s, const char *p, int prot)
{
	s->in[s->n] = (struct hmm_device_fault){
		.addr = at(p), .len = 1, .prot = (uint32_t)prot, .cookie = s->n
	};
	s->n++;
}

static void batch_is_sorted_and_coalesced(void **state)
{
	struct mirror *m = *state;
	struct script s = { 0 };
	char *p = map_aligned(2 * M2, PROT_READ | PROT_WRITE);

	script_open(m, &s);
	script_fault(&s, p + M2 + 9 * PAGE, PROT_READ);
	script_fault(&s, p + 5 * PAGE, PROT_READ);
	script_fault(&s, p + M2 + 3 * PAGE, PROT_READ);
	script_fault(&s, p + 7 * PAGE, PROT_READ | PROT_WRITE);
	script_fault(&s, p + 7 * PAGE, PROT_READ);
	assert_int_equal(svm_batch_serve(m->svm, HMM_NO_WAIT), 5);
	/* One walk a chunk; the write goes first and serves the reads. */
	assert_int_equal(svm_stats(m).range_faults, 2);
	assert_int_equal(svm_stats(m).coalesced, 3);
	assert_int_equal(svm_stats(m).batches, 1);
	assert_int_equal(svm_stats(m).replays, 5);
	assert_int_equal(s.maps, 2);
	assert_memory_equal(s.order, ((uint64_t[]){ 3, 1, 4, 2, 0 }), sizeof(uint64_t[5]));
	script_close(m, &s);
	munmap(p, 2 * M2);
}

static void bad_fault_of_a_batch_disturbs_no_other(void **state)
{
	struct mirror *m = *state;
	struct script s = { 0 };
	char *p = map_aligned(M2, PROT_READ);
	char *none = map_aligned(M2, PROT_NONE);

	script_open(m, &s);
	script_fault(&s, p, PROT_READ | PROT_WRITE);
	script_fault(&s, p, PROT_READ);
	script_fault(&s, none, PROT_READ);
	script_fault(&s, p + 100 * PAGE, PROT_READ);
	assert_int_equal(svm_batch_serve(m->svm, HMM_NO_WAIT), 4);
	assert_int_equal(s.error[0], -EPERM);
	assert_int_equal(s.error[1], 0);
	assert_int_equal(s.error[2], -EFAULT);
	assert_int_equal(s.error[3], 0);
	assert_int_equal(svm_stats(m).cancels, 2);
	assert_int_equal(svm_stats(m).replays, 2);
	script_close(m, &s);
	munmap(p, M2);
	munmap(none, M2);
}

static void device_is_told_of_an_upgrade(void **state)
{
	struct mirror *m = *state;
	struct script s = { 0 };
	char *p = map_unwritten(M2);

	script_open(m, &s);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_int_equal(s.upgrades, 0);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ | PROT_WRITE), 0);
	assert_int_equal(s.upgrades, 1);
	assert_int_equal(s.maps, 2);
	script_close(m, &s);
	munmap(p, M2);
}

static void vanished_memory_is_forgotten_first(void **state)
{
	struct mirror *m = *state;
	struct script s = { 0 };
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);

	script_open(m, &s);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	script_fault(&s, p, PROT_READ);
	s.in[0].flags = HMM_FAULT_VANISHED;
	assert_int_equal(svm_batch_serve(m->svm, HMM_NO_WAIT), 1);
	assert_int_equal(svm_stats(m).range_faults, 2);
	assert_int_equal(svm_stats(m).coalesced, 0);
	script_close(m, &s);
	munmap(p, M2);
}

/* Of this memory: a sanitizer, say, may have some of its own. */
static bool is_huge(const char *p)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long start = 0, end = 0, huge = 0, n;
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			continue;
		if (at(p) >= start && at(p) < end && sscanf(line, "AnonHugePages: %lu", &n) == 1)
			huge = n;
	}
	if (f)
		fclose(f);
	return huge > 0;
}

static void large_page_is_one_entry(void **state)
{
	struct mirror *m = *state;
	struct script s = { 0 };
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	uint32_t shift = 0;

	mirror_need(m, true, false);
	madvise(p, M2, MADV_HUGEPAGE);
	memset(p, 1, M2);
	ask_for_huge_pages(p, M2);
	if (!is_huge(p)) {
		munmap(p, M2);
		print_message("no transparent huge pages here\n");
		skip();
	}
	script_open(m, &s);
	assert_int_equal(hmm_svm_fault(m->svm, at(p), 1, PROT_READ), 0);
	assert_true(hmm_ptable_lookup(s.table, at(p) + M2 - 1, &shift) & HMM_PFN_VALID);
	assert_int_equal(shift, 21);
	script_close(m, &s);
	munmap(p, M2);
}

/*
 * A change between the walk and the commit: a serial device is kept busy, so that the commit has to
 * wait.
 *
 *	fault			test
 *				get_stats, holds the device
 *	walks, waits
 *				munmap
 *				get_stats returns
 *	must not commit
 */
struct busy {
	struct mirror *m;
	struct hmm_ptable *table;
	_Atomic int inside;
	_Atomic int release;
	char *p;
	int ret;
};

static int busy_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct busy *b = hmm_device_priv(dev);

	return hmm_ptable_set(b->table, map->start, map->shift, map->pfns, map->n);
}

static void busy_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			    enum hmm_event event)
{
	hmm_ptable_clear(((struct busy *)hmm_device_priv(dev))->table, start, end);
}

static int busy_stats(struct hmm_device *dev, struct hmm_device_stats *stats)
{
	struct busy *b = hmm_device_priv(dev);

	b->inside = 1;
	while (!b->release)
		usleep(100);
	return 0;
}

static void *busy_holder(void *arg)
{
	struct busy *b = arg;

	device_stats(b->m);
	return NULL;
}

static void *busy_faulter(void *arg)
{
	struct busy *b = arg;

	b->ret = hmm_svm_fault(b->m->svm, at(b->p), 1, PROT_READ);
	return NULL;
}

/* False: the walk came after the change. */
static bool change_between_walk_and_commit(struct mirror *m)
{
	struct busy b = { .m = m, .p = map_aligned(M2, PROT_READ | PROT_WRITE) };
	static const struct hmm_device_ops ops = {
		.size = sizeof(ops),
		.abi = HMM_DEVICE_ABI,
		.name = "busy",
		.thread_model = HMM_THREADS_SERIAL,
		.map = busy_map,
		.invalidate = busy_invalidate,
		.get_stats = busy_stats,
	};
	pthread_t holder, faulter;
	bool between;

	mirror_close(m);
	assert_int_equal(hmm_mm_attach(NULL, &m->mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &b.table), 0);
	assert_int_equal(hmm_device_create(m->mm, &ops, &b, NULL, &m->dev), 0);
	assert_int_equal(hmm_svm_create(m->mm, m->dev, NULL, &m->svm), 0);
	pthread_create(&holder, NULL, busy_holder, &b);
	while (!b.inside)
		usleep(100);
	pthread_create(&faulter, NULL, busy_faulter, &b);
	while (!svm_stats(m).range_faults)
		usleep(100);
	usleep(100000);
	assert_ptr_equal(mmap(b.p, M2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
			 b.p);
	barrier(m);
	b.release = 1;
	pthread_join(holder, NULL);
	pthread_join(faulter, NULL);
	assert_int_equal(b.ret, -EFAULT);
	assert_int_equal(hmm_ptable_lookup(b.table, at(b.p), NULL), 0);
	between = svm_stats(m).commit_retries >= 1;
	munmap(b.p, M2);
	mirror_close(m);
	hmm_ptable_destroy(b.table);
	mirror_open(m, "null", 1, NULL);
	return between;
}

/* On a busy machine 100 ms may be too short for the walk. */
static void change_between_walk_and_commit_is_noticed(void **state)
{
	bool between = false;

	for (int i = 0; i < 50 && !between; i++)
		between = change_between_walk_and_commit(*state);
	assert_true(between);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(batch_is_sorted_and_coalesced), T(bad_fault_of_a_batch_disturbs_no_other),
		T(device_is_told_of_an_upgrade),  T(vanished_memory_is_forgotten_first),
		T(large_page_is_one_entry),       T(change_between_walk_and_commit_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
