/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Discards in doubt (rule 6). MADV_DONTNEED is announced before it zaps, and nothing marks its end: what
 * is mapped anew in between can be zapped by it, even if the range was unmapped meanwhile.
 *
 * The end is proven thread by thread: the caller sleeps in madvise() when its event is read, so the zap
 * is over once every thread that lived then has been seen elsewhere, which the kernel tells of any thread
 * that sleeps (/proc/self/task/TID/syscall). A thread that runs proves nothing and stays a suspect; one that
 * has exited is none. Workers of io_uring make the call on behalf of others and show no user registers: suspects
 * while they live. The thread that asks is in this function, not in madvise(). hmm_mm_note() proves it at once.
 */
#include "mm/core.h"
#include "mm/thread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long the notifiers' lock is waited for; else the doubt is settled another time. */
#define OUTDATE_NS 1000000ULL
#define SUSPECTS_MAX (int)(sizeof(((struct doubt *)0)->tid) / sizeof(pid_t))
#define ALL_THREADS (-1)

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

static bool thread_suspect(pid_t tid)
{
	long nr;

	switch (thread_state(tid, &nr)) {
	case THREAD_GONE:
		return false;
	case THREAD_SLEEPS:
		/* madvise, process_madvise, madvise of a 32-bit caller on x86 and arm; x32 has a bit more */
		nr &= ~0x40000000L;
		return nr == SYS_madvise || nr == 440 || nr == 219 || nr == 220;
	default:
		return true;
	}
}

static bool is_ours(const struct hmm_mm *mm, pid_t tid)
{
	return tid == mm->pump_tid || tid == mm->watchdog_tid || tid == thread_self();
}

/* Suspects of one listing of all threads, and what the listing was: a count and a sum of all its tids. */
struct listing {
	int suspects; /* more than SUSPECTS_MAX: not all are in tid */
	uint64_t threads;
	uint64_t sum;
	pid_t *tid;
};

static void list_one(const struct hmm_mm *mm, pid_t tid, struct listing *l)
{
	if (tid <= 0)
		return;
	l->threads++;
	l->sum += (uint64_t)tid * 0x9e3779b97f4a7c15ULL ^ (uint64_t)tid << 32;
	if (!l->tid || is_ours(mm, tid) || !thread_suspect(tid))
		return;
	if (l->suspects < SUSPECTS_MAX)
		l->tid[l->suspects] = tid;
	l->suspects++;
}

