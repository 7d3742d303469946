// SPDX-License-Identifier: GPL-2.0
/*
 * hmm-log-fidelity: the log of the tracing programs beside what the kernel tells its own drivers,
 * event by event, for each operation on each kind of memory, as a table of Markdown.
 *
 * The module uhmm_oracle is such a driver. Each of its events carries the position up to which the
 * log was written when the notifier was called. So for each event there must be a record that
 *
 *	- covers its range,
 *	- lies before that position: it was written before the driver was told,
 *	- has its end, if any, behind that position: the change was open.
 *
 * Of clear_refs the kernel tells once, for the whole space, and then changes page after page. The
 * log has a record before each piece: these together must cover what is changed.
 *
 * Ends with status 1 if there is none. usage: hmm-log-fidelity [--anchored]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/abi/watch.h"
#include "watchd/loader.h"
#include "events.h"
#include "memory.h"
#include "operation.h"
#include "uhmm_oracle.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

#define LOG_BYTES (1 << 20)
#define MAX_RECORDS 16384
#define MAX_EVENTS 4096

/* How well the log has an event, the best last. */
enum verdict { MISSING, IN_PIECES, OTHER_KIND, WIDER, EQUAL, VERDICTS };

static const char *const verdicts[] = {
	"**MISSING**", "in pieces", "another kind", "wider", "equal",
};

struct logged {
	struct watch_record record;
	uint64_t at;     /* its position in the log */
	uint64_t end_at; /* that of its end; UINT64_MAX: not in the log */
};

static struct event_log ring;
static const struct watch_site *sites;
static size_t n_sites;
static struct logged records[MAX_RECORDS];
static size_t n_records;
static struct uhmm_oracle_event events[MAX_EVENTS];
static unsigned int counts[VERDICTS], cells, unheard;

static const char *const kinds[UHMM_EVENT_NR] = {
	[UHMM_EVENT_UNMAP] = "unmap",
	[UHMM_EVENT_CLEAR] = "clear",
	[UHMM_EVENT_PROTECTION_VMA] = "protect",
	[UHMM_EVENT_PROTECTION_PAGE] = "protect page",
	[UHMM_EVENT_SOFT_DIRTY] = "soft dirty",
	[UHMM_EVENT_RELEASE] = "release",
	[UHMM_EVENT_MIGRATE] = "migrate",
	[UHMM_EVENT_EXCLUSIVE] = "exclusive",
	[UHMM_EVENT_OTHER] = "other",
};

static bool same_kind(uint32_t event, uint16_t kind)
{
	switch (event) {
	case UHMM_EVENT_UNMAP:
		return kind == WATCH_UNMAP || kind == WATCH_MOVE;
	case UHMM_EVENT_CLEAR:
		return kind == WATCH_CLEAR;
	case UHMM_EVENT_PROTECTION_VMA:
		return kind == WATCH_PROTECT;
	case UHMM_EVENT_PROTECTION_PAGE:
		return kind == WATCH_PROTECT_PAGE || kind == WATCH_FORK;
	case UHMM_EVENT_SOFT_DIRTY:
		return kind == WATCH_SOFT_DIRTY;
	case UHMM_EVENT_MIGRATE:
		return kind == WATCH_MIGRATE;
	case UHMM_EVENT_EXCLUSIVE:
		return kind == WATCH_EXCLUSIVE;
	}
	return false;
}

/* ---- what was written ------------------------------------------------------------------------ */

static void close_record(const struct watch_record *end, uint64_t at)
{
	for (size_t i = n_records; i--;) {
		struct logged *l = &records[i];

		if (l->record.task != end->task || l->end_at != UINT64_MAX)
			continue;
		/* The end of one is the end of all that the thread began later. */
		l->end_at = at;
		if (l->record.site == end->site && l->record.start == end->start)
			return;
	}
}

/* Reads the log. A loss makes the comparison worthless. */
static bool read_log(void)
{
	struct watch_record record;
	uint64_t at;

	for (at = *ring.consumer; log_next(&ring, &record); at = *ring.consumer) {
		if (record.flags & WATCH_END)
			close_record(&record, at);
		else if (n_records < MAX_RECORDS)
			records[n_records++] = (struct logged){ record, at, UINT64_MAX };
		else
			return false;
	}
	return !ring.space->dropped;
}

