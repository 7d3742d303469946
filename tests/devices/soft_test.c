// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The soft device: jobs on the program's memory, device faults, TLB, a hostile program. */
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include "common/soft.h"

/* ---- loads and stores ------------------------------------------------------------------------ */

static void cold_read_is_one_fault_a_chunk(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p), .len = M2, .buf = malloc(M2) };

	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_memory_equal(s.buf, p, M2);
	assert_int_equal(device_stats(m).device_faults, 1);
	assert_int_equal(device_stats(m).replays, 1);
	assert_int_equal(device_stats(m).pages_4k, 512);
	assert_int_equal(device_stats(m).bytes_read, M2);
	assert_int_equal(device_stats(m).bytes_written, 0);
	free(s.buf);
	munmap(p, M2);
}

static void warm_read_is_no_fault(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p), .len = M2, .buf = malloc(M2) };

	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(device_stats(m).device_faults, 1);
	assert_int_equal(device_stats(m).jobs, 2);
	free(s.buf);
	munmap(p, M2);
}

static void store_reaches_the_program(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ | PROT_WRITE);
	struct span s = { .va = at(p) + 100, .len = 3 * K64, .buf = malloc(3 * K64) };

	memset(s.buf, 0x5a, s.len);
	assert_int_equal(run(m, kernel_store, &s, 1), 0);
	assert_memory_equal(p + 100, s.buf, s.len);
	assert_int_equal(p[99] | p[100 + s.len], 0);
	assert_int_equal(device_stats(m).bytes_written, s.len);
	free(s.buf);
	munmap(p, M2);
}

static void store_after_read_upgrades(void **state)
{
	struct mirror *m = *state;
	char *p = map_unwritten(M2);
	struct span s = { .va = at(p), .len = 8, .buf = &(uint64_t){ 1 } };

	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	s.buf = &(uint64_t){ 77 };
	assert_int_equal(run(m, kernel_store, &s, 1), 0);
	assert_int_equal(*(uint64_t *)p, 77);
	assert_int_equal(device_stats(m).device_faults, 2);
	assert_int_equal(svm_stats(m).upgrades, 1);
	munmap(p, M2);
}

static void store_in_a_shared_file_is_seen_by_pread(void **state)
{
	struct mirror *m = *state;
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	struct span s = { .len = 5, .buf = "hello" };
	char back[6] = "";
	char *p;

	if (fd < 0)
		fd = memfd_create("file", 0);
	assert_int_equal(ftruncate(fd, M2), 0);
	p = mmap(NULL, M2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	s.va = at(p) + PAGE;
	assert_int_equal(run(m, kernel_store, &s, 1), 0);
	assert_int_equal(pread(fd, back, 5, PAGE), 5);
	assert_string_equal(back, "hello");
	munmap(p, M2);
	close(fd);
}

/* ---- errors to the job ----------------------------------------------------------------------- */

static void hole_fails_the_job(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_NONE);
	struct span s = { .va = at(p), .len = 1, .prot = PROT_READ };

	assert_int_equal(run(m, kernel_touch, &s, 1), -EFAULT);
	assert_int_equal(device_stats(m).cancels, 1);
	assert_int_equal(device_stats(m).replays, 0);
	munmap(p, M2);
}

static void write_to_read_only_fails_the_job(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ);
	struct span s = { .va = at(p), .len = 1, .prot = PROT_READ | PROT_WRITE };

	assert_int_equal(run(m, kernel_touch, &s, 1), -EPERM);
	s.prot = PROT_READ;
	assert_int_equal(run(m, kernel_touch, &s, 1), 0);
	munmap(p, M2);
}

