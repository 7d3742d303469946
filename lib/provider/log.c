// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Reading a log. The kernel's BPF ring buffer: two pages with the positions of its reader and its
 * writer, then the data. A record has a head of eight bytes, of which the first four are its length
 * and two flags: it is being written, or it is to be left out.
 *
 * The log is the kernel's, and still nothing in it is believed that could lead outside of it.
 */
#include "provider/log.h"
#include "provider/watchd.h"
#include "watchd/loader.h"
#include "watchd/protocol.h"
#include "base/deadline.h"
#include "base/futex.h"
#include "base/number.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUSY (1U << 31)
#define LEFT_OUT (1U << 30)
#define HEAD 8

/* ---- mapping --------------------------------------------------------------------------------- */

const struct log_memory *log_of_test;
bool log_untried_of_test;

int log_new(const struct log_memory *m, struct log **out)
{
	struct log *log;

	if (m->bytes & (m->bytes - 1) || m->bytes < WATCH_PAGE)
		return -EINVAL;
	log = pool_map(sizeof(*log));
	if (!log)
		return -ENOMEM;
	pthread_mutex_init(&log->lock, NULL);
	log->m = *m;
	log->fd = log->links = log->conn = OWNFD_NONE;
	log->read = atomic_load(m->producer);
	log->anchored = log_load(&m->space->anchored);
	/* What is under way now began before anybody watched. */
	log->unsettled = clock_ns();
	atomic_store(&log->trouble, log_load(&m->space->trouble));
	/* The first drain looks whether the log may be trusted. */
	atomic_store(&log->pos, LOG_NOT_QUIET);
	atomic_store(&log->word, log_load(&m->global->word) & ~WATCH_OUT);
	*out = log;
	return 0;
}

/* Maps a part of the file. A forked child has no log. */
static void *map(int fd, size_t bytes, off_t offset, int prot)
{
	void *p = mmap(NULL, bytes, prot, MAP_SHARED, fd, offset);

	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, bytes, MADV_DONTFORK)) {
		munmap(p, bytes);
		return NULL;
	}
	return p;
}

static void unmap(const void *p, size_t bytes)
{
	if (p)
		munmap((void *)(uintptr_t)p, bytes);
}

static void unmap_all(const struct log_memory *m, size_t page)
{
	unmap(m->consumer, page);
	unmap(m->producer, page + m->bytes);
	unmap(m->space, page);
	unmap(m->global, page);
}

static int map_all(const struct watch_fds *fds, size_t page, struct log_memory *m)
{
	m->consumer = map(fds->log, page, 0, PROT_READ | PROT_WRITE);
	m->producer = map(fds->log, page + m->bytes, (off_t)page, PROT_READ);
	m->space = map(fds->space, page, 0, PROT_READ);
	m->global = map(fds->global, page, 0, PROT_READ);
	if (!m->consumer || !m->producer || !m->space || !m->global)
		return -EINVAL;
	m->data = (const char *)m->producer + page;
	return 0;
}

/* A file in memory, as tests have, is readable all the time: it cannot wake the pump. */
static int take_log(struct log *log, int fd)
{
	if (fcntl(fd, F_GET_SEALS) < 0)
		return ownfd_take(&log->fd, fd);
	close(fd);
	return 0;
}

/* All are taken, or else closed. */
static int take_all(struct log *log, const struct watch_fds *fds, int conn)
{
	const int no_log = take_log(log, fds->log);
	const int no_links = ownfd_take(&log->links, fds->links);
	const int no_conn = conn >= 0 ? ownfd_take(&log->conn, conn) : 0;

	return no_log ? no_log : no_links ? no_links : no_conn;
}

int log_map(const struct watch_fds *fds, int conn, size_t bytes, struct log **out)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct log_memory m = { .bytes = bytes };
	struct log *log = NULL;
	int err = map_all(fds, page, &m);

	if (!err)
		err = log_new(&m, &log);
	if (!err) {
		log->mapped = true;
		log->from_watchd = conn >= 0;
		atomic_store(&log->alone, true);
		err = take_all(log, fds, conn);
	} else {
		unmap_all(&m, page);
		close(fds->log);
		close(fds->links);
		if (conn >= 0)
			close(conn);
	}
	/* The mappings keep these. */
	close(fds->space);
	close(fds->global);
	if (err && log)
		log_free(log);
	else if (!err)
		*out = log;
	return err;
}

int log_ask(size_t bytes, bool functions, struct log **log)
{
	const struct watch_site *sites = NULL;
	struct watch_fds fds;
	size_t n = 0;
	int conn = -1;
	int err = watchd_connect(watchd_path(), functions ? WATCHD_FUNCTIONS : 0, &bytes, &fds,
				 &conn, &sites, &n);

	if (!err)
		err = log_map(&fds, conn, bytes, log);
	if (err)
		return err;
	(*log)->sites = sites;
	(*log)->n_sites = n;
	return 0;
}

