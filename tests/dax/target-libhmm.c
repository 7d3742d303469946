// SPDX-License-Identifier: GPL-2.0
/*
 * libhmm, used as a driver would: a device page table that the invalidate callback empties, jobs in
 * engine sections, and before each job the check of what only validation can find.
 *
 * The device reaches memory through the CPU's mapping. That can fault: a job that meets SIGBUS or
 * SIGSEGV drops what it held there and asks again, and libhmm says what is wrong.
 */
#include <errno.h>
#include <hmm/hmm.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define PAGE 4096ul
#define SECTION (64 * 1024ul) /* bytes copied before the gate is looked at again */
#define MAX_REPLAYS 1000      /* of one page, before a job gives up with -EBUSY */

struct target {
	uint64_t start, len;
	struct hmm_interval_notifier *notifier;
	struct hmm_engine *engine;
	_Atomic uint64_t
		*held; /* the device's page table: an hmm_pfn a page; emptied by the callback */
	_Atomic uint32_t logged; /* events, also those that found the log full */
	struct event events[LOG_MAX];
};

static struct hmm_mm *space; /* of this process */
static pid_t space_pid;
static _Thread_local sigjmp_buf job_fault;
static _Thread_local volatile sig_atomic_t in_job;

static bool is_reduced, has_log, has_scan; /* found by the probe */

/* With a log of the kernel's the coherence table must claim even writeback. */
static bool claims_all(struct hmm_mm *mm, const struct hmm_mm_info *info)
{
	struct hmm_coherence_cell cell;

	return info->provider >= HMM_PROVIDER_BPF &&
	       !hmm_coherence(mm, HMM_OP_WRITEBACK, HMM_VMA_DAX, &cell) &&
	       cell.guarantee == HMM_EXACT;
}

static const char *libhmm_probe(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm;
	int ret = hmm_mm_attach(NULL, &mm);

	if (ret && getenv("LIBHMM_PROVIDER"))
		return "the provider that LIBHMM_PROVIDER names is not to be had here";
	if (ret == -EPERM || ret == -ENOSYS || ret == -EOPNOTSUPP)
		return "userfaultfd is not to be had here";
	if (ret)
		return "hmm_mm_attach() failed";
	ret = hmm_mm_get_info(mm, &info);
	is_reduced = !ret && info.reduced;
	has_scan = !ret && info.pagemap_scan;
	has_log = !ret && claims_all(mm, &info);
	hmm_mm_detach(mm);
	return NULL;
}

static bool libhmm_reduced(void)
{
	return is_reduced;
}

/* Without PAGEMAP_SCAN nothing says how large a page is. */
static bool libhmm_sees_orders(void)
{
	return has_scan;
}

