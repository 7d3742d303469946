// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * One scene of a registration cache of UCX's, in a process of its own: ucx_scenes NAME [nobody].
 * The memory has a fresh tag painted into each page after each change; a registration has the tags
 * that it found. One that comes back with other tags than those of the memory is stale.
 *
 * It prints "hits H misses M stale S". The status is 0; 1: there was a stale one, or something that
 * must work did not; 77: the host lacks something, with a reason. What watches the memory is up to
 * the environment: libhmm-ucx.so, or with HMM_SCENE_HOOKS UCX's own hooks.
 */
#include "ucx_cache.h"

#include <hmm/hmm.h>
#include <ucm/api/ucm.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define BUF (4 * PAGE)
#define RACES 2000
#define PINS 65536
#define PIN_PAGES 16

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#define DONTNEED_LOCKED 24

#define FAIL(...) (fprintf(stderr, __VA_ARGS__), exit(1))
#define SKIP(...) (printf(__VA_ARGS__), exit(77))
#define MUST(x) ((x) ? (void)0 : (void)FAIL("%s:%d: %s: %m\n", __FILE__, __LINE__, #x))

static const struct peer *peer;
static struct peer_cache *cache;
static _Atomic unsigned long hits, misses, stale;

/* ---- registrations --------------------------------------------------------------------------- */

struct pin {
	uint64_t addr;
	uint64_t pages;
	uint64_t tags[PIN_PAGES];
	_Atomic bool live;
};
static struct pin pins[PINS];
static _Atomic uint64_t next_pin;
static _Atomic unsigned long live_pins;

/* What a scene does while a registration is made, with the locks of the cache held. */
static void (*during_pin)(void);

/* As a device would: an address that is not mapped is an error, not a signal. */
static int read_tag(uint64_t addr, uint64_t *tag)
{
	struct iovec local = { tag, sizeof(*tag) };
	struct iovec remote = { (void *)(uintptr_t)addr, sizeof(*tag) };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)sizeof(*tag)
		       ? 0
		       : -EFAULT;
}

int pin_make(uint64_t addr, uint64_t length, uint64_t *id)
{
	struct pin *p;

	*id = atomic_fetch_add(&next_pin, 1) % PINS;
	p = pins + *id;
	p->addr = addr & ~(PAGE - 1);
	p->pages = (addr + length - p->addr + PAGE - 1) / PAGE;
	for (uint64_t i = 0; i < p->pages && i < PIN_PAGES; i++)
		if (read_tag(p->addr + i * PAGE, p->tags + i))
			return -EFAULT;
	if (during_pin)
		during_pin();
	p->live = true;
	atomic_fetch_add(&live_pins, 1);
	return 0;
}

void pin_end(uint64_t id)
{
	pins[id].live = false;
	atomic_fetch_sub(&live_pins, 1);
}

static bool pin_is_true(uint64_t id, uint64_t addr, uint64_t length)
{
	const struct pin *p = pins + id;

	MUST(p->live);
	for (uint64_t at = addr & ~(PAGE - 1); at < addr + length; at += PAGE)
		if (*(volatile uint64_t *)(uintptr_t)at != p->tags[(at - p->addr) / PAGE])
			return false;
	return true;
}

/* ---- what scenes are made of ----------------------------------------------------------------- */

static _Thread_local uint64_t last_id = ~0ULL;

static void get(struct peer_cache *c, void *buf, size_t length, struct peer_use *use)
{
	const uint64_t before = atomic_load(&next_pin);

	if (peer->get(c, (uintptr_t)buf, length, 0, use))
		FAIL("get %p: failed\n", buf);
	atomic_fetch_add(use->id >= before % PINS ? &misses : &hits, 1);
	if (!pin_is_true(use->id, (uintptr_t)buf, length))
		atomic_fetch_add(&stale, 1);
	last_id = use->id;
}

/* A transfer: the registration's number. */
static uint64_t transfer(void *buf, size_t length)
{
	struct peer_use use;

	get(cache, buf, length, &use);
	peer->put(cache, &use);
	return use.id;
}