/* How often log_is_held() tries for the lock. */
#define TRIES 100

bool log_is_held(struct log *log, bool *again)
{
	bool held = true;

	for (int i = 0; i < TRIES; i++) {
		if (!pthread_mutex_trylock(&log->lock)) {
			held = ownfd_is_ours(&log->links);
			pthread_mutex_unlock(&log->lock);
			*again = false;
			return held;
		}
		cpu_relax();
	}
	*again = true;
	return held;
}

void log_close(struct log *log)
{
	log_free(atomic_exchange(&log->next, NULL));
	/*
	 * A map of BPF has no inode of its own. While the socket is still ours the program has not
	 * closed what it does not know, and this is the map.
	 */
	if (ownfd_is_ours(&log->links))
		ownfd_close(&log->fd);
	ownfd_close(&log->links);
	ownfd_close(&log->conn);
}

void log_free(struct log *log)
{
	if (!log)
		return;
	log_close(log);
	if (log->mapped)
		unmap_all(&log->m, (size_t)sysconf(_SC_PAGESIZE));
	pthread_mutex_destroy(&log->lock);
	pool_unmap(log, sizeof(*log));
}

/* ---- another log in its place ---------------------------------------------------------------- */

/*
 * Moves a mapping to where another one is, which is gone then. The kernel may have no memory for
 * that, and then has unmapped the other one: nobody who reads there must crash.
 */
static int put(const void *from, const void *to, size_t bytes)
{
	void *at = (void *)(uintptr_t)to;
	int err;

	if (mremap((void *)(uintptr_t)from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at)
		return 0;
	err = -errno;
	mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return err;
}

static void swap_fds(struct ownfd *a, struct ownfd *b)
{
	const struct ownfd was = *a;

	*a = *b;
	*b = was;
}

/*
 * A thread that reads meanwhile may see one page of the old log and the next of the new one. It has
 * read that after everything was invalidated, so what it asks about is refused, however the
 * numbers compare.
 *
 * Where the old log was read to its end, what has begun before the new one was opened is open or
 * over, and what has begun later is in the new one, which is read from its beginning. Then nothing
 * need be waited for. Waiting would not be enough: since Linux 6.17 a discard holds the lock of its
 * mapping only.
 */
void log_renew(struct log *log, struct log *next, bool whole)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct log_memory *m = &log->m;
	const struct log_memory *to = &next->m;
	/*
	 * Else most of what had begun by now is over when the mappings have moved, as that takes
	 * the lock of the address space for writing. What begins later is read.
	 */
	const uint64_t read = whole ? next->read : atomic_load(to->producer);
	const uint64_t trouble =
		whole ? atomic_load(&next->trouble) : log_load(&to->space->trouble);
	const uint64_t word =
		whole ? atomic_load(&next->word) : log_load(&to->global->word) & ~WATCH_OUT;
	int err = put(to->producer, m->producer, page + to->bytes);

	if (!err)
		err = put(to->consumer, m->consumer, page);
	if (!err)
		err = put(to->space, m->space, page);
	if (!err)
		err = put(to->global, m->global, page);
	if (err) {
		atomic_store(&log->over, err);
		return;
	}
	next->mapped = false;
	if (to->bytes < m->bytes)
		unmap(m->data + to->bytes, m->bytes - to->bytes);
	m->bytes = to->bytes;
	log->read = read;
	log->doubtful = 0;
	if (!whole)
		log->n_open = 0;
	log->sites = next->sites;
	log->n_sites = next->n_sites;
	atomic_store(&log->trouble, trouble);
	atomic_store(&log->word, word);
	swap_fds(&log->fd, &next->fd);
	swap_fds(&log->links, &next->links);
	swap_fds(&log->conn, &next->conn);
	/* The keeper has the descriptor of the old programs. */
	atomic_store(&log->alone, true);
	atomic_store(&log->orphan, false);
	atomic_store(&log->over, 0);
	count(&log->renewals, 1);
	count(&log->resets, 1);
}

bool log_may_return(const struct log *log)
{
	return log->from_watchd && atomic_load(&log->over) == -ESRCH;
}

/* ---- records --------------------------------------------------------------------------------- */

static const void *at(const struct log *log, uint64_t pos)
{
	return log->m.data + (pos & (log->m.bytes - 1));
}

