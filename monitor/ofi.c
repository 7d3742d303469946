// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * libhmm-ofi.so: libhmm as the memory monitor of an unmodified libfabric (1.14 or newer), loaded by
 * LD_PRELOAD. It stands in front of fi_getinfo(3), in each version that libfabric has had. When the
 * first call has returned it imports the monitor: before the program can open a domain, before Open
 * MPI imports its own, and after libfabric has read FI_MR_CACHE_MONITOR, which would override it.
 *
 * It does not depend on libfabric.so, so a program's own copy of it is not replaced by another.
 *
 * libfabric calls subscribe and valid with its one lock held (mm_lock), start and stop with
 * another (mm_state_lock); notify takes the first and a lock of the list of caches.
 */
#include "ofi.h"
#include "monitor.h"
#include "record.h"
#include "space.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <rdma/fi_ext.h>

#define OLDEST FI_VERSION(1, 14)
#define IMPORT_API FI_VERSION(1, 13) /* of fi_open(3) */

struct monitor_counters *monitor_counters(void)
{
	return &stats_get()->ofi;
}

static void __attribute__((constructor)) loaded(void)
{
	stats_open();
	stats_add(&monitor_counters()->loaded);
}

/* ---- what libfabric calls -------------------------------------------------------------------- */

static struct fid_mem_monitor ours;

/* Never fails: some providers give up their domain if it does. Without a space all is refused. */
static int start(struct fid_mem_monitor *m)
{
	int err = record_start();

	(void)m;
	if (err == -ESRCH)
		atomic_store(&monitor_counters()->why, MONITOR_WHY(MONITOR_WHY_CHILD, 0));
	else if (err)
		monitor_say(MONITOR_WHY_ATTACH, err,
			    "libhmm cannot watch this process; nothing is cached");
	return 0;
}

/*
 * A cache that begins meanwhile may be in use before start is called, so what is watched is watched
 * on and is delivered. Without a cache that reaches nobody.
 */
static void stop(struct fid_mem_monitor *m)
{
	(void)m;
}

static int subscribe(struct fid_mem_monitor *m, const void *addr, size_t len)
{
	(void)m;
	return record_subscribe((uintptr_t)addr, len);
}

/* Another cache may hold a registration of the same range, so the range is watched on. */
static void unsubscribe(struct fid_mem_monitor *m, const void *addr, size_t len)
{
	(void)m;
	(void)addr;
	(void)len;
}

static bool valid(struct fid_mem_monitor *m, const void *addr, size_t len)
{
	(void)m;
	return record_valid((uintptr_t)addr, len);
}

static struct fi_ops_mem_monitor ops = {
	.size = sizeof(ops),
	.start = start,
	.stop = stop,
	.subscribe = subscribe,
	.unsubscribe = unsubscribe,
	.valid = valid,
};

static struct fid_mem_monitor ours = {
	.fid.fclass = FI_CLASS_MEM_MONITOR,
	.export_ops = &ops,
};

static void deliver(uint64_t addr, uint64_t len)
{
	ours.import_ops->notify(&ours, (void *)(uintptr_t)addr, len);
}

const struct monitor monitor = { .name = "libhmm-ofi", .deliver = deliver };

/* ---- import ---------------------------------------------------------------------------------- */

int libhmm_ofi_import(struct fid *cache)
{
	int err = fi_import_fid(cache, &ours.fid, 0);

	if (!err)
		stats_add(&monitor_counters()->served);
	else if (err == -FI_EBUSY)
		monitor_say(MONITOR_WHY_BUSY, 0,
			    "another memory monitor of libfabric is active or was imported");
	else
		monitor_say(MONITOR_WHY_PEER, err, "libfabric refused the monitor");
	return err;
}

/* The user says that nothing is to be cached, or that another serves. */
static bool unwanted(void)
{
	const char *value = getenv("FI_MR_CACHE_MONITOR");

	return !monitor_wanted("ofi") || (value && !strcmp(value, "disabled"));
}

static void *library; /* libfabric, which stays loaded; RTLD_NEXT if it has no handle */