static enum verdict judge(const struct uhmm_oracle_event *e, const struct logged *l,
			  const struct uhmm_oracle_mirror *m)
{
	const uint64_t from = m->addr, to = m->addr + m->npages * 4096;
	const uint64_t start = l->record.start > from ? l->record.start : from;
	const uint64_t end = l->record.end < to ? l->record.end : to;

	if (l->at >= e->stamp || l->end_at < e->stamp || start > e->start || end < e->end)
		return MISSING;
	if (!same_kind(e->event, l->record.kind))
		return OTHER_KIND;
	return start == e->start && end == e->end ? EQUAL : WIDER;
}

/* Do records of its kind that lie behind the event cover its range together? */
static bool in_pieces(const struct uhmm_oracle_event *e, bool hugetlb)
{
	uint64_t done = e->start;

	for (size_t i = 0; i < n_records; i++) {
		const struct watch_record *r = &records[i].record;

		if (records[i].at >= e->stamp && same_kind(e->event, r->kind) && r->start <= done &&
		    r->end > done)
			done = r->end;
	}
	/* Huge pages of hugetlbfs are left as they are. */
	return done >= e->end || hugetlb;
}

static enum verdict find(const struct uhmm_oracle_event *e, const struct uhmm_oracle_mirror *m,
			 bool hugetlb, const struct logged **which)
{
	enum verdict best = MISSING;

	*which = NULL;
	for (size_t i = 0; i < n_records; i++) {
		enum verdict v = judge(e, &records[i], m);

		if (v <= best)
			continue;
		best = v;
		*which = &records[i];
	}
	if (best == MISSING && e->event == UHMM_EVENT_SOFT_DIRTY && in_pieces(e, hugetlb))
		return IN_PIECES;
	return best;
}

/* ---- the table ------------------------------------------------------------------------------- */

static void put_range(uint64_t start, uint64_t end, uint64_t base)
{
	if (end - start > 1ULL << 40 || start < base - (1ULL << 30))
		printf(" everything");
	else
		printf(" %" PRId64 "..%" PRId64, ((int64_t)start - (int64_t)base) / 4096,
		       ((int64_t)end - (int64_t)base) / 4096);
}

static bool seen_before(const struct uhmm_oracle_event *list, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (list[k].event == list[i].event && list[k].start == list[i].start &&
		    list[k].end == list[i].end)
			return true;
	return false;
}

/* A row an event; of equal ones that fare equally the first. */
static void rows(const char *operation, enum memory_kind kind, const struct uhmm_oracle_mirror *m,
		 unsigned int n)
{
	const char *memory = memory_name(kind);
	unsigned int told = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct logged *which;
		const enum verdict v = find(&events[i], m, kind == MEMORY_HUGETLB, &which);

		counts[v]++;
		if (v != MISSING && seen_before(events, i))
			continue;
		/* An operation that changes page by page would fill pages of the table. */
		if (v != MISSING && told++ == 4)
			printf("| %s | %s | ... | | |\n", operation, memory);
		if (v != MISSING && told > 4)
			continue;
		printf("| %s | %s | %s", operation, memory, kinds[events[i].event]);
		put_range(events[i].start, events[i].end, m->addr);
		printf(" |");
		if (which) {
			printf(" %s", event_kind_name(which->record.kind));
			put_range(which->record.start, which->record.end, m->addr);
			if (which->record.site < n_sites)
				printf(", %s", sites[which->record.site].name);
		}
		printf(" | %s |\n", verdicts[v]);
	}
	if (!n) {
		unheard++;
		printf("| %s | %s | nothing | | |\n", operation, memory);
	}
	cells++;
}

/* ---- operations ------------------------------------------------------------------------------ */