static bool list_threads(const struct hmm_mm *mm, struct listing *l)
{
	char buf[2048] __attribute__((aligned(8)));
	int fd = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long len;

	if (fd < 0)
		return false;
	while ((len = syscall(SYS_getdents64, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < len;) {
			struct linux_dirent64 *d = (struct linux_dirent64 *)(buf + at);

			list_one(mm, (pid_t)atoi(d->d_name), l);
			at += d->d_reclen;
		}
	}
	close(fd);
	return !len;
}

/*
 * Every thread that lives: how many suspects, their tids in out; ALL_THREADS if that cannot be said. A listing
 * can miss a thread while another exits: it counts only if a second one, without the questions, is the same.
 */
static int scan_all(const struct hmm_mm *mm, pid_t *out)
{
	struct listing first = { .tid = out };
	struct listing second = { .tid = NULL };

	if (!list_threads(mm, &first) || !list_threads(mm, &second) ||
	    first.suspects > SUSPECTS_MAX || first.threads != second.threads ||
	    first.sum != second.sum)
		return ALL_THREADS;
	return first.suspects;
}

static int scan_again(const struct hmm_mm *mm, const pid_t *tids, int n, pid_t *out)
{
	int left = 0;

	for (int i = 0; i < n; i++) {
		if (!is_ours(mm, tids[i]) && thread_suspect(tids[i]))
			out[left++] = tids[i];
	}
	return left;
}

static bool overlap(const struct doubt *d, uint64_t start, uint64_t end)
{
	return d->start < end && d->end > start;
}

static void take_out(struct doubt_list *l, int i)
{
	l->d[i] = l->d[l->n - 1];
	atomic_fetch_sub(&l->n, 1);
}

static void drop(struct hmm_mm *mm, int i)
{
	take_out(&mm->doubts, i);
	stat_add(&mm->stats.doubts_settled, 1);
}

/*
 * A place for a doubt about [*start, *end), which grows over what it replaces. What lies inside the younger one is
 * settled with it; without room the one that needs the least to reach over both goes the same way.
 */
static struct doubt *place(struct hmm_mm *mm, uint64_t *start, uint64_t *end)
{
	struct doubt_list *l = &mm->doubts;
	uint64_t least = UINT64_MAX;
	struct doubt *best = NULL;

	for (int i = 0; i < l->n;) {
		struct doubt *d = &l->d[i];
		uint64_t from = d->start < *start ? d->start : *start;
		uint64_t to = d->end > *end ? d->end : *end;

		if (d->start >= *start && d->end <= *end) {
			take_out(l, i);
			best = NULL;
			least = UINT64_MAX;
			i = 0;
			continue;
		}
		if (to - from - (d->end - d->start) < least) {
			least = to - from - (d->end - d->start);
			best = d;
		}
		i++;
	}
	if (l->n < DOUBTS_MAX)
		return &l->d[atomic_fetch_add(&l->n, 1)];
	*start = best->start < *start ? best->start : *start;
	*end = best->end > *end ? best->end : *end;
	return best;
}

/* Runs on the pump: no scan here. */
void doubt_add(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct doubt_list *l = &mm->doubts;
	struct doubt *d;

	if (hmm_mutation(HMM_MUTATION_CACHE_DOUBT))
		return;
	pthread_mutex_lock(&l->lock);
	d = place(mm, &start, &end);
	d->start = start;
	d->end = end;
	d->suspects = ALL_THREADS;
	d->id = ++l->next_id;
	pthread_mutex_unlock(&l->lock);
	stat_add(&mm->stats.doubts, 1);
}

/* These threads, of those that lived when the doubt arose, may still be in the middle of it. */
static void narrow(struct doubt *d, const pid_t *tids, int n)
{
	if (n == ALL_THREADS)
		return;
	d->suspects = n;
	memcpy(d->tid, tids, (size_t)n * sizeof(tids[0]));
}

/*
 * Scan outside the lock, then take the result over: it is about instants after the event was read, so a smaller
 * set of suspects is always a right one. What a scan of all threads found holds for every doubt that is
 * older than the scan.
 */
static bool try_settle(struct hmm_mm *mm, const struct doubt *seen,
		       const struct hmm_interval_notifier *own, uint64_t *seq)
{
	struct doubt_list *l = &mm->doubts;
	const bool all = seen->suspects == ALL_THREADS;
	pid_t tids[SUSPECTS_MAX];
	bool settled = true;
	uint64_t youngest;
	int n;

	/* A process that shares the address space: the threads that it sees are not those that the doubt is about. */
	if (getpid() != mm->pid)
		return false;
	pthread_mutex_lock(&l->lock);
	youngest = l->next_id;
	pthread_mutex_unlock(&l->lock);
	n = all ? scan_all(mm, tids) : scan_again(mm, seen->tid, seen->suspects, tids);
	pthread_mutex_lock(&l->lock);
	for (int i = 0; i < l->n;) {
		struct doubt *d = &l->d[i];
		const bool same = d->id == seen->id;

		if (!same && !(all && d->id <= youngest && (!n || d->suspects == ALL_THREADS))) {
			i++;
			continue;
		}
		if (same)
			settled = n == 0;
		/* First: who no longer finds the doubt asks only whether a page is there. */
		if (!n &&
		    notifiers_outdate(mm, d->start, d->end, own, seq, mm_deadline(OUTDATE_NS))) {
			settled &= !same;
			i++;
		} else if (!n) {
			drop(mm, i);
		} else {
			narrow(d, tids, n);
			i++;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return settled;
}

static bool find(struct hmm_mm *mm, uint64_t start, uint64_t end, uint64_t after, struct doubt *out)
{
	struct doubt_list *l = &mm->doubts;
	bool found = false;

	pthread_mutex_lock(&l->lock);
	for (int i = 0; i < l->n; i++) {
		if (l->d[i].id <= after || !overlap(&l->d[i], start, end) ||
		    (found && l->d[i].id > out->id))
			continue;
		*out = l->d[i];
		found = true;
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

bool doubt_overlaps(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	return doubt_overlaps_fault(mm, start, end, NULL, NULL);
}

bool doubt_overlaps_fault(struct hmm_mm *mm, uint64_t start, uint64_t end,
			  const struct hmm_interval_notifier *own, uint64_t *seq)
{
	struct doubt d;
	bool left = false;

	if (!atomic_load(&mm->doubts.n))
		return false;
	for (uint64_t id = 0; find(mm, start, end, id, &d); id = d.id)
		left |= !try_settle(mm, &d, own, seq);
	return left;
}

/* Somebody knows that discards of the range have ended. What reaches beyond it stays in doubt there. */
void doubt_settle(struct hmm_mm *mm, uint64_t start, uint64_t end)
{
	struct doubt_list *l = &mm->doubts;

	pthread_mutex_lock(&l->lock);
	for (int i = 0; i < l->n;) {
		if (l->d[i].start >= start && l->d[i].end <= end)
			drop(mm, i);
		else
			i++;
	}
	pthread_mutex_unlock(&l->lock);
}