static bool libhmm_sees_all(void)
{
	return has_log;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	if (in_job)
		siglongjmp(job_fault, 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

static int attach(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER };
	int ret;

	if (space && space_pid == getpid())
		return 0;
	ret = hmm_mm_attach(NULL, &space);
	if (ret)
		return ret;
	space_pid = getpid();
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	return 0;
}

static unsigned int kind_of(uint32_t event)
{
	switch (event) {
	case HMM_EVENT_UNMAP:
	case HMM_EVENT_MOVE:
		return EVENT_UNMAP;
	case HMM_EVENT_CLEAR:
		return EVENT_CLEAR;
	case HMM_EVENT_PROTECT:
		return EVENT_PROTECT_VMA;
	case HMM_EVENT_FORK:
		return EVENT_PROTECT_PAGE;
	case HMM_EVENT_RELEASE:
		return EVENT_RELEASE;
	}
	return EVENT_OTHER;
}

static void drop(struct target *t, uint64_t start, uint64_t end)
{
	size_t i;

	for (i = (start - t->start) / PAGE; i < (end - t->start + PAGE - 1) / PAGE; i++)
		t->held[i] = 0;
}

/* On the pump or on the thread that faults or notes; as restricted as a signal handler. */
static int invalidate(struct hmm_interval_notifier *notifier, const struct hmm_invalidation *inv,
		      void *priv)
{
	struct target *t = priv;
	struct event event = { .start = inv->start, .end = inv->end, .kind = kind_of(inv->event) };
	uint32_t at;

	if (event.start < t->start)
		event.start = t->start;
	if (event.end > t->start + t->len)
		event.end = t->start + t->len;
	if (event.start >= event.end)
		return 0;
	drop(t, event.start, event.end);
	at = atomic_fetch_add(&t->logged, 1);
	if (at < LOG_MAX)
		t->events[at] = event;
	return 0;
}

static const struct hmm_interval_notifier_ops notifier_ops = { .size = sizeof(notifier_ops),
							       .invalidate = invalidate };

static void libhmm_unmirror(struct target *t)
{
	if (!t)
		return;
	hmm_engine_destroy(t->engine);
	hmm_interval_notifier_remove(t->notifier);
	if (t->held)
		munmap((void *)t->held, t->len / PAGE * sizeof(uint64_t));
	munmap(t, sizeof(*t));
}

/* Nothing that the callback touches may lie in memory that is mirrored, so it is not the heap's. */
static int libhmm_mirror(uint64_t addr, size_t len, struct target **out)
{
	struct target *t =
		mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *held;
	int ret;

	if (t == MAP_FAILED)
		return -ENOMEM;
	t->start = addr;
	t->len = len;
	held = mmap(NULL, len / PAGE * sizeof(uint64_t), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ret = held == MAP_FAILED ? -ENOMEM : attach();
	t->held = held == MAP_FAILED ? NULL : held;
	if (!ret)
		ret = hmm_interval_notifier_insert(space, addr, len, &notifier_ops, t,
						   &t->notifier);
	if (!ret)
		ret = hmm_engine_create(space, &t->engine);
	if (ret)
		libhmm_unmirror(t);
	else
		*out = t;
	return ret;
}

static void entry_fill(struct entry *entry, uint64_t pfn)
{
	*entry = (struct entry){ 0 };
	if (pfn & HMM_PFN_ERROR)
		entry->flags |= ENTRY_ERROR;
	if (!(pfn & HMM_PFN_VALID))
		return;
	entry->flags |= ENTRY_VALID;
	if (pfn & HMM_PFN_WRITE)
		entry->flags |= ENTRY_WRITE;
	entry->order = hmm_pfn_to_map_order(pfn);
}

static uint64_t request_of(unsigned int request)
{
	return (request & REQ_FAULT ? HMM_PFN_REQ_FAULT : 0) |
	       (request & REQ_WRITE ? HMM_PFN_REQ_WRITE : 0);
}

static int ignore(struct hmm_interval_notifier *notifier, const struct hmm_invalidation *inv,
		  void *priv)
{
	return 0;
}

/*
 * A look at any range, with a notifier for as long as it takes. Requests make it a mirror, so then
 * the entries are real.
 */
static int libhmm_range(struct target *t, uint64_t addr, size_t len, unsigned int request,
			const uint8_t *requests, struct entry *entries, unsigned int *passes,
			uint64_t *ns)
{
	static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
							      .invalidate = ignore };
	struct hmm_range range = {
		.size = sizeof(range),
		.start = addr,
		.end = addr + len,
		.default_flags = request_of(request),
		.pfn_flags_mask = requests ? HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE : 0,
	};
	uint64_t begin;
	size_t i;
	int ret;

	range.hmm_pfns = malloc(len / PAGE * sizeof(*range.hmm_pfns));
	if (!range.hmm_pfns)
		return -ENOMEM;
	/* Every word is touched before the clock runs. */
	for (i = 0; i < len / PAGE; i++)
		range.hmm_pfns[i] = requests ? request_of(requests[i]) : 0;
	if (addr >= t->start && addr + len <= t->start + t->len)
		range.notifier = t->notifier;
	else if ((ret = hmm_interval_notifier_insert(space, addr, len, &ops, NULL,
						     &range.notifier)))
		goto out;
	begin = target_clock();
	ret = hmm_range_fault(&range, HMM_FOREVER);
	if (ns)
		*ns = target_clock() - begin;
	if (passes)
		*passes = 1;
	for (i = 0; i < len / PAGE; i++)
		entry_fill(&entries[i], range.hmm_pfns[i]);
	if (range.notifier != t->notifier)
		hmm_interval_notifier_remove(range.notifier);
out:
	free(range.hmm_pfns);
	return ret;
}

/*
 * Asks for the rest of a job. What may be cached goes into the device's table, the rest lasts for
 * this job alone.
 */
static int fault_rest(struct target *t, uint64_t start, uint64_t end, bool write, uint64_t *once)
{
	size_t n = (end - start) / PAGE, first = (start - t->start) / PAGE, i;
	struct hmm_range range = {
		.size = sizeof(range),
		.notifier = t->notifier,
		.start = start,
		.end = end,
		.hmm_pfns = once,
		.default_flags = request_of(REQ_FAULT | (write ? REQ_WRITE : 0)),
	};
	bool again = true;
	int ret = 0;

	while (again && !ret) {
		memset(once, 0, n * sizeof(*once));
		ret = hmm_range_fault(&range, HMM_FOREVER);
		if (ret)
			break;
		hmm_mm_commit_begin(space);
		again = hmm_interval_read_retry(t->notifier, range.notifier_seq);
		for (i = 0; !again && i < n; i++)
			t->held[first + i] = once[i] & HMM_PFN_TRANSIENT ? 0 : once[i];
		hmm_mm_commit_end(space);
	}
	return ret;
}

/*
 * How far the device may go from here on in one section: pages that it holds, or was given for this
 * job.
 */
static size_t usable(struct target *t, uint64_t addr, size_t len, bool write, const uint64_t *once)
{
	uint64_t need = HMM_PFN_VALID | (write ? HMM_PFN_WRITE : 0);
	size_t first = (addr - t->start) / PAGE, n = 0, i;

	for (i = 0; n < len; i++) {
		if (((t->held[first + i] | (once ? once[i] : 0)) & need) != need)
			break;
		n = (i + 1) * PAGE - addr % PAGE;
	}
	return n < len ? n : len;
}

/* Copies, or finds out that the CPU cannot. */
static __attribute__((noinline)) bool guarded_copy(void *to, const void *from, size_t n)
{
	bool done = false;

	in_job = 1;
	if (!sigsetjmp(job_fault, 0)) {
		memcpy(to, from, n);
		done = true;
	}
	in_job = 0;
	return done;
}

/*
 * One section's share. Returns how much was done: 0 if nothing is held, or the copy faulted, or the
 * section was overrun. What was given for this job alone is used up.
 */
static size_t access_some(struct target *t, uint64_t addr, void *buf, size_t len, bool write,
			  uint64_t *once)
{
	void *memory = (void *)(uintptr_t)addr;
	size_t n, i;
	bool done;

	hmm_engine_enter(t->engine);
	n = usable(t, addr, len, write, once);
	done = n && guarded_copy(write ? memory : buf, write ? buf : memory, n);
	if (n && !done)
		drop(t, addr & ~(PAGE - 1), addr + n);
	for (i = 0; once && i * PAGE < addr % PAGE + n; i++)
		once[i] = 0;
	return hmm_engine_exit(t->engine) && done ? n : 0;
}

/*
 * Runs of held pages that no longer stand are dropped. What an event took away is no longer held,
 * so the sequence that counts is today's: what is looked for is what raises no event.
 */
static void revalidate(struct target *t, size_t first, size_t end)
{
	struct hmm_range range = { .size = sizeof(range), .notifier = t->notifier };
	size_t i, from;

	for (i = first; i < end; i++) {
		for (from = i; i < end && t->held[i]; i++)
			;
		if (i == from)
			continue;
		range.start = t->start + from * PAGE;
		range.end = t->start + i * PAGE;
		range.notifier_seq = hmm_interval_read_begin(t->notifier);
		if (hmm_range_check(&range, HMM_CHECK_ALL))
			drop(t, range.start, range.end);
	}
}

/* What a driver does when a job is submitted. */
static int submit(struct target *t, uint64_t start, uint64_t end)
{
	int ret = hmm_mm_check_files(space);

	if (ret >= 0)
		ret = hmm_mm_barrier(space, HMM_FOREVER);
	if (!ret)
		revalidate(t, (start - t->start) / PAGE, (end - t->start + PAGE - 1) / PAGE);
	return ret;
}

static int do_job(struct target *t, uint64_t addr, char *buf, size_t len, bool write,
		  unsigned int *faults, uint64_t *once)
{
	uint64_t end = addr + len, fault_end = (end + PAGE - 1) & ~(PAGE - 1), faulted = end;
	unsigned int replays = 0;
	size_t n;
	int ret;

	for (; addr < end; addr += n, buf += n) {
		n = end - addr < SECTION ? end - addr : SECTION;
		n = access_some(t, addr, buf, n, write,
				addr >= faulted ? &once[(addr - faulted) / PAGE] : NULL);
		if (n) {
			replays = 0;
			continue;
		}
		if (replays++ == MAX_REPLAYS)
			return -EBUSY;
		faulted = addr & ~(PAGE - 1);
		ret = fault_rest(t, faulted, fault_end, write, once);
		++*faults;
		if (ret)
			return ret;
	}
	return 0;
}

static int libhmm_access(struct target *t, uint64_t addr, void *buf, size_t len, bool write,
			 unsigned int *faults)
{
	unsigned int unasked;
	uint64_t *once;
	int ret;

	if (!len || addr < t->start || addr + len > t->start + t->len)
		return -EINVAL;
	ret = submit(t, addr, addr + len);
	if (ret)
		return ret;
	once = calloc(len / PAGE + 2, sizeof(*once));
	if (!once)
		return -ENOMEM;
	faults = faults ? faults : &unasked;
	*faults = 0;
	ret = do_job(t, addr, buf, len, write, faults, once);
	free(once);
	return ret;
}

/*
 * The device's view, so in a section: the caller of a munmap goes on when its event is read, which
 * the closed gate precedes and the callback follows.
 */
static int libhmm_held(struct target *t, uint64_t addr, size_t len, struct entry *entries)
{
	size_t first = (addr - t->start) / PAGE, i;

	hmm_engine_enter(t->engine);
	for (i = 0; i < len / PAGE; i++)
		entry_fill(&entries[i], t->held[first + i]);
	hmm_engine_exit(t->engine);
	return 0;
}

static int libhmm_log(struct target *t, struct mirror_log *log, bool reset)
{
	uint32_t n = t->logged;

	log->count = n < LOG_MAX ? n : LOG_MAX;
	log->lost = n - log->count;
	memcpy(log->events, t->events, log->count * sizeof(log->events[0]));
	if (reset)
		t->logged = 0;
	return 0;
}

static int libhmm_validate(struct target *t)
{
	return submit(t, t->start, t->start + t->len);
}

static int libhmm_note_writeback(struct target *t, int fd)
{
	return hmm_mm_note_writeback(space, fd);
}

/* The kind of the mapping is what says it. */
static int libhmm_in_place(struct target *t, uint64_t addr, size_t len)
{
	struct hmm_vma vma;
	int ret = hmm_vma_find(space, addr, &vma);

	if (!ret && (vma.start > addr || vma.end < addr + len))
		ret = -EFAULT;
	return ret ? ret : vma.kind == HMM_VMA_DAX;
}

static int libhmm_persist(struct target *t, uint64_t addr, size_t len)
{
	return hmm_persist(space, addr, addr + len, NULL);
}

const struct target_ops target_libhmm = {
	.name = "libhmm",
	.probe = libhmm_probe,
	.reduced = libhmm_reduced,
	.sees_orders = libhmm_sees_orders,
	.sees_all = libhmm_sees_all,
	.mirror = libhmm_mirror,
	.unmirror = libhmm_unmirror,
	.range = libhmm_range,
	.access = libhmm_access,
	.held = libhmm_held,
	.log = libhmm_log,
	.validate = libhmm_validate,
	.persist = libhmm_persist,
	.note_writeback = libhmm_note_writeback,
	.in_place = libhmm_in_place,
};