static void access_lengths_are_checked(void **state)
{
	struct mirror *m = *state;
	char *p = map_aligned(M2, PROT_READ);
	struct span s = { .va = at(p), .len = 0, .prot = PROT_READ };

	assert_int_equal(run(m, kernel_touch, &s, 1), -EINVAL);
	s.len = HMM_ACCESS_MAX + 1;
	assert_int_equal(run(m, kernel_touch, &s, 1), -EINVAL);
	s.len = HMM_ACCESS_MAX;
	s.va = at(p) + 5;
	assert_int_equal(run(m, kernel_touch, &s, 1), 0);
	s.va = UINT64_MAX - 3;
	assert_int_equal(run(m, kernel_touch, &s, 1), -EFAULT);
	munmap(p, M2);
}

static void bad_jobs_are_refused(void **state)
{
	struct mirror *m = *state;
	struct hmm_job job = { .size = sizeof(job) };

	assert_int_equal(hmm_svm_submit(m->svm, &job), -EINVAL);
	job.kernel = kernel_load;
	job.size = 3;
	assert_int_equal(hmm_svm_submit(m->svm, &job), -EINVAL);
}

static int kernel_fail_third(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
	return item == 2 ? -EIO : 0;
}

static void failing_item_ends_the_job(void **state)
{
	struct mirror *m = *state;
	_Atomic int ran = 0;

	assert_int_equal(run(m, kernel_fail_third, &ran, 1000000), -EIO);
	assert_true(ran < 1000000);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

static int kernel_count(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	atomic_fetch_add(&((_Atomic int *)arg)[item], 1);
	return 0;
}

static void each_item_runs_once(void **state)
{
	struct mirror *m = *state;
	_Atomic int *n = calloc(5000, sizeof(*n));

	assert_int_equal(run(m, kernel_count, n, 5000), 0);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(n[i], 1);
	assert_int_equal(device_stats(m).items, 5000);
	free(n);
}

static int kernel_engine(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	if (ctx->engines != 2 || ctx->scratch_size < HMM_SCRATCH_SIZE || item >= 2)
		return -EINVAL;
	memset(ctx->scratch, (int)item, ctx->scratch_size);
	atomic_fetch_add((_Atomic int *)arg, 1);
	return 0;
}

static void no_items_means_one_an_engine(void **state)
{
	_Atomic int ran = 0;

	assert_int_equal(run(*state, kernel_engine, &ran, 0), 0);
	assert_int_equal(ran, 2);
}

static int kernel_forever(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct span *s = arg;
	int ret;
	void *p;

	do
		ret = hmm_access(ctx, s->va, 1, PROT_READ, &p);
	while (!ret);
	return ret;
}

static void cancelled_job_ends(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p) };
	struct hmm_job job = { .size = sizeof(job), .kernel = kernel_forever, .arg = &s };

	assert_int_equal(hmm_svm_submit(m->svm, &job), 0);
	assert_int_equal(hmm_svm_wait(m->svm, &job, HMM_NO_WAIT), -ETIME);
	assert_int_equal(hmm_svm_wait(m->svm, &job, 20000000), -ETIME);
	assert_int_equal(hmm_svm_cancel(m->svm, &job), 0);
	assert_int_equal(hmm_svm_wait(m->svm, &job, HMM_FOREVER), 0);
	assert_int_equal(job.status, -ECANCELED);
	munmap(p, M2);
}

static void jobs_queue_up(void **state)
{
	struct mirror *m = *state;
	_Atomic int n[64] = { 0 };
	struct hmm_job jobs[8];

	for (int i = 0; i < 8; i++) {
		jobs[i] = (struct hmm_job){
			.size = sizeof(jobs[i]), .kernel = kernel_count, .arg = n, .items = 64
		};
		assert_int_equal(hmm_svm_submit(m->svm, &jobs[i]), 0);
	}
	for (int i = 7; i >= 0; i--) {
		assert_int_equal(hmm_svm_wait(m->svm, &jobs[i], HMM_FOREVER), 0);
		assert_int_equal(jobs[i].status, 0);
		assert_int_equal(jobs[i].done, 64);
	}
	for (int i = 0; i < 64; i++)
		assert_int_equal(n[i], 8);
	assert_int_equal(device_stats(m).jobs, 8);
}

/* ---- TLB ------------------------------------------------------------------------------------- */

