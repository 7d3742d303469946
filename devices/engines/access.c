// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Accesses of a kernel function. An engine stays in its section from access to access, until the
 * gate wants to close. What it did inside is good if the section had not been overrun when the
 * engine looked *after* the work:
 *
 *	engine				pump (after 10 ms of waiting)
 *	load from memory
 *	fence
 *	poll: neither closed nor overrun	state = OVERRUN, reads the event
 *
 * If the pump went on before the load the poll shows it, as an engine stays overrun until it
 * leaves.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <hmm/mm.h>
#include <hmm/range.h>
#include "svm/svm.h"
#include "base/mutation.h"
#include "base/number.h"
#include "engines/runner.h"

#define IN_VAIN 2
#define VAIN_AT_ONCE 100
#define VAIN_MAX 10000 /* with a pause of 1 ms each: about ten seconds */

static void enter(struct engine *e)
{
	hmm_engine_enter(e->gate);
	e->in = true;
	if (e->runner->ops.enter)
		e->runner->ops.enter(e->runner->priv, e->state);
}

static inline int translate(struct engine *e, uint64_t va, size_t len, int prot, void **host)
{
	const struct runner *r = e->runner;

	return r->ops.translate(r->priv, e->state, va, len, prot, host);
}

bool access_leave(struct engine *e)
{
	bool stood;

	hmm_guard_disarm(&e->guard);
	if (!e->in)
		return true;
	e->in = false;
	e->once = false;
	stood = hmm_engine_exit(e->gate);
	if (!stood)
		bump(&e->stats.overruns, 1);
	return stood;
}

/* Is what was done in the section so far good? Leaves the section if the gate wants to close. */
static bool check(struct engine *e)
{
#ifdef __SANITIZE_THREAD__
	/* ThreadSanitizer knows no fences; x86-64 keeps loads in order. */
	atomic_signal_fence(memory_order_seq_cst);
#else
	atomic_thread_fence(memory_order_acquire);
#endif
	if (__builtin_expect(!hmm_engine_poll(e->gate) && !e->once, 1))
		return true;
	return access_leave(e);
}

static void __attribute__((noreturn)) restart(struct engine *e, enum restart_reason reason)
{
	e->reason = reason;
	_longjmp(e->guard.landing, 1);
}

/* Stores in a section that was overrun may have gone to memory that was mapped there since. */
static void judge_overrun(struct engine *e)
{
	void *host;

	if (!e->wrote)
		return;
	enter(e);
	if (translate(e, e->va, 1, PROT_READ | PROT_WRITE, &host))
		bump(&e->stats.stale_accesses, 1);
	access_leave(e);
}

/*
 * A page was not there when it was accessed. The engine is outside of the section by now. 0: the
 * engine tries again. A device without faults cannot ask for the page, so it waits until events are
 * handled. If the same page vanishes again and again no event is about it.
 */
static int vanished(struct engine *e, uint64_t addr, int prot)
{
	struct hmm_device_fault f = { .addr = addr, .len = 1, .prot = (uint32_t)prot };

	bump(&e->stats.guard_hits, 1);
	if (e->runner->fault_model == HMM_FAULTS_REPLAY) {
		f.flags = HMM_FAULT_VANISHED;
		return fault_raise(e, &f);
	}
	if (e->vanished_page != addr >> HMM_PAGE_SHIFT)
		e->vanished_times = 0;
	e->vanished_page = addr >> HMM_PAGE_SHIFT;
	if (++e->vanished_times > 3)
		return -EFAULT;
	return hmm_mm_barrier(hmm_device_mm(e->runner->dev), HMM_FOREVER);
}

int access_recover(struct engine *e)
{
	bool stood = access_leave(e);
	int ret;

	bump(&e->stats.restarts, 1);
	e->used = false;
	if (e->reason == RESTART_OVERRUN || !stood) {
		judge_overrun(e);
		e->wrote = false;
		if (e->reason == RESTART_OVERRUN)
			return 0;
	}
	e->wrote = false;
	ret = vanished(e, e->va + (e->guard.hit - e->guard.start), e->prot);
	/*
	 * The device has dropped the page. The item begins again, and its own call of hmm_access()
	 * returns the error.
	 */
	if (e->runner->fault_model == HMM_FAULTS_REPLAY &&
	    (ret == -EFAULT || ret == -EPERM || ret == -EHWPOISON))
		ret = 0;
	return ret;
}

/*
 * Ends the use of the pointer that was given out. Begins the item again if that use was not good.
 */
