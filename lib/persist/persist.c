/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * hmm_persist(). Whether a mapping is MAP_SYNC is told by the VmFlags of smaps alone, which is slow to read; what
 * was read is kept together with an interval notifier on the mapping, and trusted while the notifier's sequence
 * stands: a mapping that went and came back without MAP_SYNC must not be flushed and called durable.
 */
#include "base/child.h"
#include "mm/mm.h"
#include "persist/flush.h"
#include "persist/persist.h"
#include "base/pool.h"
#include "base/nocancel.h"

#include <hmm/persist.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KNOWN_MAX 16

struct known {
	struct hmm_interval_notifier *ni; /* NULL: free */
	uint64_t seq;
	uint64_t start;
	uint64_t end;
};

struct persist_cache {
	pthread_mutex_t lock;
	struct known known[KNOWN_MAX];
	unsigned int next; /* to be replaced */
};

int persist_init(struct persist_cache **out)
{
	struct persist_cache *c = pool_map(sizeof(*c));

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return 0;
}

void persist_fini(struct persist_cache *c)
{
	if (!c)
		return;
	for (int i = 0; i < KNOWN_MAX; i++)
		hmm_interval_notifier_remove(c->known[i].ni);
	pool_unmap(c, sizeof(*c));
}

/* A reader of lines that needs no heap. */
struct lines {
	int fd;
	size_t have;
	size_t at;
	char buf[8192];
};

static char *next_line(struct lines *l)
{
	for (;;) {
		char *nl = memchr(l->buf + l->at, '\n', l->have - l->at);
		char *line = l->buf + l->at;
		ssize_t n;

		if (nl) {
			*nl = 0;
			l->at = (size_t)(nl - l->buf) + 1;
			return line;
		}
		memmove(l->buf, line, l->have - l->at);
		l->have -= l->at;
		l->at = 0;
		n = read(l->fd, l->buf + l->have, sizeof(l->buf) - l->have);
		if (n <= 0)
			return NULL;
		l->have += (size_t)n;
	}
}

/* 1: the VMA that begins at start is MAP_SYNC; 0: it is not; -errno */
static int read_sync_flag(uint64_t start)
{
	struct lines l = { .fd = child_closes(open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)) };
	bool inside = false;
	int sync = -EFAULT;
	char *line;

	if (l.fd < 0)
		return -errno;
	while (sync == -EFAULT && (line = next_line(&l))) {
		char *dash;
		uint64_t at = strtoull(line, &dash, 16);

		if (*dash == '-' && dash > line)
			inside = at == start;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			sync = strstr(line, " sf") != NULL;
	}
	close_ours(l.fd);
	return sync;
}

static int no_driver(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		     void *priv)
{
	return 0; /* the sequence says it all */
}

static bool holds_nothing(struct hmm_interval_notifier *ni, uint64_t start, uint64_t end,
			  void *priv)
{
	return false;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), no_driver, holds_nothing };

static bool is_known(struct persist_cache *c, uint64_t start, uint64_t end)
{
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < KNOWN_MAX && !found; i++) {
		struct known *k = &c->known[i];

		found = k->ni && start >= k->start && end <= k->end &&
			hmm_interval_valid(k->ni, k->seq);
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void remember(struct persist_cache *c, const struct known *k)
{
	struct hmm_interval_notifier *old;

	pthread_mutex_lock(&c->lock);
	old = c->known[c->next].ni;
	c->known[c->next] = *k;
	c->next = (c->next + 1) % KNOWN_MAX;
	pthread_mutex_unlock(&c->lock);
	hmm_interval_notifier_remove(old);
}

/* Find out whether [start, end) of this VMA may be flushed; remembers a yes if nothing moved meanwhile. */
static int may_flush(struct hmm_mm *mm, struct persist_cache *c, const struct hmm_vma *vma,
		     uint64_t start, uint64_t end)
{
	struct known k = { .start = start, .end = end };
	int sync;
	int err;

	if (vma->kind != HMM_VMA_DAX || !flush_available())
		return 0;
	err = hmm_interval_notifier_insert(mm, start, end - start, &ops, NULL, &k.ni);
	if (err)
		return err;
	k.seq = hmm_interval_read_begin(k.ni);
	err = region_ensure(mm, vma, start, end, 0);
	sync = err ? 0 : read_sync_flag(vma->start);
	if (sync == 1 && hmm_interval_valid(k.ni, k.seq)) {
		remember(c, &k);
		return 1;
	}
	hmm_interval_notifier_remove(k.ni);
	return sync < 0 ? sync : 0;
}

static int sync_pages(uint64_t start, uint64_t end)
{
	uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

	start &= ~mask;
	end = (end + mask) & ~mask;
	return msync((void *)(uintptr_t)start, end - start, MS_SYNC)
		       ? (errno == ENOMEM ? -EFAULT : -errno)
		       : 0;
}

/* One VMA's part of the range. */
static int persist_vma(struct hmm_mm *mm, const struct hmm_vma *vma, uint64_t start, uint64_t end,
		       enum hmm_persist_means *means)
{
	int flush;

	if ((vma->kind != HMM_VMA_FILE && vma->kind != HMM_VMA_DAX) || !vma->shared)
		return -EOPNOTSUPP;
	flush = may_flush(mm, mm_persist_cache(mm), vma, start, end);
	if (flush < 0)
		return flush;
	if (flush) {
		flush_range(start, end);
		return 0;
	}
	*means = HMM_PERSIST_MSYNC;
	return sync_pages(start, end);
}

int hmm_persist(struct hmm_mm *mm, uint64_t start, uint64_t end, enum hmm_persist_means *out)
{
	HMM_NO_CANCEL;
	enum hmm_persist_means means = HMM_PERSIST_FLUSH;
	int err = mm_alive(mm);

	if (err)
		return err;
	if (start >= end)
		return -EINVAL;
	if (is_known(mm_persist_cache(mm), start, end)) {
		flush_range(start, end);
		goto done;
	}
	for (uint64_t at = start; at < end;) {
		struct hmm_vma vma;

		err = hmm_vma_find(mm, at, &vma);
		if (err || vma.start > at)
			return -EFAULT;
		err = persist_vma(mm, &vma, at, vma.end < end ? vma.end : end, &means);
		if (err)
			return err;
		at = vma.end;
	}
done:
	if (out)
		*out = means;
	return 0;
}