static int kernel_again(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct span *s = arg;
	int ret = 0;
	void *p;

	for (int i = 0; i < 1000 && !ret; i++)
		ret = hmm_access(ctx, s->va, 8, PROT_READ, &p);
	return ret;
}

static void repeated_access_hits_the_tlb(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p) + K64 - 4 };

	assert_int_equal(run(m, kernel_again, &s, 1), 0);
	/* Two blocks each: missed once to find the fault, once to find the entry. */
	assert_true(device_stats(m).tlb_hits >= 1990);
	assert_true(device_stats(m).tlb_misses <= 4);
	munmap(p, M2);
}

static void tlb_can_be_switched_off(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p) };

	reopen(m, "soft:tlb=0", 1, NULL);
	assert_int_equal(run(m, kernel_again, &s, 1), 0);
	assert_int_equal(device_stats(m).tlb_hits, 0);
	assert_true(device_stats(m).tlb_misses >= 1000);
	munmap(p, M2);
}

static void invalidation_flushes_the_tlb(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p) };
	struct hmm_device_stats before;

	reopen(m, "soft", 1, NULL);
	assert_int_equal(run(m, kernel_again, &s, 1), 0);
	before = device_stats(m);
	p = mmap(p, M2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(p, 9, PAGE);
	s.len = 1;
	s.buf = &(char){ 0 };
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(*(char *)s.buf, 9);
	assert_int_equal(device_stats(m).tlb_flushes, before.tlb_flushes + 1);
	assert_int_equal(device_stats(m).device_faults, before.device_faults + 1);
	assert_int_equal(device_stats(m).invalidations, before.invalidations + 1);
	munmap(p, M2);
}

static void unrelated_unmap_flushes_nothing(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	char *other = pattern(M2);
	struct span s = { .va = at(p), .len = 1, .buf = &(char){ 0 } };
	struct span o = { .va = at(other), .len = 1, .buf = &(char){ 0 } };
	uint64_t flushes;

	reopen(m, "soft", 1, NULL);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(run(m, kernel_load, &o, 1), 0);
	assert_int_equal(hmm_svm_drop(m->svm, at(other), at(other) + M2), 0);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	flushes = device_stats(m).tlb_flushes;
	/* The memory is watched still, the device holds nothing of it. */
	munmap(other, M2);
	barrier(m);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(device_stats(m).tlb_flushes, flushes);
	munmap(p, M2);
}

/* ---- memory that cannot be cached ------------------------------------------------------------ */

static void file_is_used_once_each_time_without_wp_async(void **state)
{
	struct mirror *m = *state;
	struct span s = { .len = 3 * K64, .buf = malloc(3 * K64) };
	char path[] = "once-XXXXXX";
	int fd = mkstemp(path);
	char *p = pattern(M2);

	unlink(path);
	mirror_need(m, false, true);
	assert_int_equal(write(fd, p, M2), M2);
	munmap(p, M2);
	p = mmap(NULL, M2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	s.va = at(p);
	mirror_close(m);
	mirror_open_as(m, HMM_MM_NO_WP_ASYNC, "soft", 1, NULL);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_memory_equal(s.buf, p, s.len);
	assert_int_equal(device_stats(m).once_uses, 3);
	assert_int_equal(device_stats(m).pages_4k, 0);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(device_stats(m).once_uses, 6);
	((char *)s.buf)[5] ^= 0x55;
	assert_int_equal(run(m, kernel_store, &s, 1), 0);
	assert_memory_equal(s.buf, p, s.len);
	assert_int_equal(device_stats(m).once_uses, 9);
	free(s.buf);
	munmap(p, M2);
	close(fd);
}

static void anonymous_memory_is_cached_without_wp_async(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p), .len = K64, .buf = malloc(K64) };

	mirror_close(m);
	mirror_open_as(m, HMM_MM_NO_WP_ASYNC, "soft", 1, NULL);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(device_stats(m).once_uses, 0);
	assert_int_equal(device_stats(m).device_faults, 1);
	free(s.buf);
	munmap(p, M2);
}