static void settle(struct engine *e)
{
	hmm_guard_disarm(&e->guard);
	if (__builtin_expect(e->in && !check(e), 0) && e->used)
		restart(e, RESTART_OVERRUN);
	e->used = e->wrote = false;
}

static bool named(const struct hmm_job *job, uint64_t va, size_t len, int prot)
{
	for (uint32_t i = 0; i < job->nranges; i++) {
		const struct hmm_job_range *r = &job->ranges[i];

		if (va >= r->start && va + len <= r->end && !(prot & ~(int)r->prot))
			return true;
	}
	return false;
}

/*
 * What an engine checks before it uses memory once. An engine that uses the address reaches what is
 * mapped at that instant, as the CPU does, so the sequence is enough. A device with its own means
 * (once) may hold something, so all checks are made.
 */
static unsigned int once_checks(const struct engine *e)
{
	return e->runner->ops.once ? HMM_CHECK_ALL : 0;
}

/*
 * Makes a translation that holds for one section. 0: the engine is inside that section; -EAGAIN; or
 * an error.
 */
static int use_once(struct engine *e, const struct hmm_device_fault *f, uint64_t va, size_t len,
		    int prot, void **host)
{
	struct hmm_range range = {
		.size = sizeof(range),
		.start = f->once_start,
		.end = f->once_end,
		.notifier = f->once_notifier,
		.notifier_seq = f->once_seq,
	};
	int ret = -EAGAIN;

	if (va < f->once_start || va + len > f->once_end)
		return -EFAULT;
	enter(e);
	e->once = true;
	if (!hmm_range_check(&range, once_checks(e))) {
		*host = (void *)(uintptr_t)va;
		ret = e->runner->ops.once
			      ? e->runner->ops.once(e->runner->priv, e->state, va, len, prot, host)
			      : 0;
	}
	if (ret)
		access_leave(e);
	else
		bump(&e->stats.once_uses, 1);
	return ret;
}

/*
 * Translations of running jobs were invalidated: has them populated again. An error may be about
 * memory that another job has named, so this job fails only if its own translation is missing.
 */
static int lost(struct engine *e, uint64_t va, size_t len, int prot)
{
	int ret = -EFAULT;

	for (int i = 0; ret && i < 3; i++) {
		void *host;

		ret = hmm_device_restore(e->runner->dev);
		if (!ret)
			break;
		enter(e);
		if (translate(e, va, len, prot, &host) != -ENOENT)
			ret = 0;
		access_leave(e);
	}
	return ret;
}

/*
 * Called outside of sections. 0: look again; 1: *host may be used in the section that has begun;
 * IN_VAIN: memory that may be used once has changed before it could be used.
 */
static int miss(struct engine *e, uint64_t va, size_t len, int prot, void **host)
{
	struct hmm_device_fault f = { .addr = va, .len = len, .prot = (uint32_t)prot };
	int ret;

	if (atomic_load_explicit(&e->job->stop, memory_order_relaxed))
		return -ECANCELED;
	if (e->runner->fault_model == HMM_FAULTS_NONE) {
		bump(&e->stats.device_faults, 1);
		return named(e->job->job, va, len, prot) ? lost(e, va, len, prot) : -EFAULT;
	}
	ret = fault_raise(e, &f);
	if (ret || !(f.flags & HMM_FAULT_ONCE))
		return ret;
	ret = use_once(e, &f, va, len, prot, host);
	return ret == -EAGAIN ? IN_VAIN : ret ? ret : 1;
}

/* Called outside of sections. 0: look again. */
static int gather(struct engine *e, uint64_t va, size_t len, int prot, bool home)
{
	if (atomic_load_explicit(&e->job->stop, memory_order_relaxed))
		return -ECANCELED;
	bump(&e->stats.device_faults, 1);
	return svm_gather(e->runner->dev, va, len, prot, home);
}

/* Memory that cannot be cached has changed before each use so far. 0: look again. */
static int look_again(unsigned int times)
{
	struct timespec ts = { 0, 1000000 };

	if (times > VAIN_AT_ONCE)
		nanosleep(&ts, NULL);
	return times < VAIN_MAX ? 0 : -ETIME;
}

/*
 * Makes a pointer, and enters a section for it. No earlier pointer of hmm_access() is in use.
 * pieces: -EXDEV if the memory does not lie in one piece; else it is brought home.
 */