static void paint(void *buf, size_t length)
{
	static _Atomic uint64_t tag = 1;
	const uint64_t first = atomic_fetch_add(&tag, length / PAGE + 1);

	for (size_t at = 0; at < length; at += PAGE)
		*(volatile uint64_t *)((char *)buf + at) = first + at / PAGE;
}

static void *map_at(void *addr, int flags)
{
	void *p =
		mmap(addr, BUF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	MUST(p != MAP_FAILED && (!addr || p == addr));
	return p;
}

/*
 * A buffer with nothing beside it, where nobody else maps anything: an address that was unmapped
 * stays free.
 */
static void *fresh(void)
{
	static _Atomic uintptr_t next = 0x7e9000000000;

	return map_at((void *)atomic_fetch_add(&next, 4 * BUF), MAP_FIXED_NOREPLACE);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/*
 * A busy machine may be too slow for a lookup, which then empties the caches: what must be found is
 * looked for several times, or for so long.
 */
#define TRIES 50
#define PATIENCE_NS 30000000000UL

static bool found_again(void *buf)
{
	const uint64_t before = last_id;

	return transfer(buf, BUF) == before;
}

/* Registered, and found again: a cache that never keeps anything is never stale. */
static void *cached(void)
{
	const uint64_t end = now_ns() + PATIENCE_NS;
	void *buf = fresh();

	paint(buf, BUF);
	transfer(buf, BUF);
	while (now_ns() < end) {
		if (found_again(buf))
			return buf;
		usleep(10000);
	}
	FAIL("nothing is cached\n");
}

/* The same, and "found again" is left to the cache, for memory that may be registered each time. */
static void registered(void *buf, size_t length)
{
	paint(buf, length);
	transfer(buf, length);
	transfer(buf, length);
}

static void changed(void *buf, size_t length)
{
	paint(buf, length);
	transfer(buf, length);
}

/* ---- section: one change, then the next use -------------------------------------------------- */

static void scene_munmap(void)
{
	void *buf = cached();

	munmap(buf, BUF);
	changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
}

static void scene_raw_munmap(void)
{
	void *buf = cached();

	syscall(SYS_munmap, buf, BUF);
	changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
}

static void scene_map_fixed(void)
{
	void *buf = cached();

	changed(map_at(buf, MAP_FIXED), BUF);
}

static void scene_mremap_onto(void)
{
	void *buf = cached();
	void *other = fresh();

	paint(other, BUF);
	/* Raw: the hook of UCX 1.13 drops the new address. */
	MUST((void *)syscall(SYS_mremap, other, BUF, BUF, MREMAP_MAYMOVE | MREMAP_FIXED, buf) ==
	     buf);
	changed(buf, BUF);
}

static void scene_mremap_dontunmap(void)
{
	void *buf = cached();

	MUST(mremap(buf, BUF, BUF, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) != MAP_FAILED);
	changed(buf, BUF);
}

static void scene_dontneed(void)
{
	void *buf = cached();

	MUST(!madvise(buf, BUF, MADV_DONTNEED));
	changed(buf, BUF);
}

static void scene_dontneed_locked(void)
{
	void *buf = cached();

	if (madvise(buf, BUF, DONTNEED_LOCKED))
		SKIP("no MADV_DONTNEED_LOCKED\n");
	changed(buf, BUF);
}

static void scene_raw_dontneed(void)
{
	void *buf = cached();

	MUST(!syscall(SYS_madvise, buf, BUF, MADV_DONTNEED));
	changed(buf, BUF);
}

static void scene_process_madvise(void)
{
	void *buf = cached();
	struct iovec iov = { buf, BUF };
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (syscall(SYS_process_madvise, fd, &iov, 1UL, MADV_DONTNEED, 0) != (long)BUF)
		SKIP("no process_madvise(MADV_DONTNEED)\n");
	changed(buf, BUF);
}

struct ring {
	int fd;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	struct io_uring_params p;
};

static void ring_open(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		SKIP("no io_uring: %m\n");
	r->sq = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
		     IORING_OFF_SQ_RING);
	r->sqes = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
		       IORING_OFF_SQES);
	MUST(r->sq != MAP_FAILED && (void *)r->sqes != MAP_FAILED);
	r->cq = r->sq; /* IORING_FEAT_SINGLE_MMAP */
}