static void discarded_memory_reads_as_zero(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p), .len = 64, .buf = malloc(64) };
	char zero[64] = { 0 };

	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_memory_equal(s.buf, p, 64);
	for (int i = 0; i < 200; i++) {
		memset(p, i + 1, 64);
		assert_int_equal(madvise(p, M2, MADV_DONTNEED), 0);
		assert_int_equal(run(m, kernel_load, &s, 1), 0);
		assert_memory_equal(s.buf, zero, 64);
	}
	assert_true(svm_stats(m).invalidations >= 200);
	free(s.buf);
	munmap(p, M2);
}

static void detached_segment_is_dropped_at_submit(void **state)
{
	struct mirror *m = *state;
	int old = shmget(IPC_PRIVATE, M2, IPC_CREAT | 0600);
	int new = shmget(IPC_PRIVATE, M2, IPC_CREAT | 0600);
	char *p = shmat(old, place_apart(M2), 0);
	struct span s = { .va = at(p), .len = 8, .buf = malloc(8) };

	if (old < 0 || p == (char *)-1) {
		print_message("no System V shared memory here\n");
		skip();
	}
	memset(p, 1, 8);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_int_equal(shmdt(p), 0);
	assert_ptr_equal(shmat(new, p, 0), p);
	memset(p, 2, 8);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	assert_memory_equal(s.buf, p, 8);
	assert_int_equal(*(char *)s.buf, 2);
	shmdt(p);
	assert_int_equal(run(m, kernel_load, &s, 1), -EFAULT);
	shmctl(old, IPC_RMID, NULL);
	shmctl(new, IPC_RMID, NULL);
	free(s.buf);
}

/* ---- fault threads, faults=none, fork, hostile program --------------------------------------- */

static int kernel_sum(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct span *s = arg;
	uint64_t sum = 0;
	void *p;
	int ret;

	for (size_t off = 0; off < M2; off += K64) {
		ret = hmm_access(ctx, s->va + item * M2 + off, K64, PROT_READ, &p);
		if (ret)
			return ret;
		for (size_t i = 0; i < K64 / 8; i++)
			sum += ((uint64_t *)p)[i];
	}
	ret = hmm_settle(ctx);
	if (!ret)
		((uint64_t *)s->buf)[item] = sum;
	return ret;
}

static uint64_t cpu_sum(const char *p, size_t bytes)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < bytes / 8; i++)
		sum += ((const uint64_t *)p)[i];
	return sum;
}

/* False: each chunk was faulted before the thread came to it. */
static bool fault_thread_runs_ahead(struct mirror *m)
{
	struct hmm_svm_options o = HMM_SVM_OPTIONS_INIT;
	char *p = pattern(8 * M2);
	uint64_t sums[8] = { 0 };
	struct span s = { .va = at(p), .buf = sums };
	bool ahead;

	o.fault_threads = 1;
	reopen(m, "soft", 1, &o);
	assert_int_equal(run(m, kernel_sum, &s, 8), 0);
	for (int i = 0; i < 8; i++)
		assert_int_equal(sums[i], cpu_sum(p + i * M2, M2));
	ahead = device_stats(m).device_faults < 8 && svm_stats(m).prefetched > 0;
	assert_int_equal(svm_stats(m).chunks_2m, 8);
	munmap(p, 8 * M2);
	return ahead;
}

/* On a busy machine it may have no processor whenever it is ahead. */
static void fault_threads_serve_and_run_ahead(void **state)
{
	bool ahead = false;

	for (int i = 0; i < 50 && !ahead; i++)
		ahead = fault_thread_runs_ahead(*state);
	assert_true(ahead);
}

static void reduced_permission_is_found_at_submit(void **state)
{
	struct mirror *m = *state;
	char *p = pattern(M2);
	struct span s = { .va = at(p), .len = 8, .buf = malloc(8) };

	assert_int_equal(run(m, kernel_store, &s, 1), 0);
	assert_int_equal(mprotect(p, M2, PROT_READ), 0);
	assert_int_equal(run(m, kernel_store, &s, 1), -EPERM);
	assert_int_equal(svm_stats(m).dropped_at_submit, 1);
	assert_int_equal(run(m, kernel_load, &s, 1), 0);
	free(s.buf);
	munmap(p, M2);
}

