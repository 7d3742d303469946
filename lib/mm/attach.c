// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Attaching and detaching an address space; what it tells about itself. */
#include "mm/choose.h"
#include "mm/fork.h"
#include "mm/note.h"
#include "pump/kick.h"
#include "pump/pump.h"
#include "pump/steal.h"
#include "files/files.h"
#include "devmem/devmem.h"
#include "watch/discard.h"
#include "watch/region.h"
#include "notifier/notifier.h"
#include "engine/gate.h"
#include "space/debug.h"
#include "space/space.h"
#include "provider/log.h"
#include "provider/provider.h"
#include "kernel/abi/procmap.h"
#include "kernel/pagemap.h"
#include "kernel/abi/pagemap.h"
#include "base/child.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/nocancel.h"
#include "base/opening.h"
#include "base/ownfd.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* Reads a number from a small file; 0 if there is none. */
static uint64_t read_number(const char *path)
{
	char buf[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	return n > 0 ? strtoull(buf, NULL, 10) : 0;
}

static bool sees(struct hmm_mm *mm, const char *page, int prot, bool present)
{
	const uint64_t at = (uint64_t)(uintptr_t)page;
	struct hmm_vma vma;
	uint64_t word;

	if (vma_peek(&mm->vmas, at, &vma) || vma.start > at || vma.prot != (uint32_t)prot)
		return false;
	return !pagemap_words(&mm->pagemap, at, 1, &word) && !(word & PM_WORD_PRESENT) == !present;
}

/* Do the caller's descriptors show this process? A page of it changes before them. */
static int check_proc(struct hmm_mm *mm)
{
	const size_t size = (size_t)sysconf(_SC_PAGESIZE);
	char *page;
	bool ours;

	if (mm->options.maps_fd < 0 && mm->options.pagemap_fd < 0)
		return 0;
	page = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return -ENOMEM;
	ours = sees(mm, page, PROT_NONE, false) && !mprotect(page, size, PROT_READ | PROT_WRITE);
	if (ours) {
		*(volatile char *)page = 1;
		ours = sees(mm, page, PROT_READ | PROT_WRITE, true);
	}
	munmap(page, size);
	return ours ? 0 : -EINVAL;
}

static int open_proc(struct hmm_mm *mm)
{
	uint32_t flags = mm->options.flags;
	int err;

	err = vma_reader_open(&mm->vmas, mm->options.maps_fd, flags & HMM_MM_NO_PROCMAP_QUERY);
	if (err)
		return err;
	err = pagemap_open(&mm->pagemap, mm->options.pagemap_fd, flags & HMM_MM_NO_PAGEMAP_SCAN);
	if (err) {
		vma_reader_close(&mm->vmas);
		return err;
	}
	err = check_proc(mm);
	if (err) {
		pagemap_close(&mm->pagemap);
		vma_reader_close(&mm->vmas);
	}
	return err;
}

static void close_proc(struct hmm_mm *mm)
{
	pagemap_close(&mm->pagemap);
	vma_reader_close(&mm->vmas);
}

static void free_memory(struct hmm_mm *mm)
{
	devmem_release(mm);
	gate_fini(&mm->gate);
	log_free(mm->log);
	discards_fini(mm);
	pool_unmap(mm->thieves, THIEVES * sizeof(*mm->thieves));
	objpool_fini(&mm->regions_pool);
	objpool_fini(&mm->notifiers_pool);
	pool_unmap(mm->token, 4096);
	pool_unmap(mm, sizeof(*mm));
}

#define KEPT 4

/*
 * With LIBHMM_DEBUG the spaces that were detached last are kept: a call with one is reported
 * instead of crashing.
 */
static void release(struct hmm_mm *mm)
{
	static struct hmm_mm *_Atomic kept[KEPT];
	static _Atomic unsigned int n;

	if (debug_is_on())
		mm = atomic_exchange(&kept[atomic_fetch_add(&n, 1) % KEPT], mm);
	if (mm)
		free_memory(mm);
}

static int init_memory(struct hmm_mm *mm)
{
	pthread_mutex_init(&mm->region_lock, NULL);
	pthread_mutex_init(&mm->notifier_lock, NULL);
	if (discards_init(mm))
		return -ENOMEM;
	objpool_init(&mm->regions_pool, sizeof(struct region));
	objpool_init(&mm->notifiers_pool, sizeof(struct hmm_interval_notifier));
	mm->kick[0] = mm->kick[1] = mm->anchor = OWNFD_NONE;
	mm->thieves = pool_map(THIEVES * sizeof(*mm->thieves));
	if (!mm->thieves)
		return -ENOMEM;
	pthread_mutex_init(&mm->once.lock, NULL);
	mm->release = release;
	mm->wake = pump_kick;
	return gate_init(&mm->gate, mm);
}

static int take_options(struct hmm_mm *mm, const struct hmm_mm_options *options)
{
	static const struct hmm_mm_options defaults = HMM_MM_OPTIONS_INIT;
	uint64_t max_map_count = read_number("/proc/sys/vm/max_map_count");
	int err;

	/* 0 is a descriptor: those cannot be left out. */
	err = grow_take(&mm->options, sizeof(mm->options), options ? options : &defaults,
			GROW_LEAST(struct hmm_mm_options, maps_fd));
	if (err)
		return err;
	if (mm->options.flags > 63 || mm->options.pid < 0 || mm->options.pump_priority < 0 ||
	    mm->options.provider > HMM_PROVIDER_BOTH || mm->options.reserved)
		return -EINVAL;
	mm->pid = getpid();
	log_init();
	debug_init();
	if (mm->options.pid && mm->options.pid != mm->pid)
		return -EOPNOTSUPP;
	mm->regions_max = mm->options.max_regions;
	if (!mm->regions_max)
		mm->regions_max = (uint32_t)(max_map_count ? max_map_count / 2 : 32765);
	mm->thp_size = read_number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size");
	return 0;
}

/*
 * A userfaultfd that was handed in may be another process's: then it would be that one's memory
 * that is registered, and nobody would read its events. A page of our own tells.
 */
static bool is_of_this_process(struct hmm_mm *mm)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t start = (uint64_t)(uintptr_t)mm->token;
	const struct provider_ops *ops = mm->provider.ops;
	bool ours;

	if (mm->options.uffd < 0 || !mm->pagemap.scan)
		return true;
	if (ops->watch(&mm->provider, start, start + page))
		return false;
	ours = pagemap_is_registered(&mm->pagemap, start) != 0;
	ops->unwatch(&mm->provider, start, start + page);
	return ours;
}