static int ring_run(struct ring *r, const struct io_uring_sqe *sqe)
{
	const unsigned int mask = *(unsigned int *)(r->sq + r->p.sq_off.ring_mask);
	_Atomic unsigned int *tail = (void *)(r->sq + r->p.sq_off.tail);
	const unsigned int at = atomic_load(tail) & mask;
	const unsigned int head = *(unsigned int *)(r->cq + r->p.cq_off.head);
	const unsigned int cq_mask = *(unsigned int *)(r->cq + r->p.cq_off.ring_mask);

	r->sqes[at] = *sqe;
	((unsigned int *)(r->sq + r->p.sq_off.array))[at] = at;
	atomic_fetch_add(tail, 1);
	MUST(syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1);
	return ((struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes))[head & cq_mask].res;
}

static void scene_uring_dontneed(void)
{
	struct ring r;
	struct io_uring_sqe sqe = { .opcode = IORING_OP_MADVISE,
				    .len = BUF,
				    .fadvise_advice = MADV_DONTNEED };
	void *buf;

	ring_open(&r);
	buf = cached();
	sqe.addr = (uintptr_t)buf;
	if (ring_run(&r, &sqe))
		SKIP("no IORING_OP_MADVISE\n");
	changed(buf, BUF);
}

/* A memfd, mapped with nothing beside it. */
static void *shared(int *fd)
{
	void *buf = fresh();

	*fd = memfd_create("scene", 0);
	MUST(*fd >= 0 && !ftruncate(*fd, BUF));
	MUST(mmap(buf, BUF, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *fd, 0) == buf);
	return buf;
}

static void scene_punch(void)
{
	int fd;
	void *buf = shared(&fd);

	registered(buf, BUF);
	MUST(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BUF));
	changed(buf, BUF);
}

static void scene_truncate(void)
{
	int fd;
	void *buf = shared(&fd);

	registered(buf, BUF);
	MUST(!ftruncate(fd, 0) && !ftruncate(fd, BUF));
	changed(buf, BUF);
}

static int segment(void)
{
	int id = shmget(IPC_PRIVATE, BUF, IPC_CREAT | 0600);

	if (id < 0)
		SKIP("no System V shared memory: %m\n");
	return id;
}

static void scene_shmdt(void)
{
	int id[2] = { segment(), segment() };
	void *buf = fresh();

	MUST(!munmap(buf, BUF) && shmat(id[0], buf, 0) == buf);
	registered(buf, BUF);
	MUST(!shmdt(buf) && shmat(id[1], buf, 0) == buf);
	shmctl(id[0], IPC_RMID, NULL);
	shmctl(id[1], IPC_RMID, NULL);
	changed(buf, BUF);
}

static void scene_shm_remap(void)
{
	int id = segment();
	void *buf = cached();
	void *at = shmat(id, buf, SHM_REMAP);

	shmctl(id, IPC_RMID, NULL);
	MUST(at == buf);
	changed(buf, BUF);
}

static void scene_sbrk(void)
{
	char *top = sbrk(0);
	char *buf;

	MUST(sbrk(8 * PAGE - (intptr_t)((uintptr_t)top & (PAGE - 1))) == top);
	buf = (char *)(((uintptr_t)top + PAGE) & ~(PAGE - 1));
	registered(buf, BUF);
	top = sbrk(0);
	MUST(sbrk(-8 * (intptr_t)PAGE) == top && sbrk(8 * PAGE) == top - 8 * PAGE);
	changed(buf, BUF);
}

