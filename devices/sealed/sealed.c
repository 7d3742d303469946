// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* sealed: device memory in a holder's process. See README in this folder. */
#include <errno.h>
#include <hmm/memory.h>
#include <hmm/migrate.h>
#include <string.h>
#include "internal.h"

int sealed_answer(struct hmm_sealed *s, int err)
{
	if (err == -EPIPE)
		hmm_devmem_lose(s->devmem);
	return err;
}

/* ---- what the region calls ------------------------------------------------------------------- */

static void allow(struct hmm_sealed *s, uint64_t offset, uint64_t bytes, bool may)
{
	for (uint64_t i = offset; i < offset + bytes; i += HMM_PAGE_SIZE)
		s->allowed[i >> HMM_PAGE_SHIFT] = may;
}

static bool may_come_home(const struct hmm_sealed *s, uint64_t offset, uint64_t bytes)
{
	if (s->policy == HMM_SEALED_TOUCH || s->ends)
		return true;
	for (uint64_t i = offset; i < offset + bytes; i += HMM_PAGE_SIZE) {
		if (!s->allowed[i >> HMM_PAGE_SHIFT])
			return false;
	}
	return true;
}

/* The first callback may come before hmm_devmem_create() has returned the region. */
static int answer(struct hmm_devmem *devmem, int err)
{
	if (err == -EPIPE)
		hmm_devmem_lose(devmem);
	return err;
}

static int copy_in(struct hmm_devmem *devmem, uint64_t offset, const void *from, uint64_t bytes,
		   void *priv)
{
	struct hmm_sealed *s = priv;

	pthread_mutex_lock(&s->marks_lock);
	allow(s, offset, bytes, false);
	pthread_mutex_unlock(&s->marks_lock);
	return answer(devmem, link_in(&s->link, offset, from, bytes));
}

static int copy_out(struct hmm_devmem *devmem, uint64_t offset, void *to, uint64_t bytes,
		    void *priv)
{
	struct hmm_sealed *s = priv;

	if (!may_come_home(s, offset, bytes))
		return -EACCES;
	return answer(devmem, link_out(&s->link, offset, to, bytes));
}

static void page_free(struct hmm_devmem *devmem, uint64_t start, uint64_t bytes, void *priv)
{
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };
	struct hmm_sealed *s = priv;

	if (!hmm_devmem_get_stats(devmem, &stats))
		answer(devmem, link_clear(&s->link, start - stats.start, bytes));
}

/* ---- making and ending it -------------------------------------------------------------------- */

static size_t marks(const struct hmm_sealed *s)
{
	return s->bytes >> HMM_PAGE_SHIFT;
}

static void release(struct hmm_sealed *s)
{
	link_close(&s->link);
	pthread_mutex_destroy(&s->marks_lock);
	if (s->allowed)
		hmm_memory_free((void *)s->allowed, marks(s));
	hmm_memory_free(s, sizeof(*s));
}

static int make_region(struct hmm_sealed *s, uint32_t flags)
{
	const struct hmm_devmem_options options = {
		.size = sizeof(options),
		.flags = flags & HMM_SEALED_EVICT ? HMM_DEVMEM_EVICT : 0,
		.bytes = s->bytes,
		.owner = s,
		.page_free = page_free,
		.priv = s,
		/* What is refused is asked for page by page. */
		.fault_around = s->policy == HMM_SEALED_TOUCH ? 0 : (uint64_t)getpagesize(),
		.copy_in = copy_in,
		.copy_out = copy_out,
	};
	struct hmm_devmem_stats stats = { .size = sizeof(stats) };
	int err = hmm_devmem_create(s->mm, &options, &s->devmem);

	if (!err)
		err = hmm_devmem_get_stats(s->devmem, &stats);
	s->base = stats.start;
	return err;
}

static int make(struct hmm_sealed *s, uint32_t flags)
{
	int err;

	s->allowed = hmm_memory_alloc(marks(s));
	if (!s->allowed)
		return -ENOMEM;
	err = link_open(&s->link, s->bytes, flags & HMM_SEALED_PLAIN,
			s->policy == HMM_SEALED_NEVER);
	return err ? err : make_region(s, flags);
}

static int check(uint64_t bytes, enum hmm_sealed_policy policy, uint32_t flags)
{
	if (!bytes || bytes % LOOK_BYTES || bytes > 32ULL << 30 || policy > HMM_SEALED_NEVER)
		return -EINVAL;
	if (flags & ~(HMM_SEALED_EVICT | HMM_SEALED_PLAIN))
		return -EINVAL;
	return flags & HMM_SEALED_EVICT && policy != HMM_SEALED_TOUCH ? -EINVAL : 0;
}