/* Begins with the lowest layer, and undoes in reverse order. */
static int bring_up(struct hmm_mm *mm)
{
	int err;

	err = open_proc(mm);
	if (err)
		return err;
	err = provider_choose(mm);
	if (err)
		goto no_provider;
	err = files_init(mm);
	if (err)
		goto no_files;
	err = fork_attach(mm);
	if (err)
		goto no_fork;
	err = is_of_this_process(mm) ? pump_start(mm) : -EINVAL;
	if (err)
		goto no_fork;
	err = fork_watch(mm);
	if (!err)
		return 0;
	fork_unwatch(mm);
	pump_stop(mm);
no_fork:
	files_fini(mm);
no_files:
	if (mm->options.uffd >= 0 && mm_registers(mm)) { /* the descriptor stays the caller's */
		child_keeps(mm->provider.fd.fd);
		mm->provider.fd = OWNFD_NONE;
	}
	provider_close(mm);
no_provider:
	close_proc(mm);
	return err;
}

int hmm_mm_attach(const struct hmm_mm_options *options, struct hmm_mm **out)
{
	DEBUG_CALL(NULL, DEBUG_BLOCKS);
	HMM_NO_CANCEL;
	struct hmm_mm *mm = pool_map(sizeof(*mm));
	int err;

	if (!mm)
		return -ENOMEM;
	opening_begin();
	err = take_options(mm, options);
	if (!err)
		err = init_memory(mm);
	if (!err)
		err = bring_up(mm);
	opening_end();
	if (err) {
		free_memory(mm);
		return err;
	}
	mm_get(mm);
	notes_begin();
	memory_debug_begin();
	*out = mm;
	return 0;
}

/*
 * A child that keeps our userfaultfd open keeps the registrations, and then a touch of what is
 * trapped would wait for ever.
 */