/* The address of a library's uninitialised data. */
static char *library_data(void **handle)
{
	const char *path = getenv("HMM_SCENE_LIBRARY");
	char *data;

	if (!path)
		SKIP("HMM_SCENE_LIBRARY names no library\n");
	*handle = dlopen(path, RTLD_NOW);
	if (!*handle)
		FAIL("%s\n", dlerror());
	data = dlsym(*handle, "scene_data");
	return (char *)(((uintptr_t)data + PAGE - 1) & ~(PAGE - 1));
}

static void scene_dlclose(void)
{
	void *handle;
	char *buf = library_data(&handle);
	char *again;

	registered(buf, BUF);
	dlclose(handle);
	again = library_data(&handle);
	if (again != buf)
		SKIP("the library came to another address\n");
	changed(buf, BUF);
}

/* ---- section: races -------------------------------------------------------------------------- */

struct race {
	void *buf;
	bool raw;
	_Atomic int turn; /* 1: unmap; 3: end */
};

static void *unmapper(void *arg)
{
	struct race *r = arg;

	int turn;

	while ((turn = atomic_load(&r->turn)) != 3) {
		if (turn != 1) {
			sched_yield();
			continue;
		}
		if (r->raw)
			syscall(SYS_munmap, r->buf, BUF);
		else
			munmap(r->buf, BUF);
		atomic_store(&r->turn, 2);
	}
	return NULL;
}

