// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../attach.h"
#include "../command.h"
#include "../term.h"
#include "session.h"
#include "spec.h"

#define PROGRESS_NS 100000000ULL /* how often the bar is drawn and interrupts are looked at */
#define QUIET_S 0.3              /* no bar for jobs that end sooner */

double now_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int session_open(struct session *s, const char *device, unsigned int engines, bool confined)
{
	return session_open_as(s, device, engines, &(struct session_options){ confined });
}

#define UNIT (2ULL << 20)
#define REGION_MAX (32ULL << 30)

/* What does not fit makes room by bringing something else home. 0 or an exit status. */
static int make_region(struct session *s, uint64_t bytes, bool coherent)
{
	struct hmm_devmem_options options = {
		.size = sizeof(options),
		.flags = HMM_DEVMEM_EVICT | (coherent ? HMM_DEVMEM_COHERENT : 0),
		.bytes = bytes < REGION_MAX ? (bytes + UNIT - 1) & ~(UNIT - 1) : REGION_MAX,
		.owner = s,
	};
	int ret = bytes ? hmm_devmem_create(s->mm, &options, &s->devmem) : 0;

	if (ret == -EOPNOTSUPP)
		return complain(EXIT_HOST, "pages cannot be moved here: that takes Linux 6.8 "
					   "(UFFDIO_MOVE), and --provider uffd");
	if (ret)
		return complain(EXIT_FAILED, "cannot make device memory: %s", strerror(-ret));
	return 0;
}

int session_open_as(struct session *s, const char *device, unsigned int engines,
		    const struct session_options *how)
{
	struct hmm_svm_options options = HMM_SVM_OPTIONS_INIT;
	struct hmm_device_stats stats = { .size = sizeof(stats) };
	int ret;

	memset(s, 0, sizeof(*s));
	ret = space_attach(&s->mm);
	if (ret)
		return complain_attach(ret);
	ret = hmm_device_open(s->mm, device, engines, &s->device);
	if (ret == -ENODEV || ret == -EINVAL)
		ret = complain_device(device);
	else if (ret)
		ret = complain(EXIT_FAILED, "cannot open device '%s': %s", device, strerror(-ret));
	if (ret)
		goto out;
	ret = make_region(s, how->device_memory, how->coherent);
	if (ret)
		goto out;
	options.flags = HMM_SVM_NO_COLLECT;
	options.fault_threads = how->threads;
	options.devmem = s->devmem;
	if (how->confined)
		options.flags |= HMM_SVM_EXPLICIT;
	ret = hmm_svm_create(s->mm, s->device, &options, &s->svm);
	if (ret) {
		ret = complain(EXIT_FAILED, "cannot mirror onto device '%s': %s", device,
			       strerror(-ret));
		goto out;
	}
	s->named = hmm_device_get_ops(s->device)->fault_model == HMM_FAULTS_NONE;
	hmm_device_get_stats(s->device, &stats);
	s->engines = stats.engines ? stats.engines : 1;
	return 0;
out:
	session_close(s);
	return ret;
}

static uint64_t page_end(const void *base, size_t size)
{
	return ((uintptr_t)base + size + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1);
}

int session_allow(struct session *s, const void *base, size_t size, int prot)
{
	return hmm_svm_add_range(s->svm, (uintptr_t)base, page_end(base, size), prot);
}

void session_forbid(struct session *s, const void *base, size_t size)
{
	hmm_svm_remove_range(s->svm, (uintptr_t)base, page_end(base, size));
}

static uint64_t page_start(const void *base)
{
	return (uintptr_t)base & ~(HMM_PAGE_SIZE - 1);
}