static int reach(struct engine *e, uint64_t va, size_t len, int prot, bool pieces, void **host)
{
	struct runner *r = e->runner;
	unsigned int gathered = 0;
	unsigned int vain = 0;
	bool touched = false;
	int ret;

	if (__builtin_expect(va + len < va, 0))
		return -EFAULT;
	for (;;) {
		if (!e->in)
			enter(e);
		ret = translate(e, va, len, prot, host);
		if (__builtin_expect(!ret, 1))
			return 0;
		access_leave(e);
		if (ret == -EXDEV)
			ret = pieces ? -EXDEV : gather(e, va, len, prot, gathered++);
		else
			ret = miss(e, va, len, prot, host);
		if (ret == IN_VAIN)
			ret = look_again(++vain);
		if (ret == -EFAULT && r->fault_model == HMM_FAULTS_REPLAY && !touched) {
			touched = true;
			ret = engine_touch(e, va, len, prot);
		}
		if (ret)
			return ret > 0 ? 0 : ret;
	}
}

static int bad_prot(int prot)
{
	return !(prot & PROT_READ) || (prot & ~(PROT_READ | PROT_WRITE));
}

static int ctx_access(struct hmm_ctx *ctx, uint64_t va, size_t len, int prot, void **ptr)
{
	struct engine *e = (struct engine *)ctx;
	int ret;

	if (__builtin_expect(len - 1 >= HMM_ACCESS_MAX || bad_prot(prot), 0))
		return -EINVAL;
	settle(e);
	if (__builtin_expect(atomic_load_explicit(&e->job->stop, memory_order_relaxed), 0))
		return -ECANCELED;
	ret = reach(e, va, len, prot, false, ptr);
	if (ret)
		return ret;
	ret = hmm_guard_arm(&e->guard, *ptr, len);
	if (ret)
		return ret;
	bump(prot & PROT_WRITE ? &e->stats.bytes_written : &e->stats.bytes_read, len);
	e->va = va;
	e->prot = prot;
	e->used = true;
	e->wrote = (prot & PROT_WRITE) != 0;
	e->reason = RESTART_GUARD;
	return 0;
}

static int ctx_settle(struct hmm_ctx *ctx)
{
	struct engine *e = (struct engine *)ctx;

	settle(e);
	return atomic_load_explicit(&e->job->stop, memory_order_relaxed) ? -ECANCELED : 0;
}

/* Returns -EXDEV if the memory does not lie in one piece. */
static int copy_piece(struct engine *e, char *local, uint64_t va, size_t len, int prot)
{
	size_t copied;
	bool there;
	void *host;
	int ret;

	for (;;) {
		if (atomic_load_explicit(&e->job->stop, memory_order_relaxed))
			return -ECANCELED;
		ret = reach(e, va, len, prot, true, &host);
		if (ret)
			return ret;
		ret = prot & PROT_WRITE ? hmm_copy_to_nofault(host, local, len, &copied)
					: hmm_copy_from_nofault(local, host, len, &copied);
		if (ret && ret != -EFAULT)
			return ret;
		there = !ret;
		if (__builtin_expect(there && check(e), 1))
			return 0;
		if (hmm_mutation(HMM_MUTATION_LOSE_STORE) && prot & PROT_WRITE) {
			access_leave(e);
			return 0;
		}
		e->va = va;
		e->wrote = (prot & PROT_WRITE) != 0;
		if (there) {
			judge_overrun(e);
			continue;
		}
		access_leave(e);
		ret = vanished(e, va + copied, prot);
		if (ret)
			return ret;
	}
}

static int copy(struct hmm_ctx *ctx, char *local, uint64_t va, size_t len, int prot)
{
	struct engine *e = (struct engine *)ctx;

	settle(e);
	while (len) {
		size_t n = len < HMM_ACCESS_MAX ? len : HMM_ACCESS_MAX;
		int ret = copy_piece(e, local, va, n, prot);

		if (ret == -EXDEV) {
			n = min64(n, HMM_PAGE_SIZE - va % HMM_PAGE_SIZE);
			ret = copy_piece(e, local, va, n, prot);
		}
		if (ret)
			return ret;
		bump(prot & PROT_WRITE ? &e->stats.bytes_written : &e->stats.bytes_read, n);
		local += n;
		va += n;
		len -= n;
	}
	return 0;
}

static int ctx_load(struct hmm_ctx *ctx, void *dst, uint64_t va, size_t len)
{
	return copy(ctx, dst, va, len, PROT_READ);
}

static int ctx_store(struct hmm_ctx *ctx, uint64_t va, const void *src, size_t len)
{
	return copy(ctx, (char *)(uintptr_t)src, va, len, PROT_READ | PROT_WRITE);
}

const struct hmm_ctx_ops access_ctx_ops = { ctx_access, ctx_settle, ctx_load, ctx_store };