/* Takes the address as soon as it is free, which may be before munmap() has returned there. */
static void remap(struct race *r)
{
	do {
		if (mmap(r->buf, BUF, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == r->buf)
			return;
		/* The processor is for the other thread, or for the library's. */
	} while (errno == EEXIST && !sched_yield());
	MUST(!"mmap");
}

static void race(bool raw)
{
	/* What a broken rule lets happen may be rare: then it goes on until it has happened. */
	const bool broken = getenv("LIBHMM_MONITOR_BREAK");
	struct race r = { .buf = cached(), .raw = raw };
	pthread_t thread;

	MUST(!pthread_create(&thread, NULL, unmapper, &r));
	for (int i = 0; i < RACES || (broken && !stale && i < 50 * RACES); i++) {
		atomic_store(&r.turn, 1);
		remap(&r);
		changed(r.buf, BUF);
		while (atomic_load(&r.turn) != 2)
			sched_yield();
		/* The munmap() of this round may have come after ours took the address. */
		transfer(r.buf, BUF);
	}
	atomic_store(&r.turn, 3);
	pthread_join(thread, NULL);
}

static void scene_race(void)
{
	race(false);
}

static void scene_race_raw(void)
{
	race(true);
}

/* A thread that unmaps other watched memory all the time. */
static _Atomic bool stop;
static _Atomic unsigned long rounds;

static void *noise(void *arg)
{
	(void)arg;
	for (; !atomic_load(&stop); atomic_fetch_add(&rounds, 1)) {
		void *p = fresh();

		paint(p, BUF);
		transfer(p, BUF);
		munmap(p, BUF);
	}
	return NULL;
}

/*
 * Hits must stay hits while something else changes. Were each change to take one away, as many
 * would be lost as there were changes, or none would be found at all. A busy machine is too slow
 * for a lookup at times, and then for all of some 50 ms, which is one loss.
 */
static void scene_noise(void)
{
	void *buf = cached();
	unsigned long kept = 0;
	unsigned long lost = 0;
	unsigned long all = 0;
	pthread_t thread;
	bool was = true;

	MUST(!pthread_create(&thread, NULL, noise, NULL));
	for (; all < RACES || rounds < RACES; all++) {
		const bool is = found_again(buf);

		kept += is;
		lost += was && !is;
		was = is;
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	printf("kept %lu of %lu beside %lu, lost %lu times\n", kept, all, rounds, lost);
	if (lost > RACES / 4 || kept < RACES / 20)
		FAIL("only %lu of %lu were hits, lost %lu times\n", kept, all, lost);
}

/* ---- section: sequences ---------------------------------------------------------------------- */

static void use_of(struct peer_cache *c, void *buf)
{
	struct peer_use use;

	get(c, buf, BUF, &use);
	peer->put(c, &use);
}

static void scene_two_caches(void)
{
	struct peer_cache *other;

	MUST(!peer->open(&other));
	for (int i = 0; i < 200; i++) {
		void *buf = cached();

		syscall(SYS_munmap, buf, BUF);
		paint(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
		use_of(other, buf);
		use_of(cache, buf);
		munmap(buf, BUF);
	}
	peer->close(other);
}

static void scene_inside_larger(void)
{
	char *buf = cached();

	transfer(buf + PAGE, PAGE);
	syscall(SYS_munmap, buf, BUF);
	map_at(buf, MAP_FIXED_NOREPLACE);
	paint(buf, BUF);
	transfer(buf + PAGE, PAGE);
}

/* Is the neighbour of a range, a page of which was replaced, found again? */
static bool middle_page(void)
{
	char *neighbour = cached();
	uint64_t kept = last_id;
	char *buf = cached();

	syscall(SYS_munmap, buf + PAGE, PAGE);
	MUST(mmap(buf + PAGE, PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == buf + PAGE);
	paint(buf + PAGE, PAGE);
	transfer(buf, BUF);
	return transfer(neighbour, BUF) == kept;
}

static void scene_middle_page(void)
{
	for (int i = 0; i < TRIES; i++)
		if (middle_page())
			return;
	FAIL("the neighbour was lost\n");
}

/* Waits for a child that hangs at most so long. */
static void reap(pid_t pid)
{
	int status;

	const uint64_t end = now_ns() + 2 * PATIENCE_NS;

	while (now_ns() < end) {
		pid_t got = waitpid(pid, &status, WNOHANG);

		MUST(got >= 0);
		if (got && (!WIFEXITED(status) || WEXITSTATUS(status)))
			FAIL("a child ended with %x\n", status);
		if (got)
			return;
		usleep(10000);
	}
	kill(pid, SIGKILL);
	FAIL("a child hangs\n");
}

/* A fork leaves pinned pages to the parent: is the registration found again? */
static bool fork_once(void)
{
	void *buf = cached();
	pid_t pid = fork();
	bool found;

	MUST(pid >= 0);
	if (!pid) {
		const unsigned long before = stale;

		transfer(buf, BUF);
		munmap(buf, BUF);
		changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
		transfer(buf, BUF);
		_exit(stale != before);
	}
	found = found_again(buf);
	reap(pid);
	transfer(buf, BUF);
	return found;
}

static void scene_fork(void)
{
	for (int i = 0; i < TRIES; i++)
		if (fork_once())
			return;
	FAIL("each fork has emptied the cache\n");
}

/* Forks while the deliverer is at work. Each child uses the cache. */
static void scene_fork_busy(void)
{
	for (int i = 0; i < 200; i++) {
		char *bufs[16];
		pid_t pid;

		for (int j = 0; j < 16; j++)
			bufs[j] = cached();
		for (int j = 0; j < 16; j++)
			syscall(SYS_munmap, bufs[j], BUF);
		pid = fork();
		MUST(pid >= 0);
		if (!pid) {
			changed(fresh(), BUF);
			_exit(0);
		}
		reap(pid);
	}
}

static void scene_in_use(void)
{
	void *buf = cached();
	struct peer_use use;
	uint64_t old;

	get(cache, buf, BUF, &use);
	old = use.id;
	syscall(SYS_munmap, buf, BUF);
	changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
	if (last_id == old || !pins[old].live)
		FAIL("the registration in use ended before put\n");
	peer->put(cache, &use);
	transfer(buf, BUF);
}

/* Far from where the stack begins: libc keeps those pages for the next thread. */
static void *on_stack(void *arg)
{
	char room[16 * BUF];
	char *buf = (char *)(((uintptr_t)room + PAGE - 1) & ~(PAGE - 1));

	(void)arg;
	changed(buf, BUF);
	return buf;
}

static void scene_stack(void)
{
	void *at[3];

	for (int i = 0; i < 3; i++) {
		pthread_t thread;

		MUST(!pthread_create(&thread, NULL, on_stack, NULL));
		pthread_join(thread, at + i);
	}
	if (at[0] != at[1])
		SKIP("the stack was not used again\n");
}

static void scene_spawn(void)
{
	char *const args[] = { (char *)"/bin/true", NULL };
	void *buf = cached();

	for (int i = 0; i < 20; i++) {
		pid_t pid;

		MUST(!posix_spawn(&pid, args[0], NULL, NULL, args, environ));
		reap(pid);
		pid = vfork();
		if (!pid) {
			execv(args[0], args);
			_exit(1);
		}
		MUST(pid > 0);
		reap(pid);
		transfer(buf, BUF);
	}
}

static void scene_own_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg;
	void *buf = fresh();
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1 /* user mode only */);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		SKIP("no userfaultfd: %m\n");
	paint(buf, BUF);
	reg = (struct uffdio_register){ .range = { (uintptr_t)buf, BUF },
					.mode = UFFDIO_REGISTER_MODE_MISSING };
	MUST(!ioctl(fd, UFFDIO_REGISTER, &reg));
	transfer(buf, BUF);
	MUST(!ioctl(fd, UFFDIO_UNREGISTER, &reg.range));
	syscall(SYS_munmap, buf, BUF);
	changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
}

/* As daemon(3), but the parent waits for the result. */
static void daemonize(void)
{
	pid_t pid = fork();

	MUST(pid >= 0);
	if (pid) {
		reap(pid);
		exit(0);
	}
	setsid();
}

static void scene_daemon_after(void)
{
	void *buf = cached();

	daemonize();
	transfer(buf, BUF);
	syscall(SYS_munmap, buf, BUF);
	changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
	transfer(buf, BUF);
	if (stale)
		_exit(1);
	_exit(0);
}

static void scene_closefrom(void)
{
	void *buf = cached();

	closefrom(100); /* the library's; UCX needs its own */
	transfer(buf, BUF);
	syscall(SYS_munmap, buf, BUF);
	changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
}

static void scene_loop(void)
{
	char path[] = "/tmp/ucx-scene-XXXXXX";
	int fd = mkstemp(path);

	MUST(fd >= 0 && !unlink(path));
	for (int i = 0; i < 500; i++) {
		void *buf = fresh();

		paint(buf, BUF);
		transfer(buf, BUF);
		MUST(pwrite(fd, buf, BUF, 0) == (ssize_t)BUF);
		syscall(SYS_munmap, buf, BUF);
	}
}

/* ---- section: locks, signals, the end -------------------------------------------------------- */

static void free_something(void)
{
	void *p = fresh();

	paint(p, BUF);
	munmap(p, BUF);
	free(malloc(1 << 20));
}

/* The cache's lock is held while memory that is watched goes. */
static void *watched_victim;

static void unmap_victim(void)
{
	if (watched_victim)
		syscall(SYS_munmap, watched_victim, BUF);
	watched_victim = NULL;
	free_something();
}

static void scene_unmap_locked(void)
{
	for (int i = 0; i < 100; i++) {
		void *buf;

		during_pin = NULL;
		buf = cached();
		watched_victim = buf;
		during_pin = unmap_victim;
		changed(fresh(), BUF);
		during_pin = NULL;
		changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
		munmap(buf, BUF);
	}
}

/* What is registered is replaced while the device pins it. */
static void *pinned_now;

static void replace_pinned(void)
{
	void *buf = pinned_now;

	pinned_now = NULL;
	if (!buf)
		return;
	syscall(SYS_mmap, buf, BUF, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		-1, 0);
	paint(buf, BUF);
}

static void scene_replaced_pin(void)
{
	cached();
	during_pin = replace_pinned;
	for (int i = 0; i < 100; i++) {
		void *buf = fresh();
		struct peer_use use;

		paint(buf, BUF);
		pinned_now = buf;
		/* The program races with itself here: this one may have the old pages. */
		MUST(!peer->get(cache, (uintptr_t)buf, BUF, 0, &use));
		peer->put(cache, &use);
		transfer(buf, BUF);
	}
}

static void *_Atomic handler_victim;

static void unmap_in_handler(int sig)
{
	const int saved = errno;
	void *victim = atomic_exchange(&handler_victim, NULL);

	if (victim)
		syscall(SYS_munmap, victim, BUF);
	errno = saved;
}

static void scene_signal(void)
{
	struct sigaction act = { .sa_handler = unmap_in_handler, .sa_flags = SA_RESTART };
	const struct itimerval every = { { 0, 500 }, { 0, 500 } };
	void *buf = cached();

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < RACES; i++) {
		void *victim = fresh();

		changed(victim, BUF);
		atomic_store(&handler_victim, victim);
		transfer(buf, BUF);
	}
	setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
}

/* ---- section: a stalled pump ----------------------------------------------------------------- */

#define USES 20
#define SOON_NS 500000000UL /* two calls of 100 ms, and a busy machine */

static _Atomic bool stalling;
static _Atomic bool used; /* the callback may return */

static int stall(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	const uint64_t end = now_ns() + PATIENCE_NS;

	atomic_store(&stalling, true);
	while (!atomic_load(&used) && now_ns() < end)
		usleep(1000);
	atomic_store(&stalling, false);
	return 0;
}

static void *unmap(void *buf)
{
	munmap(buf, BUF);
	return NULL;
}

/*
 * How many were soon over, where every second use is of memory that is new. The machine may stand
 * still for a while.
 */
static unsigned int soon(void *buf)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < USES; i++) {
		void *other = fresh();
		const uint64_t begin = now_ns();

		transfer(buf, BUF);
		changed(other, BUF);
		n += now_ns() - begin < SOON_NS;
		munmap(other, BUF);
		usleep(100);
	}
	return n;
}