static void import(void)
{
	uint32_t (*version)(void) = (uint32_t(*)(void))dlsym(library, "fi_version");
	__typeof__(fi_open) *open_fid = (__typeof__(fi_open) *)dlsym(library, "fi_open");
	struct fid *cache;
	int err;

	if (unwanted()) {
		atomic_store(&monitor_counters()->why, MONITOR_WHY(MONITOR_WHY_DISABLED, 0));
		return;
	}
	if (!version || !open_fid || FI_VERSION_LT(version(), OLDEST)) {
		monitor_say(MONITOR_WHY_OLD, 0, "libfabric is older than 1.14");
		return;
	}
	err = open_fid(IMPORT_API, "mr_cache", NULL, 0, 0, &cache, NULL);
	if (err) {
		monitor_say(MONITOR_WHY_PEER, err, "libfabric has no cache to monitor");
		return;
	}
	libhmm_ofi_import(cache);
	fi_close(cache);
}

/* ---- fi_getinfo ------------------------------------------------------------------------------ */

typedef __typeof__(fi_getinfo) getinfo_fn;

static getinfo_fn *find(void *object, const char *node)
{
	void *fn = dlvsym(object, "fi_getinfo", node);

	return (getinfo_fn *)(fn ? fn : dlsym(object, "fi_getinfo"));
}

static getinfo_fn *find_in(const char *object, const char *node)
{
	void *handle = dlopen(object, RTLD_LAZY | RTLD_NOLOAD);
	getinfo_fn *fn = handle ? find(handle, node) : NULL;

	if (handle)
		dlclose(handle);
	return fn;
}

/* Packages that bring libfabric along give it another name that contains this one. */
static int named_fabric(struct dl_phdr_info *object, size_t size, void *path)
{
	const char *name = object->dlpi_name ? strrchr(object->dlpi_name, '/') : NULL;

	(void)size;
	if (!name || !strstr(name, "libfabric") || strlen(object->dlpi_name) >= PATH_MAX)
		return 0;
	strcpy(path, object->dlpi_name);
	return 1;
}

/*
 * A plug-in may have loaded libfabric for itself alone (RTLD_LOCAL), as those of Open MPI do. Then
 * it is not among the next objects, but is found by its name. A program that looks the function up
 * without a version gets the last one, which an older libfabric lacks.
 */
static getinfo_fn *next_getinfo(const char *node)
{
	getinfo_fn *fn = find(RTLD_NEXT, node);
	char path[PATH_MAX] = "";

	if (!fn)
		fn = find_in("libfabric.so.1", node);
	if (!fn && dl_iterate_phdr(named_fabric, path))
		fn = find_in(path, node);
	return fn;
}

/* Takes libfabric's handle by a function of it, and keeps it loaded for good. */
static void keep_library(getinfo_fn *fn)
{
	Dl_info info;

	library = RTLD_NEXT;
	if (dladdr((void *)fn, &info) && info.dli_fname) {
		void *handle = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);

		library = handle ? handle : RTLD_NEXT;
	}
}

/* Whatever the call answered: a program may ask for a provider that is not there first. */
static void served_by(getinfo_fn *fn)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static _Atomic bool done;

	if (atomic_load_explicit(&done, memory_order_acquire))
		return;
	pthread_mutex_lock(&lock);
	if (!atomic_load(&done)) {
		keep_library(fn);
		import();
		atomic_store(&done, true);
	}
	pthread_mutex_unlock(&lock);
}

#define GETINFO(name, node, symver)                                                                \
	MONITOR_EXPORT int name(uint32_t version, const char *host, const char *service,           \
				uint64_t flags, const struct fi_info *hints,                       \
				struct fi_info **info);                                            \
	MONITOR_EXPORT int name(uint32_t version, const char *host, const char *service,           \
				uint64_t flags, const struct fi_info *hints,                       \
				struct fi_info **info)                                             \
	{                                                                                          \
		getinfo_fn *fn = next_getinfo(node);                                               \
		int err;                                                                           \
                                                                                                   \
		if (!fn)                                                                           \
			return -FI_ENOSYS;                                                         \
		err = fn(version, host, service, flags, hints, info);                              \
		served_by(fn);                                                                     \
		return err;                                                                        \
	}                                                                                          \
	__asm__(".symver " #name ", fi_getinfo" symver node)

GETINFO(getinfo_1_0, "FABRIC_1.0", "@");
GETINFO(getinfo_1_1, "FABRIC_1.1", "@");
GETINFO(getinfo_1_2, "FABRIC_1.2", "@");
GETINFO(getinfo_1_3, "FABRIC_1.3", "@");
GETINFO(getinfo_1_7, "FABRIC_1.7", "@");
GETINFO(getinfo_1_8, "FABRIC_1.8", "@");
GETINFO(getinfo_1_9, "FABRIC_1.9", "@");
GETINFO(getinfo_1_10, "FABRIC_1.10", "@@");