/* A record may go on at the other end of the data, but no word of eight bytes does. */
static void copy(const struct log *log, uint64_t pos, struct watch_record *r)
{
	uint64_t word[sizeof(*r) / 8] = { 0 };

	for (size_t i = 0; i < sizeof(word) / sizeof(word[0]); i++)
		word[i] = log_load(at(log, pos + 8 * i));
	memcpy(r, word, sizeof(word));
}

/* What is not understood is a change of everything. */
static void make_sense(struct watch_record *r)
{
	if (r->start >= r->end) {
		r->start = 0;
		r->end = UINT64_MAX;
	}
	if (r->kind >= WATCH_KIND_NR)
		r->kind = WATCH_CLEAR;
}

int log_take(struct log *log, struct watch_record *r)
{
	const uint64_t end = atomic_load_explicit(log->m.producer, memory_order_acquire);

	while (log->read != end) {
		const uint64_t pos = log->read;
		uint64_t bytes;
		uint32_t head;

		if (end - pos > log->m.bytes || (end | pos) & 7)
			return -EPROTO;
		head = __atomic_load_n((const uint32_t *)at(log, pos), __ATOMIC_ACQUIRE);
		if (head & BUSY)
			return -EAGAIN;
		bytes = ((head & ~LEFT_OUT) + HEAD + 7ULL) & ~7ULL;
		if (bytes > end - pos)
			return -EPROTO;
		log->read += bytes;
		if (head & LEFT_OUT)
			continue;
		if (head < sizeof(*r))
			return -EPROTO;
		copy(log, pos + HEAD, r);
		make_sense(r);
		count(&log->records, 1);
		return 1;
	}
	return 0;
}

void log_handled(struct log *log, bool trust)
{
	atomic_store_explicit(&log->pos, trust ? log->read : LOG_NOT_QUIET, memory_order_release);
}

bool log_give_back(struct log *log, bool all)
{
	const uint64_t kept =
		log->read - atomic_load_explicit(log->m.consumer, memory_order_relaxed);

	if (!all && log->fd.fd >= 0 && kept < log->m.bytes / 2)
		return false;
	atomic_store_explicit(log->m.consumer, log->read, memory_order_release);
	return true;
}

/*
 * While a thread is out the word is not taken over, so the log is not quiet whatever else is read
 * there.
 */
bool log_lost(struct log *log)
{
	const uint64_t trouble = log_load(&log->m.space->trouble);
	const uint64_t word = log_load(&log->m.global->word);
	bool lost = false;

	if (trouble != atomic_load(&log->trouble) && !hmm_mutation(HMM_MUTATION_LOST_RECORD)) {
		/* Not quiet, before the new value is taken over. */
		atomic_store(&log->pos, LOG_NOT_QUIET);
		atomic_store(&log->trouble, trouble);
		lost = true;
	}
	log->distrusts = word & WATCH_OUT;
	if (word / WATCH_ON != atomic_load(&log->word) / WATCH_ON &&
	    !hmm_mutation(HMM_MUTATION_TRUST_WORD)) {
		atomic_store(&log->pos, LOG_NOT_QUIET);
		atomic_store(&log->word, word & ~WATCH_OUT);
		lost = true;
	}
	if (lost) {
		count(&log->resets, 1);
		log->doubtful = atomic_load_explicit(log->m.producer, memory_order_acquire);
		for (unsigned int i = 0; i < log->n_open; i++)
			log->open[i].doubtful = true;
		/* All that is doubtful has begun: the settler waits for it. */
		log_unsettle(log);
	}
	if (log_load(&log->m.space->ended) || log_load(&log->m.global->detached))
		atomic_store(&log->over, -ESRCH);
	return lost;
}

bool log_trusted(struct log *log)
{
	if (atomic_load(&log->over))
		return false;
	if (log->unsettled && clock_ns() - log->unsettled < LOG_SETTLE_NS)
		return false;
	log->unsettled = 0;
	return !log->distrusts || hmm_mutation(HMM_MUTATION_TRUST_WORD);
}

void log_unsettle(struct log *log)
{
	if (!log->unsettled)
		log->unsettled = clock_ns();
	log_call_settler(log);
}

void log_call_settler(struct log *log)
{
	atomic_fetch_add(&log->doubts, 1);
	futex_wake(&log->doubts);
}

/*
 * mprotect() to what is allowed there already takes the lock of the address space for writing, and
 * changes nothing. False: a filter refuses it.
 */
static bool wait_for_changes(struct log *log)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return !syscall(SYS_mprotect, (uintptr_t)log & ~(page - 1), page, PROT_READ | PROT_WRITE);
}

/* Changes that are over, whether their ends were lost or not. */
static void close_doubtful(struct log *log)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < log->n_open; i++) {
		if (!log->open[i].doubtful)
			log->open[n++] = log->open[i];
	}
	log->n_open = n;
}