/* Another driver's callback holds the pump: memory is registered each time meanwhile, and soon. */
static void scene_stalled(void)
{
	static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
							      .invalidate = stall };
	struct hmm_mm *(*space)(void);
	struct hmm_interval_notifier *ni;
	void *buf = cached();
	void *slow = cached();
	pthread_t thread;
	unsigned int n;

	*(void **)&space = dlsym(RTLD_DEFAULT, "libhmm_monitor_space");
	MUST(space);
	MUST(!hmm_interval_notifier_insert(space(), (uintptr_t)slow, BUF, &ops, NULL, &ni));
	MUST(!pthread_create(&thread, NULL, unmap, slow));
	while (!atomic_load(&stalling))
		sched_yield();
	n = soon(buf);
	/* None has waited for the callback. */
	MUST(atomic_load(&stalling));
	atomic_store(&used, true);
	pthread_join(thread, NULL);
	hmm_interval_notifier_remove(ni);
	printf("%u of %u were soon over\n", n, USES);
	if (n < USES / 2)
		FAIL("only %u of %u uses were soon over\n", n, USES);
	cached();
}

static void scene_fifo(void)
{
	struct sched_param param = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &param))
		SKIP("no SCHED_FIFO: %m\n");
	for (int i = 0; i < 100; i++) {
		void *buf = cached();

		syscall(SYS_munmap, buf, BUF);
		changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
		munmap(buf, BUF);
	}
}

