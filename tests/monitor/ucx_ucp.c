// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * An unmodified UCX program under libhmm-ucx.so: ucx_ucp map|race|threads|tag
 *
 *	map	registers memory that comes and goes. The caches must register each mapping of it
 *		anew, and what has not changed must be found. Up to 1.13 UCX keeps nothing here
 *	race	the same, while another thread unmaps
 *	threads	the same, by several threads
 *	tag	messages to itself from buffers that come and go; the data are checked. Each buffer
 *		must be registered, which needs a transport whose protocols use the cache (tcp with
 *		UCX_PROTO_ENABLE=y)
 *
 * How often the caches registered is counted by the monitor, in the file that LIBHMM_MONITOR_STATS
 * names: the program makes it and starts itself again.
 */
#include "stats.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ucp/api/ucp.h>

#define BUF (1UL << 20)
#define ROUNDS 500
#define MESSAGES 100
#define THREADS 4

#define FAIL(...) (fprintf(stderr, __VA_ARGS__), exit(1))
#define MUST(x) ((x) ? (void)0 : (void)FAIL("%s:%d: %s\n", __FILE__, __LINE__, #x))

static struct monitor_counters *counters;
static ucp_context_h context;
static ucp_worker_h worker;
static ucp_ep_h ep;

/* ---- the counters ---------------------------------------------------------------------------- */

static void make_stats(char **argv)
{
	const struct monitor_stats empty = { .magic = MONITOR_STATS_MAGIC, .size = sizeof(empty) };
	int fd = memfd_create("stats", 0);
	char path[64];

	MUST(fd >= 0 && write(fd, &empty, sizeof(empty)) == (ssize_t)sizeof(empty));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	setenv(MONITOR_STATS_ENV, path, 1);
	execv("/proc/self/exe", argv);
	FAIL("exec: %s\n", strerror(errno));
}

static void open_stats(char **argv)
{
	const char *path = getenv(MONITOR_STATS_ENV);
	struct monitor_stats *stats;

	if (!path)
		make_stats(argv);
	stats = mmap(NULL, sizeof(*stats), PROT_READ, MAP_SHARED, atoi(strrchr(path, '/') + 1), 0);
	MUST(stats != MAP_FAILED && stats->magic == MONITOR_STATS_MAGIC);
	counters = &stats->ucx;
	MUST(counters->loaded == 1);
}

/* ---- UCX ------------------------------------------------------------------------------------- */

static void start(void)
{
	ucp_params_t params = { .field_mask = UCP_PARAM_FIELD_FEATURES |
					      UCP_PARAM_FIELD_MT_WORKERS_SHARED,
				.features = UCP_FEATURE_TAG | UCP_FEATURE_RMA,
				.mt_workers_shared = 1 };
	ucp_worker_params_t worker_params = { 0 };
	ucp_ep_params_t ep_params = { .field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS };
	ucp_address_t *address;
	size_t length;

	MUST(ucp_init(&params, NULL, &context) == UCS_OK);
	MUST(ucp_worker_create(context, &worker_params, &worker) == UCS_OK);
	MUST(ucp_worker_get_address(worker, &address, &length) == UCS_OK);
	ep_params.address = address;
	MUST(ucp_ep_create(worker, &ep_params, &ep) == UCS_OK);
	ucp_worker_release_address(worker, address);
}