int session_name(struct session *s, const void *base, size_t size, int prot)
{
	uint64_t start = page_start(base);
	struct hmm_job_range *more;
	uint32_t i;

	if (!s->named)
		return 0;
	for (i = 0; i < s->n_names && s->names[i].start != start; i++)
		;
	if (i == s->n_names) {
		more = reallocarray(s->names, i + 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		s->names = more;
		s->n_names++;
	}
	s->names[i] = (struct hmm_job_range){ .start = start,
					      .end = page_end(base, size),
					      .prot = (uint32_t)prot };
	return 0;
}

int session_migrate(struct session *s, const void *base, size_t size)
{
	struct hmm_svm_policy policy = { .size = sizeof(policy), .location = HMM_SVM_DEVICE };

	if (!s->devmem)
		return 0;
	if (!base)
		policy.chunk_shift = HMM_PAGE_SHIFT;
	if (!base)
		return hmm_svm_set_policy(s->svm, 0, UINT64_MAX, &policy);
	return hmm_svm_set_policy(s->svm, page_start(base), page_end(base, size), &policy);
}

int session_evict(struct session *s)
{
	return s->devmem ? hmm_svm_evict(s->svm, 0, UINT64_MAX) : 0;
}

/*
 * What the jobs used is not used again, and nothing runs: the moment to take it from the device,
 * and to free table pages, which stops it. HMM_SVM_NO_COLLECT keeps that out of the jobs' time.
 */
void session_done(struct session *s, const void *base, size_t size)
{
	s->n_names = 0;
	hmm_svm_drop(s->svm, page_start(base), page_end(base, size));
	hmm_svm_collect(s->svm);
}

void session_close(struct session *s)
{
	free(s->names);
	hmm_svm_destroy(s->svm);
	hmm_device_destroy(s->device);
	hmm_devmem_destroy(s->devmem, HMM_FOREVER);
	hmm_mm_detach(s->mm);
	memset(s, 0, sizeof(*s));
}

/* A terminal that has no room for a bar gets the number alone. */
static int draw(const char *what, uint64_t done, uint64_t items)
{
	int width = columns(stderr) - 21, full;
	double share = items ? (double)done / (double)items : 0;

	if (width > 50 || columns(stderr) == 0)
		width = 50;
	if (width < 4)
		return fprintf(stderr, "\r  %3.0f %%", 100 * share) - 1;
	full = (int)(share * width);
	fprintf(stderr, "\r  %-9s %s", what, colour(stderr, GREEN));
	for (int i = 0; i < width; i++)
		fputs(i < full ? glyph("\u2588", "#") : glyph("\u2591", "-"), stderr);
	fprintf(stderr, "%s %3.0f %%", colour(stderr, PLAIN), 100 * share);
	fflush(stderr);
	return 12 + width + 6;
}

int session_run(struct session *s, const char *what,
		int (*kernel)(struct hmm_ctx *, uint64_t, void *), void *arg, uint64_t items)
{
	struct hmm_job job = { .size = sizeof(job),
			       .kernel = kernel,
			       .arg = arg,
			       .items = items,
			       .ranges = s->names,
			       .nranges = s->n_names };
	double begin = now_seconds();
	bool cancelled = false;
	int drawn = 0;
	int ret = interrupted() ? -ECANCELED : hmm_svm_submit(s->svm, &job);

	if (ret)
		return ret;
	while (hmm_svm_wait(s->svm, &job, PROGRESS_NS) == -ETIME) {
		if (interrupted() && !cancelled) {
			cancelled = true;
			hmm_svm_cancel(s->svm, &job);
		}
		if (!s->progress || now_seconds() - begin < QUIET_S)
			continue;
		drawn = draw(what, __atomic_load_n(&job.done, __ATOMIC_RELAXED), items);
	}
	s->seconds += now_seconds() - begin;
	/* Spaces: not every terminal knows the sequence that clears a line. */
	if (drawn)
		fprintf(stderr, "\r%*s\r", drawn, "");
	return cancelled ? -ECANCELED : job.status;
}

struct crew {
	void (*fn)(uint64_t item, void *arg);
	void *arg;
	uint64_t items;
	_Atomic uint64_t next;
	_Atomic int error;
};

static int crew_items(void *arg)
{
	struct crew *crew = arg;
	uint64_t item;

	while (!interrupted() && !atomic_load(&crew->error) &&
	       (item = atomic_fetch_add(&crew->next, 1)) < crew->items)
		crew->fn(item, crew->arg);
	return 0;
}

static void *crew_work(void *arg)
{
	struct crew *crew = arg;
	int ret = shrink_guard(crew_items, crew);

	if (ret)
		atomic_store(&crew->error, ret);
	return NULL;
}

int cpu_run(unsigned int threads, void (*fn)(uint64_t item, void *arg), void *arg, uint64_t items)
{
	struct crew crew = { .fn = fn, .arg = arg, .items = items };
	pthread_t *others = calloc(threads, sizeof(*others));
	unsigned int n = 0;

	/* Fewer threads than asked for still do all of it. */
	while (others && n + 1 < threads && !pthread_create(&others[n], NULL, crew_work, &crew))
		n++;
	crew_work(&crew);
	for (unsigned int i = 0; i < n; i++)
		pthread_join(others[i], NULL);
	free(others);
	return interrupted() ? -ECANCELED : atomic_load(&crew.error);
}