static void scene_exit_busy(void)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		MUST(!pthread_create(&thread, NULL, noise, NULL));
	usleep(100000);
	exit(stale != 0);
}

/* Few registrations must be left at the end of a scene that let thousands go. */
static void scene_released(void)
{
	void *buf;

	for (int i = 0; i < 1000; i++) {
		buf = fresh();
		changed(buf, BUF);
		syscall(SYS_munmap, buf, BUF);
	}
	buf = cached();
	/* The cache is told of them in the background. */
	for (const uint64_t end = now_ns() + PATIENCE_NS; live_pins > 10 && now_ns() < end;) {
		transfer(buf, BUF);
		usleep(1000);
	}
	if (live_pins > 10)
		FAIL("%lu registrations of unmapped memory are left\n", live_pins);
}

/* libc's code is as it was loaded: its munmap() begins with the number of the system call. */
static void scene_libc(void)
{
	const unsigned char *code = dlsym(RTLD_DEFAULT, "munmap");

	cached();
	printf("munmap begins with %02x\n", code[0]);
	if (code[0] == 0xe9 || code[0] == 0xff || (code[0] == 0x49 && code[1] == 0xbb))
		FAIL("libc is patched\n");
}

static void on_event(ucm_event_type_t type, ucm_event_t *event, void *arg)
{
}

