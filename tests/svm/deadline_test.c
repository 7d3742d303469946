// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Rule 12 for mirrors: a fault comes back at its deadline wherever it waits, while a driver's
 * quiesce or a callback hangs, and leaves nothing behind that was not installed as a whole.
 *
 *	closer			fault			test
 *	drop: gate closed,
 *	quiesce hangs
 *				walks, waits at the gate
 *				-ETIME
 *							release
 */
#include "common/svm.h"
#include "common/broken.h"
#include "space/space.h"
#include "svm/svm.h"
#include "files/mapping.h"

#define RW (PROT_READ | PROT_WRITE)
#define MS 1000000ULL
#define TIMEOUT (20 * MS)
#define PENDING 1234 /* it has not come back */
#define PATIENCE_MS 20000

struct stuck {
	struct mirror m;
	struct hmm_ptable *table;
	char *p; /* 4 * M2 bytes, of which the first is mirrored */
	char *file;
	int fd;
	_Atomic bool hang, entered, release;
	_Atomic bool go_on;       /* from this place, to the next */
	_Atomic bool in_callback; /* it hangs there, not in quiesce */
	_Atomic int answer;
	int (*call)(struct stuck *s);
	void (*close)(struct stuck *s);
	pthread_t closer;
	_Atomic bool half;  /* the next map installs a half, fails, and the gate closes meanwhile */
	unsigned int waits; /* of the device's op */
};

static void hang_here(struct stuck *s)
{
	if (!s->hang)
		return;
	s->hang = false;
	s->entered = true;
	while (!s->release && !atomic_exchange(&s->go_on, false))
		usleep(1000);
}

static void *closer_thread(void *arg)
{
	struct stuck *s = arg;

	/*
	 * Where a thief has stopped the device already (lib/pump/steal.h) a closing does not stop
	 * it again, and nothing hangs: then the next one.
	 */
	for (s->close(s); !s->entered; s->close(s))
		usleep(1000);
	return NULL;
}

static void start_closer(struct stuck *s, void (*close)(struct stuck *s))
{
	s->entered = s->release = false;
	s->hang = true;
	s->close = close;
	assert_int_equal(pthread_create(&s->closer, NULL, closer_thread, s), 0);
}

/* Until let_go() a closer of the gate hangs. */
static void get_stuck(struct stuck *s, void (*close)(struct stuck *s))
{
	start_closer(s, close);
	while (!s->entered)
		usleep(1000);
}

static void let_go(struct stuck *s)
{
	s->release = true;
	pthread_join(s->closer, NULL);
}

static void drop_elsewhere(struct stuck *s)
{
	hmm_svm_drop(s->m.svm, PAGE, 2 * PAGE);
}

static int stuck_map(struct hmm_device *dev, const struct hmm_device_map *map)
{
	struct stuck *s = hmm_device_priv(dev);

	if (!s->half)
		return hmm_ptable_set(s->table, map->start, map->shift, map->pfns, map->n);
	s->half = false;
	hmm_ptable_set(s->table, map->start, map->shift, map->pfns, map->n / 2);
	start_closer(s, drop_elsewhere);
	while (!s->m.mm->gate.closed)
		usleep(1000);
	return -EIO;
}

static void stuck_invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
			     enum hmm_event event)
{
	hmm_ptable_clear(((struct stuck *)hmm_device_priv(dev))->table, start, end);
}

static void stuck_quiesce(struct hmm_device *dev)
{
	struct stuck *s = hmm_device_priv(dev);

	if (!s->in_callback)
		hang_here(s);
}

static int stuck_submit(struct hmm_device *dev, struct hmm_job *job)
{
	return 0;
}

static int stuck_wait(struct hmm_device *dev, struct hmm_job *job, uint64_t timeout_ns)
{
	((struct stuck *)hmm_device_priv(dev))->waits++;
	return 0;
}

static struct hmm_device_ops ops = {
	.size = sizeof(ops),
	.abi = HMM_DEVICE_ABI,
	.name = "stuck",
	.map = stuck_map,
	.invalidate = stuck_invalidate,
	.quiesce = stuck_quiesce,
	.submit = stuck_submit,
	.wait = stuck_wait,
};