static void child_can_close_what_it_inherited(void **state)
{
	struct mirror *m = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(50);
		hmm_svm_destroy(m->svm);
		hmm_device_destroy(m->dev);
		hmm_mm_detach(m->mm);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Each page holds its own number, whenever it is mapped. */
struct hostile {
	char *p;
	size_t pages;
	_Atomic int stop;
	_Atomic uint64_t wrong, good, gone;
};

static void *hostile_thread(void *arg)
{
	struct hostile *h = arg;
	unsigned int seed = 7;

	while (!h->stop) {
		size_t i = (size_t)rand_r(&seed) % h->pages;
		char *page = h->p + i * PAGE;

		/* Unmapped, but kept from being anybody else's meanwhile. */
		if (mmap(page, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
		    page)
			break;
		if (rand_r(&seed) & 1)
			sched_yield();
		if (mmap(page, PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
			break;
		*(volatile uint64_t *)page = i + 1;
	}
	return NULL;
}

static int kernel_hostile(struct hmm_ctx *ctx, uint64_t item, void *arg)
{
	struct hostile *h = arg;
	size_t i = item * 7919 % h->pages;
	uint64_t v;
	int ret = hmm_load(ctx, &v, at(h->p) + i * PAGE, 8);

	if (ret == -EFAULT)
		atomic_fetch_add(&h->gone, 1);
	else if (!ret && v != 0 && v != i + 1)
		atomic_fetch_add(&h->wrong, 1);
	else if (!ret)
		atomic_fetch_add(&h->good, 1);
	return ret == -EFAULT ? 0 : ret;
}

static void job_survives_a_hostile_program(void **state)
{
	struct mirror *m = *state;
	struct hostile h = { .pages = 64 };
	uint64_t end = now_ns() + 1000000000;
	pthread_t t;

	h.p = map_aligned(h.pages * PAGE, PROT_READ | PROT_WRITE);
	for (size_t i = 0; i < h.pages; i++)
		*(uint64_t *)(h.p + i * PAGE) = i + 1;
	pthread_create(&t, NULL, hostile_thread, &h);
	/* A second, or on a busy machine until something came through. */
	while (now_ns() < end || h.good <= 1000 || device_stats(m).invalidations <= 10)
		assert_int_equal(run(m, kernel_hostile, &h, 500), 0);
	h.stop = 1;
	pthread_join(t, NULL);
	assert_int_equal(h.wrong, 0);
	assert_int_equal(device_stats(m).stale_accesses, 0);
	munmap(h.p, h.pages * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(cold_read_is_one_fault_a_chunk),
		T(warm_read_is_no_fault),
		T(store_reaches_the_program),
		T(store_after_read_upgrades),
		T(store_in_a_shared_file_is_seen_by_pread),
		T(hole_fails_the_job),
		T(write_to_read_only_fails_the_job),
		T(access_lengths_are_checked),
		T(bad_jobs_are_refused),
		T(failing_item_ends_the_job),
		T(each_item_runs_once),
		T(no_items_means_one_an_engine),
		T(cancelled_job_ends),
		T(jobs_queue_up),
		T(repeated_access_hits_the_tlb),
		T(tlb_can_be_switched_off),
		T(invalidation_flushes_the_tlb),
		T(unrelated_unmap_flushes_nothing),
		T(file_is_used_once_each_time_without_wp_async),
		T(anonymous_memory_is_cached_without_wp_async),
		T(discarded_memory_reads_as_zero),
		T(detached_segment_is_dropped_at_submit),
		T(fault_threads_serve_and_run_ahead),
		T(reduced_permission_is_found_at_submit),
		T(child_can_close_what_it_inherited),
		T(job_survives_a_hostile_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