/* A handler for events of all memory is refused. It would be called for ours alone. */
static void scene_other_handler(void)
{
	cached();
	if (ucm_set_event_handler(UCM_EVENT_VM_UNMAPPED, 0, on_event, NULL) == UCS_OK)
		FAIL("a handler was taken that will not be called\n");
	ucm_set_external_event(UCM_EVENT_VM_UNMAPPED);
	MUST(!peer->open(&cache));
	cached();
	if (ucm_set_event_handler(UCM_EVENT_VM_UNMAPPED, 0, on_event, NULL) != UCS_OK)
		FAIL("the program's own events are not known any more\n");
}

/* A UCX that is not served is as it was: its hooks work. The reason was said, see meson.build. */
static void scene_unserved(void)
{
	const unsigned char *code = dlsym(RTLD_DEFAULT, "munmap");
	void *buf = cached();

	if (code[0] == 0xb8)
		FAIL("UCX was kept from hooking\n");
	munmap(buf, BUF);
	changed(map_at(buf, MAP_FIXED_NOREPLACE), BUF);
}

/* ---- section: which ------------------------------------------------------------------------- */

#define SCENE(name)                                                                                \
	{                                                                                          \
#name, scene_##name                                                                \
	}
static const struct {
	const char *name;
	void (*run)(void);
} scenes[] = {
	SCENE(munmap),
	SCENE(raw_munmap),
	SCENE(map_fixed),
	SCENE(mremap_onto),
	SCENE(mremap_dontunmap),
	SCENE(dontneed),
	SCENE(dontneed_locked),
	SCENE(raw_dontneed),
	SCENE(process_madvise),
	SCENE(uring_dontneed),
	SCENE(punch),
	SCENE(truncate),
	SCENE(shmdt),
	SCENE(shm_remap),
	SCENE(sbrk),
	SCENE(dlclose),
	SCENE(race),
	SCENE(race_raw),
	SCENE(noise),
	SCENE(two_caches),
	SCENE(inside_larger),
	SCENE(middle_page),
	SCENE(fork),
	SCENE(fork_busy),
	SCENE(in_use),
	SCENE(stack),
	SCENE(spawn),
	SCENE(own_uffd),
	SCENE(daemon_after),
	SCENE(closefrom),
	SCENE(loop),
	SCENE(unmap_locked),
	SCENE(replaced_pin),
	SCENE(signal),
	SCENE(stalled),
	SCENE(fifo),
	SCENE(exit_busy),
	SCENE(released),
	SCENE(libc),
	SCENE(other_handler),
	SCENE(unserved),
};

static void run(const char *name)
{
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		if (!strcmp(scenes[i].name, name)) {
			scenes[i].run();
			return;
		}
	FAIL("no scene %s\n", name);
}

int main(int argc, char **argv)
{
	char why[256];
	int err;

	if (argc < 2)
		FAIL("usage: ucx_scenes NAME [nobody]\n");
	if (argc > 2 && !getuid())
		MUST(!setgroups(0, NULL) && !setgid(65534) && !setuid(65534));
	peer = getenv("HMM_SCENE_HOOKS") ? &ucx_hooks : &ucx_libhmm;
	prctl(PR_SET_DUMPABLE, 1); /* as nobody */
	if (peer->start(why, sizeof(why)))
		FAIL("%s\n", why);
	err = peer->open(&cache);
	if (err)
		FAIL("the cache cannot be made: %s\n", strerror(-err));
	run(argv[1]);
	printf("hits %lu misses %lu stale %lu\n", hits, misses, stale);
	return stale != 0;
}