static int fault_the_first(struct stuck *s)
{
	return hmm_svm_fault(s->m.svm, at(s->p), 1, RW);
}

/* What a busy machine makes of short deadlines is not the point. */
static int insist(struct stuck *s, int (*call)(struct stuck *s))
{
	int ret = -ETIME;

	for (int i = 0; i < 1000 && ret == -ETIME; i++)
		ret = call(s);
	return ret;
}

static void open_as(struct stuck *s, uint32_t threads, uint32_t faults, uint64_t timeout_ns)
{
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;

	ops.thread_model = threads;
	ops.fault_model = faults;
	options.fault_timeout_ns = timeout_ns;
	assert_int_equal(hmm_mm_attach(NULL, &s->m.mm), 0);
	assert_int_equal(hmm_ptable_create(NULL, &s->table), 0);
	assert_int_equal(hmm_device_create(s->m.mm, &ops, s, NULL, &s->m.dev), 0);
	assert_int_equal(hmm_svm_create(s->m.mm, s->m.dev, &options, &s->m.svm), 0);
	s->p = map_aligned(4 * M2, RW);
	assert_int_equal(insist(s, fault_the_first), 0);
}

static void shut(struct stuck *s)
{
	mirror_close(&s->m);
	hmm_ptable_destroy(s->table);
	munmap(s->p, 4 * M2);
}

static int setup(void **state)
{
	struct stuck *s = calloc(1, sizeof(*s));

	open_as(s, HMM_THREADS_PARALLEL, HMM_FAULTS_REPLAY, TIMEOUT);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	mend();
	shut(*state);
	free(*state);
	return 0;
}

static int insist_on_the_first(struct stuck *s)
{
	return insist(s, fault_the_first);
}

static int fault_the_second(struct stuck *s)
{
	return hmm_svm_fault(s->m.svm, at(s->p) + M2, 1, RW);
}

static int insist_on_the_second(struct stuck *s)
{
	return insist(s, fault_the_second);
}

/* A deadline that is over before the walk, on a busy machine, is none that a commit has met. */
static int walk_the_second(struct stuck *s)
{
	const uint64_t walks = svm_stats(&s->m).range_faults;
	int ret;

	do
		ret = fault_the_second(s);
	while (ret == -ETIME && svm_stats(&s->m).range_faults == walks);
	return ret;
}

static int fault_the_last(struct stuck *s)
{
	return hmm_svm_fault(s->m.svm, at(s->p) + 3 * M2, 1, RW);
}