static void untrap(struct hmm_mm *mm)
{
	uint64_t start;
	uint64_t end;

	pthread_mutex_lock(&mm->region_lock);
	while (devmem_untrap_next(mm, &start, &end))
		unwatch(mm, start, end);
	pthread_mutex_unlock(&mm->region_lock);
}

void hmm_mm_detach(struct hmm_mm *mm)
{
	if (mm && debug_is_on() && !debug_detach(mm, __builtin_return_address(0)))
		return;
	HMM_NO_CANCEL;
	struct hmm_invalidation inv = { .start = 0, .end = UINT64_MAX, .event = HMM_EVENT_RELEASE };

	if (!mm || mm_inherited(mm))
		return;
	if (atomic_load(&mm->persist))
		atomic_load (&mm->persist_fini)(mm->persist);
	devmem_fini(mm);
	/*
	 * This comes first: nothing may be found valid or be installed after drivers were told that
	 * the space has ended.
	 */
	atomic_store(&mm->dead, 1);
	mm_invalidate(mm, &inv, 0);
	fork_unwatch(mm);
	regions_fini(mm);
	untrap(mm);
	pump_stop(mm);
	provider_close(mm);
	files_fini(mm);
	close_proc(mm);
	atomic_store(&mm->detached, true);
	mm_put(mm);
}

int hmm_mm_get_info(struct hmm_mm *mm, struct hmm_mm_info *info)
{
	DEBUG_CALL(mm, DEBUG_QUICK);
	struct hmm_mm_info now;
	int err = grow_room(info, GROW_LEAST(struct hmm_mm_info, page_size));

	if (err)
		return err;
	if (mm_inherited(mm))
		return -ESRCH;
	now = (struct hmm_mm_info){
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.uffd_features = mm->provider.features,
		.uffd_available = mm->provider.available,
		.user_mode_only = mm->provider.user_mode_only,
		.wp_async = mm->provider.wp_async,
		.pagemap_scan = mm->pagemap.scan,
		.procmap_query = mm->vmas.procmap_query,
		.event_fork = mm->provider.event_fork,
		.reduced = !mm->log && (!mm->provider.wp_async || !mm->pagemap.scan),
		.dumpable = prctl(PR_GET_DUMPABLE) == 1,
		.keeper = atomic_load(&mm->keeper),
		.lost = atomic_load(&mm->lost),
		.descriptors = files_descriptors(),
		.thp_size = mm->thp_size,
		.max_regions = mm->regions_max,
		.provider = provider_chosen(mm),
		.provider_error = mm->provider_error,
		.anchored = mm->log && mm->log->anchored,
		.anchor_error = mm->log ? mm->anchor_error : 0,
		.log_records = mm->log ? mm->log->records : 0,
		.log_resets = mm->log ? mm->log->resets : 0,
		.log_orphan = mm->log && mm->log->orphan,
		.log_renewals = mm->log ? mm->log->renewals : 0,
	};
	grow_give(info, &now, sizeof(now));
	return 0;
}

int hmm_mm_get_stats(struct hmm_mm *mm, struct hmm_mm_stats *stats)
{
	DEBUG_CALL(mm, DEBUG_QUICK);
	struct hmm_mm_stats now;
	int err = grow_room(stats, GROW_LEAST(struct hmm_mm_stats, pump_cycles));

	if (err)
		return err;
	if (mm_inherited(mm))
		return -ESRCH;
	now = (struct hmm_mm_stats){
		.pump_cycles = mm->stats.pump_cycles,
		.callbacks = mm->stats.callbacks,
		.registrations = mm->stats.registrations,
		.regions = mm->stats.regions,
		.map_entries = mm->stats.map_entries,
		.probes = mm->stats.probes,
		.probes_busy = mm->stats.probes_busy,
		.discards_pending = mm->stats.discards_pending,
		.discards_settled = mm->stats.discards_settled,
		.watchdog_reads = mm->stats.watchdog_reads,
		.overruns = mm->stats.overruns,
		.pump_busy_ns = mm->stats.pump_busy_ns,
		.ignored = mm->stats.ignored,
	};
	for (int i = 0; i < HMM_EVENT_NR; i++)
		now.events[i] = mm->stats.events[i];
	grow_give(stats, &now, sizeof(now));
	return 0;
}