uint32_t log_settle(struct log *log)
{
	const uint32_t doubts = atomic_load(&log->doubts);
	const bool over = wait_for_changes(log);

	pthread_mutex_lock(&log->lock);
	if (over && atomic_load(&log->doubts) == doubts) {
		log->unsettled = 0;
		close_doubtful(log);
	}
	pthread_mutex_unlock(&log->lock);
	return doubts;
}

/* ---- changes that are under way -------------------------------------------------------------- */

/* Removes the change and all that its thread began later. */
static void close_from(struct log *log, unsigned int from, uint32_t task)
{
	unsigned int n = from;

	for (unsigned int i = from; i < log->n_open; i++) {
		if (log->open[i].task != task)
			log->open[n++] = log->open[i];
	}
	log->n_open = n;
}

/* Which open change a record is of; n_open: of none. */
static unsigned int find_open(const struct log *log, const struct watch_record *r, bool any_range)
{
	for (unsigned int i = log->n_open; i--;) {
		const struct log_open *o = &log->open[i];

		if (o->task == r->task && o->site == r->site &&
		    (any_range || (o->start == r->start && o->end == r->end)))
			return i;
	}
	return log->n_open;
}

/*
 * A thread is in a function of the kernel's once at a time. So whatever the record tells, what the
 * thread began there before is over. The notifiers themselves are called by all of these functions:
 * there the range tells which change it is.
 */
static void close_last(struct log *log, const struct watch_record *r)
{
	const unsigned int i = find_open(log, r, !log->anchored);

	if (i < log->n_open)
		close_from(log, i, r->task);
}

static void open_change(struct log *log, const struct watch_record *r)
{
	/* No room: the end of the oldest will be a change. */
	if (log->n_open == LOG_OPEN_MAX)
		memmove(log->open, log->open + 1, --log->n_open * sizeof(log->open[0]));
	log->open[log->n_open++] = (struct log_open){ .start = r->start,
						      .end = r->end,
						      .task = r->task,
						      .site = r->site,
						      .doubtful = log->read <= log->doubtful };
}

/*
 * The end of a change that is doubtful may be that of a later change, of the same thread and the
 * same range, whose beginning was lost. So it is a change.
 */
bool log_changes(struct log *log, const struct watch_record *r)
{
	unsigned int i;
	bool begun;

	if (hmm_mutation(HMM_MUTATION_NO_END))
		return true;
	if (!(r->flags & WATCH_END)) {
		if (!log->anchored)
			close_last(log, r);
		open_change(log, r);
		return true;
	}
	i = find_open(log, r, false);
	begun = i < log->n_open && !log->open[i].doubtful;
	close_last(log, r);
	return begun;
}

/* Has it been waited for so long that its end must be lost? Then it is not open any more. */
static bool is_given_up(struct log *log, unsigned int i)
{
	const uint64_t now = clock_ns();

	if (!log->open[i].met)
		log->open[i].met = now;
	if (now - log->open[i].met < LOG_OPEN_NS)
		return false;
	count(&log->given_up, 1);
	close_from(log, i, log->open[i].task);
	return true;
}

bool log_is_open(struct log *log, uint64_t start, uint64_t end)
{
	bool open = false;

	/* All of them: the time of each begins when it is met. */
	for (unsigned int i = log->n_open; i--;) {
		if (log->open[i].start < end && log->open[i].end > start && !is_given_up(log, i))
			open = true;
	}
	return open;
}

/* ---- what the pump has to tell --------------------------------------------------------------- */

void log_queue(struct log *log, const struct hmm_invalidation *inv)
{
	struct hmm_invalidation *last;

	if (log->queue_n < LOG_QUEUE_MAX) {
		log->queue[(log->queue_first + log->queue_n++) % LOG_QUEUE_MAX] = *inv;
		atomic_fetch_add(&log->queued, 1);
		return;
	}
	last = &log->queue[(log->queue_first + log->queue_n - 1) % LOG_QUEUE_MAX];
	last->start = min64(last->start, inv->start);
	last->end = max64(last->end, inv->end);
	last->seq = inv->seq;
	if (last->event != inv->event)
		last->event = HMM_EVENT_CLEAR;
}

unsigned int log_unqueue(struct log *log, struct hmm_invalidation *inv, unsigned int max,
			 uint64_t *queued)
{
	unsigned int n = 0;

	while (n < max && log->queue_n) {
		inv[n++] = log->queue[log->queue_first];
		log->queue_first = (log->queue_first + 1) % LOG_QUEUE_MAX;
		log->queue_n--;
	}
	*queued = atomic_load(&log->queued) - log->queue_n;
	return n;
}