static void *map_buffer(void *at)
{
	return mmap(at, BUF, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/* Where nobody else maps anything: an address that is unmapped stays free. */
static void *fresh(void)
{
	static _Atomic uintptr_t next = 0x7e9000000000;
	void *at = (void *)atomic_fetch_add(&next, 2 * BUF);

	MUST(map_buffer(at) == at);
	return at;
}

static void use(void *buf)
{
	ucp_mem_map_params_t params = { .field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS |
						      UCP_MEM_MAP_PARAM_FIELD_LENGTH,
					.address = buf,
					.length = BUF };
	ucp_mem_h memh;

	MUST(ucp_mem_map(context, &params, &memh) == UCS_OK);
	MUST(ucp_mem_unmap(context, memh) == UCS_OK);
}

/* How often the caches registered in a use. */
static uint64_t registers(void *buf)
{
	const uint64_t before = counters->misses;

	use(buf);
	return counters->misses - before;
}

/* A busy machine may be too slow for a lookup, which then finds nothing. */
static bool is_kept(void *buf, unsigned int tries)
{
	for (unsigned int i = 0; i < tries; i++) {
		if (!registers(buf))
			return true;
		usleep(10000);
	}
	return false;
}

static void *known(void)
{
	void *buf = fresh();

	if (registers(buf) != 1)
		FAIL("UCX does not ask its cache\n");
	if (!is_kept(buf, 100)) {
		printf("this UCX keeps nothing of ucp_mem_map()\n");
		exit(77);
	}
	return buf;
}

static void run_map(void)
{
	void *buf = known();

	for (int i = 0; i < ROUNDS; i++) {
		syscall(SYS_munmap, buf, BUF);
		MUST(map_buffer(buf) == buf);
		if (!registers(buf))
			FAIL("round %d: the old registration was found\n", i);
		if (!is_kept(buf, 2000))
			FAIL("round %d: the new one was not kept\n", i);
	}
}

static _Atomic int turn; /* 1: unmap */

static void *unmapper(void *buf)
{
	for (int i = 0; i < ROUNDS; i++) {
		while (atomic_load(&turn) != 1)
			sched_yield();
		syscall(SYS_munmap, buf, BUF);
		atomic_store(&turn, 2);
	}
	return NULL;
}

static void run_race(void)
{
	void *buf = known();
	pthread_t thread;

	MUST(!pthread_create(&thread, NULL, unmapper, buf));
	for (int i = 0; i < ROUNDS; i++) {
		atomic_store(&turn, 1);
		while (map_buffer(buf) != buf)
			MUST(errno == EEXIST);
		if (!registers(buf))
			FAIL("round %d: the old registration was found\n", i);
		while (atomic_load(&turn) != 2)
			sched_yield();
	}
	pthread_join(thread, NULL);
}

static void *comes_and_goes(void *buf)
{
	for (int i = 0; i < ROUNDS; i++) {
		use(buf);
		use(buf);
		syscall(SYS_munmap, buf, BUF);
		MUST(map_buffer(buf) == buf);
	}
	return NULL;
}

/* Threads look up and register, while the deliverer tells their cache of changes. */
static void run_threads(void)
{
	const uint64_t before = counters->misses;
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		MUST(!pthread_create(thread + i, NULL, comes_and_goes, fresh()));
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	if (counters->misses - before < THREADS * ROUNDS)
		FAIL("an old registration was found\n");
}

static void finish(void *request)
{
	MUST(!UCS_PTR_IS_ERR(request));
	if (!request)
		return;
	while (ucp_request_check_status(request) == UCS_INPROGRESS)
		ucp_worker_progress(worker);
	MUST(ucp_request_check_status(request) == UCS_OK);
	ucp_request_free(request);
}

static void run_tag(void)
{
	const ucp_request_param_t param = { 0 };
	uint64_t *from = fresh();
	uint64_t *to = fresh();

	for (uint64_t i = 0; i < MESSAGES; i++) {
		void *recv;
		void *send;

		for (uint64_t at = 0; at < BUF / 8; at++)
			from[at] = i << 32 | at;
		recv = ucp_tag_recv_nbx(worker, to, BUF, i, ~0ULL, &param);
		send = ucp_tag_send_nbx(ep, from, BUF, i, &param);
		finish(send);
		finish(recv);
		for (uint64_t at = 0; at < BUF / 8; at++)
			if (to[at] != (i << 32 | at))
				FAIL("message %lu: wrong data at %lu\n", (unsigned long)i,
				     (unsigned long)at * 8);
		syscall(SYS_munmap, from, BUF);
		syscall(SYS_munmap, to, BUF);
		MUST(map_buffer(from) == from && map_buffer(to) == to);
	}
	if (counters->misses < MESSAGES)
		FAIL("registered %lu times\n", (unsigned long)counters->misses);
}

int main(int argc, char **argv)
{
	MUST(argc == 2);
	open_stats(argv);
	start();
	if (!strcmp(argv[1], "map"))
		run_map();
	else if (!strcmp(argv[1], "race"))
		run_race();
	else if (!strcmp(argv[1], "threads"))
		run_threads();
	else
		run_tag();
	ucp_worker_destroy(worker);
	ucp_cleanup(context);
	printf("served %lu hits %lu misses %lu refused %lu invalidations %lu\n",
	       (unsigned long)counters->served, (unsigned long)counters->hits,
	       (unsigned long)counters->misses, (unsigned long)counters->refused,
	       (unsigned long)counters->invalidations);
	return 0;
}