static int err(long ret)
{
	return ret ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int soft_dirty(struct memory *m, size_t *offset)
{
	return write_file("/proc/self/clear_refs", "4\n");
}

static int part_dontneed(struct memory *m, size_t *offset)
{
	return err(madvise(m->p + m->page, m->page, MADV_DONTNEED));
}

static int part_mprotect(struct memory *m, size_t *offset)
{
	return err(mprotect(m->p + 4096, 4096, PROT_READ));
}

static int part_munmap(struct memory *m, size_t *offset)
{
	return err(munmap(m->p + m->page, m->page));
}

static int no_access(struct memory *m, size_t *offset)
{
	return err(mprotect(m->p, m->len, PROT_NONE));
}

/* Moves the page as compaction does. */
static int soft_offline(struct memory *m, size_t *offset)
{
	return err(madvise(m->p, m->page, MADV_SOFT_OFFLINE));
}

static int collapse(struct memory *m, size_t *offset)
{
	if (m->kind != MEMORY_THP || madvise(m->p, m->len, MADV_DONTNEED) ||
	    madvise(m->p, m->len, MADV_NOHUGEPAGE))
		return -ENOSYS;
	memset(m->p, OLD_BYTE, m->len);
	return err(madvise(m->p, m->len, MADV_HUGEPAGE) || madvise(m->p, m->len, MADV_COLLAPSE));
}

/* Equal pages become one, which the kernel's thread does when it comes to it. */
static int merge_equal(struct memory *m, size_t *offset)
{
	int ret = err(madvise(m->p, m->len, MADV_MERGEABLE));

	if (ret || write_file("/sys/kernel/mm/ksm/pages_to_scan", "10000") ||
	    write_file("/sys/kernel/mm/ksm/sleep_millisecs", "1") ||
	    write_file("/sys/kernel/mm/ksm/run", "1"))
		return ret ?: -ENOSYS;
	sleep(1);
	write_file("/sys/kernel/mm/ksm/run", "0");
	return 0;
}

static int other_truncates(struct memory *m, size_t *offset)
{
	int status = 0;
	pid_t pid;

	if (m->fd < 0)
		return -EBADF;
	pid = fork();
	if (!pid)
		_exit(ftruncate(m->fd, 0) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid && !status ? 0 : -ECHILD;
}

/* The kernel is asked to move its pages, as a driver with memory of its own asks. */
static int migrate(struct memory *m, size_t *offset)
{
	struct uhmm_oracle_migrate arg = { .addr = (uintptr_t)m->p, .npages = m->len / 4096 };
	int fd = open(UHMM_ORACLE_PATH, O_RDWR | O_CLOEXEC), ret;

	if (arg.npages > 1024)
		arg.npages = 1024;
	ret = fd < 0 || ioctl(fd, UHMM_ORACLE_MIGRATE, &arg) ? -errno : arg.result;
	close(fd);
	return ret;
}

static const struct {
	const char *name;
	int (*run)(struct memory *m, size_t *offset);
} more[] = {
	{ "clear_refs", soft_dirty },
	{ "madvise(DONTNEED) of a part", part_dontneed },
	{ "mprotect of a page", part_mprotect },
	{ "mprotect(NONE)", no_access },
	{ "munmap of a part", part_munmap },
	{ "madvise(SOFT_OFFLINE)", soft_offline },
	{ "collapse of small pages", collapse },
	{ "KSM", merge_equal },
	{ "truncate elsewhere", other_truncates },
	{ "migrate_vma_setup", migrate },
};

#define N_MORE (sizeof(more) / sizeof(more[0]))

/* ---- cells ----------------------------------------------------------------------------------- */

/* 0; -errno: there is no such cell on this host. */
static int run_cell(int op, enum memory_kind kind, struct uhmm_oracle_mirror *mirror,
		    unsigned int *n)
{
	struct uhmm_oracle_log log = { .events = (uintptr_t)events, .max = MAX_EVENTS };
	const uint64_t stamp = (uintptr_t)ring.producer;
	const struct operation *o = op < HMM_OP_NR ? &operations[op] : NULL;
	struct memory m;
	size_t offset = 0;
	int fd, ret;

	if (memory_map(&m, kind))
		return -ENOSYS;
	ret = o && o->prepare ? o->prepare(&m) : 0;
	*mirror = (struct uhmm_oracle_mirror){ .addr = (uintptr_t)m.p, .npages = m.len / 4096 };
	fd = open(UHMM_ORACLE_PATH, O_RDWR | O_CLOEXEC);
	if (!ret && (fd < 0 || ioctl(fd, UHMM_ORACLE_MIRROR, mirror) ||
		     ioctl(fd, UHMM_ORACLE_STAMP, &stamp))) {
		perror("hmm-log-fidelity: the oracle");
		exit(2);
	}
	if (!ret && o && o->prepare)
		(void)*(volatile char *)m.p;
	if (!read_log()) {
		fprintf(stderr, "hmm-log-fidelity: the log was too small\n");
		exit(2);
	}
	n_records = 0;
	if (!ret)
		ret = o ? o->run(&m, &offset) : more[op - HMM_OP_NR].run(&m, &offset);
	if (!ret && ioctl(fd, UHMM_ORACLE_LOG, &log))
		ret = -errno;
	if (!read_log() || log.lost) {
		fprintf(stderr, "hmm-log-fidelity: more than there is room for\n");
		exit(2);
	}
	*n = log.count;
	close(fd);
	memory_unmap(&m);
	return ret;
}

static bool exists(int op, enum memory_kind kind)
{
	if (op >= HMM_OP_NR)
		return kind != MEMORY_BRK;
	if (!operations[op].run)
		return false;
	if (operations[op].only != MEMORY_NR)
		return kind == operations[op].only;
	return kind != MEMORY_BRK;
}

static void cell(int op, enum memory_kind kind)
{
	const char *name = op < HMM_OP_NR ? hmm_operation_name((enum hmm_operation)op)
					  : more[op - HMM_OP_NR].name;
	struct uhmm_oracle_mirror mirror;
	unsigned int n;

	if (!exists(op, kind) || run_cell(op, kind, &mirror, &n))
		return;
	rows(name, kind, &mirror, n);
	fflush(stdout);
}

static void preface(bool anchored)
{
	struct utsname u;

	uname(&u);
	printf("## The log beside the kernel's own events\n\n"
	       "What the kernel tells its drivers through MMU notifiers, as the test module "
	       "`vm/oracle` hears it,\nbeside the record that the tracing programs (`watchd/bpf`) "
	       "had in the log by then. Linux\n%s, %s. Ranges are in pages from the start of\nthe "
	       "mapping.\n\n"
	       "- **equal**: kind and range agree.\n- **wider**: the record's range holds the "
	       "event's.\n- **another kind**: the range agrees.\n"
	       "- **in pieces**: the kernel tells once of the whole space. The log has each piece "
	       "before it changes.\n- **MISSING**: no record was written before the driver was "
	       "told, or the change was over by then; the\n  run fails.\n\n"
	       "Of events that are alike the first is shown, and of many in a cell four.\n\n"
	       "| operation | memory | the kernel's event | the log's record | |\n"
	       "|---|---|---|---|---|\n",
	       u.release, anchored ? "with an anchor" : "without an anchor");
}

static int open_log(unsigned int flags)
{
	struct watch_loader *loader;
	struct watch_fds fds;
	uint32_t space;
	int ret = watch_load(flags, &loader);

	if (ret)
		return ret;
	n_sites = watch_sites(loader, &sites);
	/* The space gets its notifier with the first cell. */
	ret = watch_open(loader, getpid(), LOG_BYTES, WATCH_OPEN_ANYWAY, &fds, &space);
	return ret ?: map_log(&ring, (const int[]){ fds.log, fds.space, fds.global }, LOG_BYTES);
}

int main(int argc, char **argv)
{
	const bool anchored = argc > 1 && !strcmp(argv[1], "--anchored");
	int ret = access(UHMM_ORACLE_PATH, R_OK) ? -ENOENT : 0;

	if (ret)
		fprintf(stderr, "hmm-log-fidelity: the module uhmm_oracle is not loaded\n");
	else
		ret = open_log(anchored ? WATCH_LOAD_ANCHORED : 0);
	if (ret)
		fprintf(stderr, "hmm-log-fidelity: no log: %s\n", strerror(-ret));
	if (ret)
		return 77;
	preface(anchored);
	for (int op = 0; op < HMM_OP_NR + (int)N_MORE; op++)
		for (int kind = 0; kind < MEMORY_NR; kind++)
			cell(op, (enum memory_kind)kind);
	printf("\n%u cells: %u events equal, %u in a wider record, %u in one of another kind, %u "
	       "in "
	       "pieces, %u missing;\nof %u cells the kernel told nothing.\n",
	       cells, counts[EQUAL], counts[WIDER], counts[OTHER_KIND], counts[IN_PIECES],
	       counts[MISSING], unheard);
	return counts[MISSING] ? 1 : 0;
}
