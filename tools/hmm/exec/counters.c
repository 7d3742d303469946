// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../monitor/stats.h"
#include "counters.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

int counters_open(struct counters *c)
{
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	struct monitor_stats *stats;

	/* Some hosts want the flag (vm.memfd_noexec), kernels before 6.3 do not know it. */
	c->fd = memfd_create("hmm-monitors", flags | MFD_NOEXEC_SEAL);
	if (c->fd < 0 && errno == EINVAL)
		c->fd = memfd_create("hmm-monitors", flags);
	/* The program may write what it likes there. It may not cut off what we read. */
	if (c->fd < 0 || ftruncate(c->fd, sizeof(*stats)) ||
	    fcntl(c->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	stats = mmap(NULL, sizeof(*stats), PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (stats == MAP_FAILED)
		return -errno;
	stats->size = sizeof(*stats);
	stats->magic = MONITOR_STATS_MAGIC;
	c->stats = stats;
	return 0;
}

void counters_close(struct counters *c)
{
	if (c->stats)
		munmap(c->stats, sizeof(*c->stats));
	if (c->fd > 0)
		close(c->fd);
	*c = (struct counters){ 0 };
}

void counters_name(const struct counters *c, char *name, size_t size)
{
	/* The number that /proc knows it by: not getpid()'s where /proc is of another namespace. */
	char self[32];
	ssize_t n = readlink("/proc/self", self, sizeof(self) - 1);

	if (n < 0)
		n = snprintf(self, sizeof(self), "%d", (int)getpid());
	snprintf(name, size, "/proc/%.*s/fd/%d", (int)n, self, c->fd);
}

static const char *in_words(uint64_t why, char *text, size_t size)
{
	static const char *const words[] = {
		[MONITOR_WHY_DISABLED] = "LIBHMM_MONITOR or FI_MR_CACHE_MONITOR says so",
		[MONITOR_WHY_OLD] = "its version cannot be served",
		[MONITOR_WHY_BUSY] = "it has another memory monitor",
		[MONITOR_WHY_PEER] = "it refused the monitor",
		[MONITOR_WHY_ATTACH] = "libhmm cannot watch the process",
		[MONITOR_WHY_CHILD] = "a forked child registers everything once",
	};
	const unsigned int reason = MONITOR_WHY_REASON(why);
	const int error = MONITOR_WHY_ERR(why);

	if (!reason)
		return NULL;
	snprintf(text, size, "%s%s%s",
		 reason < MONITOR_WHY_NR ? words[reason]
					 : "for a reason that this hmm does not know",
		 error ? ": " : "", error ? strerror(error < 0 ? -error : error) : "");
	return text;
}

static uint64_t value(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

struct counts counters_get(const struct counters *c, int monitor)
{
	struct monitor_counters *m = monitor == MONITOR_OFI ? &c->stats->ofi : &c->stats->ucx;
	static char words[N_MONITORS][128];

	return (struct counts){
		.loaded = value(&m->loaded),
		.served = value(&m->served),
		.hits = value(&m->hits),
		.misses = value(&m->misses),
		.invalidations = value(&m->invalidations),
		.refused = value(&m->refused),
		.stale_prevented = value(&m->stale_prevented),
		.why = in_words(value(&m->why), words[monitor], sizeof(words[monitor])),
	};
}