static void map_the_last(struct stuck *s)
{
	mmap(s->p + 3 * M2, M2, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

/*
 * Its end is not read before the gate is closed: the pump itself hangs. If it did not, the last is
 * filled, so that it can be done again.
 */
static void unmap_the_last(struct stuck *s)
{
	munmap(s->p + 3 * M2, M2);
	if (s->entered)
		return;
	map_the_last(s);
	insist(s, fault_the_last);
}

static int fault_near_the_second(struct stuck *s)
{
	return hmm_svm_fault(s->m.svm, at(s->p) + M2 + PAGE, 1, RW);
}

static int prefetch_all(struct stuck *s)
{
	return (int)hmm_svm_prefetch(s->m.svm, at(s->p), at(s->p) + 4 * M2, RW);
}

static void *call_thread(void *arg)
{
	struct stuck *s = arg;

	s->answer = s->call(s);
	return NULL;
}

/* What a call answers while something hangs, or PENDING; then nothing hangs any more. */
static int answer_of(struct stuck *s, int (*call)(struct stuck *s), int patience_ms)
{
	pthread_t thread;
	int ret;

	s->answer = PENDING;
	s->call = call;
	assert_int_equal(pthread_create(&thread, NULL, call_thread, s), 0);
	for (int i = 0; i < patience_ms / 10 && s->answer == PENDING; i++)
		usleep(10000);
	ret = s->answer;
	let_go(s);
	pthread_join(thread, NULL);
	return ret;
}

static unsigned int installed(struct stuck *s, size_t offset)
{
	unsigned int n = 0;

	for (size_t i = 0; i < M2; i += PAGE)
		n += hmm_ptable_lookup(s->table, at(s->p) + offset + i, NULL) != 0;
	return n;
}

static int add_flags(const struct hmm_svm_chunk *chunk, void *arg)
{
	*(uint32_t *)arg |= chunk->flags | 1U << 31;
	return 0;
}

/* 0: no chunk */
static uint32_t chunks(struct stuck *s, size_t offset)
{
	uint32_t flags = 0;

	hmm_svm_walk(s->m.svm, at(s->p) + offset, at(s->p) + offset + M2, add_flags, &flags);
	return flags;
}

static void at_the_commit(struct stuck *s)
{
	uint64_t walks = svm_stats(&s->m).range_faults;

	get_stuck(s, drop_elsewhere);
	assert_int_equal(answer_of(s, walk_the_second, PATIENCE_MS), -ETIME);
	assert_int_equal(svm_stats(&s->m).range_faults, walks + 1);
	assert_int_equal(installed(s, M2), 0);
	assert_int_equal(chunks(s, M2), 0);
	assert_int_equal(insist(s, fault_the_second), 0);
	assert_int_equal(installed(s, M2), 512);
	hmm_svm_drop(s->m.svm, at(s->p) + M2, at(s->p) + 2 * M2);
	if (break_rule("no-deadline")) {
		get_stuck(s, drop_elsewhere);
		assert_int_equal(answer_of(s, fault_the_second, 300), PENDING);
	}
}

static void rule_12_a_commit_gives_up_at_a_closed_gate(void **state)
{
	at_the_commit(*state);
}

static void rule_12_a_commit_of_a_serial_device_gives_up(void **state)
{
	struct stuck *s = *state;

	shut(s);
	open_as(s, HMM_THREADS_SERIAL, HMM_FAULTS_REPLAY, TIMEOUT);
	at_the_commit(s);
}

/* One that waits for ever, and does not keep the others from the device. */
static void who_waits_at_the_gate_does_not_hold_the_device(void **state)
{
	struct stuck *s = *state;
	pthread_t thread;

	shut(s);
	open_as(s, HMM_THREADS_SERIAL, HMM_FAULTS_REPLAY, 0);
	get_stuck(s, drop_elsewhere);
	s->answer = PENDING;
	s->call = fault_the_second;
	assert_int_equal(pthread_create(&thread, NULL, call_thread, s), 0);
	while (!s->m.mm->gate.sleepers)
		usleep(1000);
	device_stats(&s->m);
	assert_int_equal(s->answer, PENDING);
	let_go(s);
	pthread_join(thread, NULL);
	assert_int_equal(s->answer, 0);
}

static void rule_12_a_fault_gives_up_while_the_pump_hangs(void **state)
{
	struct stuck *s = *state;

	assert_int_equal(insist(s, fault_the_last), 0);
	get_stuck(s, unmap_the_last);
	assert_int_equal(answer_of(s, fault_the_first, PATIENCE_MS), -ETIME);
	assert_int_equal(insist(s, fault_the_first), 0);
	map_the_last(s);
	assert_int_equal(insist(s, fault_the_last), 0);
	get_stuck(s, unmap_the_last);
	assert_int_equal(answer_of(s, fault_the_second, PATIENCE_MS), -ETIME);
	assert_int_equal(chunks(s, M2), 0);
	assert_int_equal(insist(s, fault_the_second), 0);
}

static void rule_12_a_prefetch_gives_up(void **state)
{
	struct stuck *s = *state;

	get_stuck(s, drop_elsewhere);
	assert_int_equal(answer_of(s, prefetch_all, PATIENCE_MS), -ETIME);
	assert_int_equal(insist(s, prefetch_all), 4 * M2);
}

/* ---- the other places where one waits -------------------------------------------------------- */

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	struct stuck *s = priv;

	if (s->in_callback)
		hang_here(s);
	return 0;
}

static const struct hmm_interval_notifier_ops ignore_ops = { .size = sizeof(ignore_ops),
							     .invalidate = ignore };

/*
 * A driver that may hold something of a range has it invalidated before the range is registered,
 * which closes the gate.
 */
static void rule_12_a_registration_gives_up(void **state)
{
	struct stuck *s = *state;
	struct hmm_interval_notifier *ni;

	assert_ptr_equal(
		mmap(s->p + M2, M2, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
		s->p + M2);
	assert_int_equal(mprotect(s->p + M2 + PAGE, M2 - 2 * PAGE, RW), 0);
	barrier(&s->m);
	assert_int_equal(
		hmm_interval_notifier_insert(s->m.mm, at(s->p) + M2, M2, &ignore_ops, s, &ni), 0);
	get_stuck(s, drop_elsewhere);
	assert_int_equal(answer_of(s, fault_near_the_second, PATIENCE_MS), -ETIME);
	assert_int_equal(chunks(s, M2), 0);
	assert_int_equal(insist(s, fault_near_the_second), 0);
	hmm_interval_notifier_remove(ni);
}

static void invalidate_elsewhere(struct stuck *s)
{
	struct hmm_invalidation inv = { .start = PAGE,
					.end = 2 * PAGE,
					.event = HMM_EVENT_MIGRATE };

	hmm_interval_invalidate(s->m.mm, &inv);
}

/*
 * A callback that hangs has the notifiers' lock: those of a fault and of the svm cannot be
 * inserted.
 */
static void rule_12_a_fault_gives_up_while_a_callback_hangs(void **state)
{
	struct stuck *s = *state;
	struct hmm_interval_notifier *ni;

	assert_int_equal(hmm_interval_notifier_insert(s->m.mm, PAGE, PAGE, &ignore_ops, s, &ni), 0);
	s->in_callback = true;
	for (int window = 0; window < 2; window++) {
		if (window) {
			hmm_svm_drop(s->m.svm, 0, UINT64_MAX);
			/* It gives way, as long as the gate is closed. */
			for (; svm_stats(&s->m).notifiers; usleep(1000))
				hmm_svm_collect(s->m.svm);
		}
		get_stuck(s, invalidate_elsewhere);
		assert_int_equal(answer_of(s, fault_the_second, PATIENCE_MS), -ETIME);
		assert_int_equal(chunks(s, M2), 0);
	}
	assert_int_equal(insist(s, fault_the_second), 0);
	hmm_interval_notifier_remove(ni);
}

static void map_the_file(struct stuck *s)
{
	mirror_need(&s->m, false, true);
	s->fd = memfd_create("late", MFD_CLOEXEC);
	assert_int_equal(ftruncate(s->fd, 2 * M2), 0);
	s->file = map_aligned(2 * M2, RW);
	assert_ptr_equal(mmap(s->file, 2 * M2, RW, MAP_SHARED | MAP_FIXED, s->fd, 0), s->file);
}

static void unmap_the_file(struct stuck *s)
{
	munmap(s->file, 2 * M2);
	close(s->fd);
}

static int fault_the_file(struct stuck *s)
{
	return hmm_svm_fault(s->m.svm, at(s->file), 1, RW);
}

static int fault_more_of_the_file(struct stuck *s)
{
	return hmm_svm_fault(s->m.svm, at(s->file) + M2, 1, RW);
}

/* As above: until the change is seen. */
static int fault_the_changed_file(struct stuck *s)
{
	int ret;

	do
		ret = fault_more_of_the_file(s);
	while (ret == -ETIME && !stale_undelivered(s->m.mm));
	return ret;
}

/*
 * A file that changed: what was mirrored of it is to be told, which closes the gate. Late, it is
 * not lost: nothing of it stands until the next fault of anything, or a check, tells.
 */
static void rule_12_a_fault_of_a_changed_file_gives_up(void **state)
{
	struct stuck *s = *state;

	map_the_file(s);
	for (int by_a_check = 0; by_a_check < 2; by_a_check++) {
		assert_int_equal(insist(s, fault_the_file), 0);
		hmm_svm_drop(s->m.svm, at(s->file) + M2, at(s->file) + 2 * M2);
		assert_false(stale_undelivered(s->m.mm));
		get_stuck(s, drop_elsewhere);
		assert_int_equal(ftruncate(s->fd, 0), 0);
		assert_int_equal(ftruncate(s->fd, 2 * M2), 0);
		assert_int_equal(answer_of(s, fault_the_changed_file, PATIENCE_MS), -ETIME);
		assert_true(stale_undelivered(s->m.mm));
		assert_int_not_equal(hmm_ptable_lookup(s->table, at(s->file), NULL), 0);
		if (by_a_check)
			assert_true(hmm_mm_check_files(s->m.mm) >= 0);
		else
			assert_int_equal(insist(s, fault_the_second), 0);
		assert_false(stale_undelivered(s->m.mm));
		assert_int_equal(hmm_ptable_lookup(s->table, at(s->file), NULL), 0);
	}
	unmap_the_file(s);
}

static int check_files(struct stuck *s)
{
	return hmm_mm_check_files(s->m.mm);
}

static int note_file(struct stuck *s)
{
	return hmm_mm_note_file(s->m.mm, s->fd);
}

static void *check_thread(void *arg)
{
	check_files(arg);
	return NULL;
}

/* Nothing maps the file any more by the table, which has to be looked through from time to time. */
static void forget_the_file(struct stuck *s)
{
	struct file_table *t = s->m.mm->files;

	pthread_mutex_lock(&t->lock);
	t->gc_ns = 0;
	files_close_unused_locked(s->m.mm, UINT_MAX);
	pthread_mutex_unlock(&t->lock);
	assert_int_equal(t->n_files, 0);
}

/* What a call answers while another is about to tell of the change. */
static int answer_behind_another(struct stuck *s, int (*call)(struct stuck *s), bool forgotten,
				 int patience_ms)
{
	pthread_t other;
	int ret;

	assert_int_equal(insist(s, fault_the_file), 0);
	get_stuck(s, drop_elsewhere);
	assert_int_equal(ftruncate(s->fd, 0), 0);
	assert_int_equal(ftruncate(s->fd, 2 * M2), 0);
	assert_int_equal(pthread_create(&other, NULL, check_thread, s), 0);
	while (!stale_undelivered(s->m.mm))
		usleep(1000);
	if (forgotten)
		forget_the_file(s);
	ret = answer_of(s, call, patience_ms);
	pthread_join(other, NULL);
	assert_false(stale_undelivered(s->m.mm));
	return ret;
}

/*
 * Nor does a check end before it, or the program's own word: what they found first, another may be
 * about to tell.
 */
static void a_check_waits_for_what_another_tells(void **state)
{
	struct stuck *s = *state;

	map_the_file(s);
	for (int forgotten = 0; forgotten < 2; forgotten++) {
		assert_int_equal(answer_behind_another(s, check_files, forgotten, 300), PENDING);
		assert_int_equal(answer_behind_another(s, note_file, forgotten, 300), PENDING);
	}
	if (break_rule("told-early"))
		assert_int_not_equal(answer_behind_another(s, check_files, false, PATIENCE_MS),
				     PENDING);
	unmap_the_file(s);
}

/* It waits at the gate, which opens, and closes again for a callback that hangs. */
static void rule_12_a_fault_does_not_wait_for_the_next_callback(void **state)
{
	struct stuck *s = *state;
	struct hmm_interval_notifier *ni;
	pthread_t thread;
	int ret;

	shut(s);
	open_as(s, HMM_THREADS_PARALLEL, HMM_FAULTS_REPLAY, 500 * MS);
	assert_int_equal(hmm_interval_notifier_insert(s->m.mm, PAGE, PAGE, &ignore_ops, s, &ni), 0);
	get_stuck(s, invalidate_elsewhere);
	s->answer = PENDING;
	s->call = fault_the_second;
	assert_int_equal(pthread_create(&thread, NULL, call_thread, s), 0);
	while (!s->m.mm->gate.sleepers && s->answer == PENDING)
		usleep(1000);
	s->in_callback = s->hang = true;
	s->entered = false;
	s->go_on = true;
	while (!s->entered)
		usleep(1000);
	for (int i = 0; i < PATIENCE_MS / 10 && s->answer == PENDING; i++)
		usleep(10000);
	ret = s->answer;
	let_go(s);
	pthread_join(thread, NULL);
	assert_int_equal(ret, -ETIME);
	assert_int_equal(insist(s, fault_the_second), 0);
	hmm_interval_notifier_remove(ni);
}

/* What is there needs no gate, nor does the garbage have to go just now. */
static void rule_12_garbage_is_left_when_the_gate_is_closed(void **state)
{
	struct stuck *s = *state;

	get_stuck(s, drop_elsewhere);
	s->m.svm->garbage = 100000;
	assert_int_equal(answer_of(s, insist_on_the_first, PATIENCE_MS), 0);
}

/* The device failed, and what it has installed all the same cannot be dropped now: it is known. */
static void rule_12_a_failed_map_does_not_wait_for_the_gate(void **state)
{
	struct stuck *s = *state;

	s->half = true;
	assert_int_equal(answer_of(s, insist_on_the_second, PATIENCE_MS), -EIO);
	assert_int_equal(installed(s, M2), 256);
	assert_int_equal(chunks(s, M2), HMM_SVM_CHUNK_PARTIAL | 1U << 31);
	assert_int_equal(insist(s, fault_the_second), 0);
	assert_int_equal(installed(s, M2), 512);
	assert_int_equal(chunks(s, M2), 1U << 31);
}

static int restore_job(struct stuck *s)
{
	return hmm_device_restore(s->m.dev);
}

/* Somebody reads the job's ranges: it is not the caller's yet, but the device is done with it. */
static void rule_12_a_wait_for_a_job_gives_up(void **state)
{
	struct stuck *s = *state;
	struct hmm_job_range range;
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel_touch,
			       .items = 1,
			       .ranges = &range,
			       .nranges = 1 };
	pthread_t thread;

	shut(s);
	open_as(s, HMM_THREADS_PARALLEL, HMM_FAULTS_NONE, 0);
	range = (struct hmm_job_range){ at(s->p), at(s->p) + 2 * M2, RW, 0 };
	assert_int_equal(hmm_svm_submit(s->m.svm, &job), 0);
	hmm_svm_drop(s->m.svm, at(s->p), at(s->p) + M2);
	get_stuck(s, drop_elsewhere);
	s->answer = PENDING;
	s->call = restore_job;
	assert_int_equal(pthread_create(&thread, NULL, call_thread, s), 0);
	while (!s->m.mm->gate.sleepers)
		usleep(1000);
	assert_int_equal(hmm_svm_wait(s->m.svm, &job, TIMEOUT), -ETIME);
	assert_int_equal(s->answer, PENDING);
	let_go(s);
	pthread_join(thread, NULL);
	assert_int_equal(s->answer, 0);
	assert_int_equal(hmm_svm_wait(s->m.svm, &job, HMM_FOREVER), 0);
	assert_int_equal(s->waits, 1);
	assert_null(s->m.svm->jobs);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(rule_12_a_commit_gives_up_at_a_closed_gate),
		T(rule_12_a_commit_of_a_serial_device_gives_up),
		T(who_waits_at_the_gate_does_not_hold_the_device),
		T(rule_12_a_fault_gives_up_while_the_pump_hangs),
		T(rule_12_a_prefetch_gives_up),
		T(rule_12_a_registration_gives_up),
		T(rule_12_a_fault_gives_up_while_a_callback_hangs),
		T(rule_12_a_fault_of_a_changed_file_gives_up),
		T(a_check_waits_for_what_another_tells),
		T(rule_12_a_fault_does_not_wait_for_the_next_callback),
		T(rule_12_garbage_is_left_when_the_gate_is_closed),
		T(rule_12_a_failed_map_does_not_wait_for_the_gate),
		T(rule_12_a_wait_for_a_job_gives_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