static int create(struct hmm_mm *mm, uint64_t bytes, enum hmm_sealed_policy policy, uint32_t flags,
		  struct hmm_sealed **sealed)
{
	struct hmm_sealed *s = hmm_memory_alloc(sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->mm = mm;
	s->bytes = bytes;
	s->policy = policy;
	s->program = getpid();
	s->link.fd = -1;
	pthread_mutex_init(&s->marks_lock, NULL);
	err = make(s, flags);
	if (err)
		release(s);
	else
		*sealed = s;
	return err;
}

int hmm_sealed_create(struct hmm_mm *mm, uint64_t bytes, enum hmm_sealed_policy policy,
		      uint32_t flags, struct hmm_sealed **sealed)
{
	int err = check(bytes, policy, flags);
	int old;

	if (err)
		return err;
	old = cancel_off();
	err = create(mm, bytes, policy, flags, sealed);
	cancel_back(old);
	return err;
}

#define TRIES 1000
#define TRY_US 1000

/* A touch may have been refused just now, and its refusal be taken for an answer to this call. */
static bool try_again(const struct hmm_sealed *s, int err, int tries)
{
	if (err != -EIO || s->link.dead || tries == TRIES)
		return false;
	usleep(TRY_US);
	return true;
}

int hmm_sealed_destroy(struct hmm_sealed *s, uint64_t timeout_ns)
{
	int err = 0;
	int old;

	if (!s)
		return 0;
	old = cancel_off();
	if (s->policy == HMM_SEALED_NEVER)
		hmm_devmem_lose(s->devmem);
	s->ends = true;
	err = hmm_devmem_destroy(s->devmem, timeout_ns);
	for (int i = 0; try_again(s, err, i); i++)
		err = hmm_devmem_destroy(s->devmem, timeout_ns);
	s->ends = false;
	if (!err)
		release(s);
	cancel_back(old);
	return err;
}

/* ---- what it is ------------------------------------------------------------------------------ */

int hmm_sealed_supported(void)
{
	const int fd = sealed_secret();

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

struct hmm_devmem *hmm_sealed_devmem(const struct hmm_sealed *s)
{
	return s->devmem;
}

const char *hmm_sealed_name(const struct hmm_sealed *s)
{
	return s->link.secret ? "sealed" : "unsealed";
}

pid_t hmm_sealed_holder(const struct hmm_sealed *s)
{
	return s->link.holder;
}

/* ---- the way home ---------------------------------------------------------------------------- */

/* False: what was seen is true no more. */
static bool allow_seen(const struct walker *w, uint64_t start, uint64_t end, bool may)
{
	uint64_t offset;
	bool holds;

	pthread_mutex_lock(&w->sealed->marks_lock);
	holds = walker_holds(w);
	for (uint64_t at = start; holds && at < end; at += HMM_PAGE_SIZE) {
		if (walker_offset(w, at, &offset))
			allow(w->sealed, offset, HMM_PAGE_SIZE, may);
	}
	pthread_mutex_unlock(&w->sealed->marks_lock);
	return holds;
}

/* Looks so often whatever the timeout is: what is not true any more is rare. */
#define LOOKS 100

static int mark_block(struct walker *w, uint64_t start, uint64_t end, bool may)
{
	for (unsigned int looks = 1;; looks++) {
		const int err = walker_look(w, start, end);

		if (err || allow_seen(w, start, end, may))
			return err;
		if (looks >= LOOKS && walker_is_late(w))
			return -ETIME;
	}
}

/* Marks that a page has in vain go when it is free, or when another comes to its place. */
static int mark(struct hmm_sealed *s, uint64_t start, uint64_t end, uint64_t timeout_ns, bool may)
{
	struct walker *w;
	int err = walker_open(s, start, end, timeout_ns, &w);
	uint64_t to;

	if (err)
		return err;
	for (uint64_t at = start; !err && at < end; at = to) {
		to = walker_block(at, end);
		err = mark_block(w, at, to, may);
	}
	walker_close(w);
	return err;
}

static int get_marked(struct hmm_sealed *s, uint64_t start, uint64_t end, uint64_t timeout_ns)
{
	int err = mark(s, start, end, timeout_ns, true);

	if (err)
		return err;
	err = hmm_migrate_to_system(s->mm, start, end, timeout_ns);
	if (err)
		mark(s, start, end, timeout_ns, false);
	return err;
}

/* Pages that a touch has just asked for in vain are not seen for a moment, and so have no mark. */
static int get(struct hmm_sealed *s, uint64_t start, uint64_t end, uint64_t timeout_ns)
{
	int err;

	if (s->policy != HMM_SEALED_REQUEST)
		return hmm_migrate_to_system(s->mm, start, end, timeout_ns);
	err = get_marked(s, start, end, timeout_ns);
	for (int i = 0; try_again(s, err, i); i++)
		err = get_marked(s, start, end, timeout_ns);
	return err;
}

int hmm_sealed_get(struct hmm_sealed *s, uint64_t start, uint64_t end, uint64_t timeout_ns)
{
	const uint64_t first = start & ~((uint64_t)getpagesize() - 1);
	int err;
	int old;

	if (!s || start >= end || end > UINT64_MAX - (uint64_t)getpagesize())
		return -EINVAL;
	if (s->policy == HMM_SEALED_NEVER)
		return -EACCES;
	if (s->program != getpid())
		return -ESRCH;
	end = (end + (uint64_t)getpagesize() - 1) & ~((uint64_t)getpagesize() - 1);
	old = cancel_off();
	err = get(s, first, end, timeout_ns);
	cancel_back(old);
	return err;
}
