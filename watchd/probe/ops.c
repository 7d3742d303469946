// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * watch-ops [--records] [NAME...]: does what changes an address space, on memory of each kind, and
 * says whether the log had each change, its beginning and its end. With /dev/kvm the space has an
 * anchor, and a second log, of the kernel's own notifiers, says what should have been told:
 * each of its ranges must be covered.
 *
 * Runs in guests, as root. Exits 1 if something was missing, 77 if nothing can be traced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/abi/madvise.h"
#include "kernel/abi/pagemap.h"
#include "watchd/probe/log.h"
#include "watchd/bpf/sites.h"

#define HUGE (2UL << 20)
#define AREA (2 * HUGE)
#define PAGE 4096UL
#define MOST_RECORDS 20000

enum kind { ANON, THP, SHMEM, HUGETLB, FILE_SHARED, FILE_PRIVATE, SYSV, KINDS };

static const char *const kind_names[KINDS] = {
	"anon", "thp", "shmem", "hugetlb", "file", "file-private", "sysv",
};

#define ALL ((1U << KINDS) - 1)
#define ONLY(kind) (1U << (kind))
#define FILES (ONLY(SHMEM) | ONLY(HUGETLB) | ONLY(FILE_SHARED))

struct area {
	enum kind kind;
	char *p;
	int fd; /* -1: there is no file */
	int shm;
	char path[64];
	/* what the operation changes, if it is not all */
	char *start;
	size_t bytes;
};

static const char *dax = "/mnt/dax";
static bool print_records, failed;
static struct probe_log own, kernels;
static bool anchored;
static const struct watch_site *sites;

/* A process that does what it is told to a file of ours; forked before anything is watched. */
static int other_process;

struct order {
	char what; /* 't' truncate, 'p' punch */
};

static int send_order(int fd, char what)
{
	struct iovec data = { &what, 1 };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {
		.head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS },
	};
	struct msghdr m = { .msg_iov = &data,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	int err;

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	if (sendmsg(other_process, &m, 0) != 1 ||
	    read(other_process, &err, sizeof(err)) != sizeof(err))
		return -EIO;
	return err;
}

static int truncate_file(int fd)
{
	return ftruncate(fd, HUGE) ? -errno : 0;
}

static int punch_file(int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HUGE, HUGE) ? -errno : 0;
}

static void serve(int socket)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char what;
	struct iovec data = { &what, 1 };
	int fd, err;

	for (;;) {
		struct msghdr m = { .msg_iov = &data,
				    .msg_iovlen = 1,
				    .msg_control = control.bytes,
				    .msg_controllen = sizeof(control.bytes) };

		if (recvmsg(socket, &m, 0) != 1)
			_exit(0);
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
		err = what == 't' ? truncate_file(fd) : punch_file(fd);
		close(fd);
		if (write(socket, &err, sizeof(err)) != sizeof(err))
			_exit(0);
	}
}

static void start_other(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		exit(1);
	if (!fork()) {
		close(pair[0]);
		serve(pair[1]);
	}
	close(pair[1]);
	other_process = pair[0];
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

static long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long n = -1;

	if (f) {
		if (fscanf(f, "%ld", &n) != 1)
			n = -1;
		fclose(f);
	}
	return n;
}

/* A mapping of AREA bytes that is aligned for huge pages. */
static char *map_area(int fd, int flags)
{
	char *p = mmap(NULL, AREA + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;

	q = (char *)(((unsigned long)p + HUGE - 1) & ~(HUGE - 1));
	munmap(p, AREA + HUGE);
	return mmap(q, AREA, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
}

static bool make_area(enum kind kind, struct area *a)
{
	static int nr;

	*a = (struct area){ .kind = kind, .fd = -1, .shm = -1 };
	switch (kind) {
	case ANON:
	case THP:
		a->p = map_area(-1, MAP_PRIVATE | MAP_ANONYMOUS);
		if (a->p != MAP_FAILED)
			madvise(a->p, AREA, kind == THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		break;
	case SHMEM:
	case HUGETLB:
		a->fd = memfd_create("area", kind == HUGETLB ? MFD_HUGETLB : 0);
		if (a->fd < 0 || ftruncate(a->fd, AREA))
			return false;
		a->p = map_area(a->fd, MAP_SHARED);
		break;
	case FILE_SHARED:
	case FILE_PRIVATE:
		snprintf(a->path, sizeof(a->path), "%s/area%d", dax, nr++);
		a->fd = open(a->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (a->fd < 0 || posix_fallocate(a->fd, 0, AREA))
			return false;
		a->p = map_area(a->fd, kind == FILE_SHARED ? MAP_SHARED : MAP_PRIVATE);
		break;
	case SYSV:
		a->shm = shmget(IPC_PRIVATE, AREA, IPC_CREAT | 0600);
		if (a->shm < 0)
			return false;
		a->p = shmat(a->shm, NULL, 0);
		break;
	default:
		return false;
	}
	if (a->p == MAP_FAILED || a->p == (void *)-1)
		return false;
	a->start = a->p;
	a->bytes = AREA;
	return true;
}

static void drop_area(struct area *a)
{
	if (a->shm >= 0) {
		shmdt(a->p);
		shmctl(a->shm, IPC_RMID, NULL);
	} else if (a->p) {
		munmap(a->p, AREA);
	}
	if (a->fd >= 0)
		close(a->fd);
	if (a->path[0])
		unlink(a->path);
}

static int result(int ret)
{
	return ret ? -errno : 0;
}

static int op_munmap(struct area *a)
{
	return result(munmap(a->p, AREA));
}

static int op_munmap_part(struct area *a)
{
	a->start = a->p + HUGE / 2;
	a->bytes = a->kind == HUGETLB ? HUGE : PAGE;
	if (a->kind == HUGETLB)
		a->start = a->p;
	return result(munmap(a->start, a->bytes));
}

static int op_map_fixed(struct area *a)
{
	return mmap(a->p, AREA, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
			       MAP_FAILED
		       ? -errno
		       : 0;
}

static int move(struct area *a, int flags)
{
	char *to = map_area(-1, MAP_PRIVATE | MAP_ANONYMOUS), *p;

	p = mremap(a->p, AREA, AREA, MREMAP_MAYMOVE | flags, to);
	if (p == MAP_FAILED)
		return -errno;
	munmap(p, AREA);
	return 0;
}

static int op_mremap(struct area *a)
{
	return move(a, MREMAP_FIXED);
}

static int op_mremap_keep(struct area *a)
{
	return move(a, MREMAP_FIXED | MREMAP_DONTUNMAP);
}

static int op_mremap_shrink(struct area *a)
{
	a->start = a->p + HUGE;
	a->bytes = HUGE;
	return mremap(a->p, AREA, HUGE, 0) == MAP_FAILED ? -errno : 0;
}

static int op_mremap_copy(struct area *a)
{
	char *p = mremap(a->p, 0, AREA, MREMAP_MAYMOVE);

	if (p == MAP_FAILED)
		return -errno;
	munmap(p, AREA);
	a->start = p;
	return 0;
}

static int op_brk(struct area *a)
{
	char *p = sbrk(AREA);

	if (p == (void *)-1)
		return -errno;
	memset(p, 1, AREA);
	a->start = p;
	return result(brk(p));
}

static int advise(struct area *a, int advice)
{
	return result(madvise(a->start, a->bytes, advice));
}

static int op_dontneed(struct area *a)
{
	return advise(a, MADV_DONTNEED);
}

static int op_dontneed_part(struct area *a)
{
	a->start = a->p + HUGE / 2;
	a->bytes = PAGE;
	return advise(a, MADV_DONTNEED);
}

static int op_free(struct area *a)
{
	return advise(a, MADV_FREE);
}

static int op_remove(struct area *a)
{
	return advise(a, MADV_REMOVE);
}

static int op_guard(struct area *a)
{
	return advise(a, 102);
}

static int op_pageout(struct area *a)
{
	return advise(a, MADV_PAGEOUT);
}

static int op_collapse(struct area *a)
{
	madvise(a->p, AREA, MADV_HUGEPAGE);
	return advise(a, MADV_COLLAPSE);
}

static int op_soft_offline(struct area *a)
{
	a->bytes = a->kind == HUGETLB ? HUGE : PAGE;
	return advise(a, 101 /* MADV_SOFT_OFFLINE */);
}

static int op_protect(struct area *a)
{
	return result(mprotect(a->p, AREA, PROT_READ));
}

static int reap(pid_t pid)
{
	int status;

	if (pid < 0)
		return -errno;
	waitpid(pid, &status, 0);
	return 0;
}

static int op_fork(struct area *a)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	return reap(pid);
}

static int op_clone(struct area *a)
{
	pid_t pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (!pid)
		_exit(0);
	return reap(pid);
}

/* A child that shares its parent's pages lives while the parent writes to them. */
static int op_copy(struct area *a)
{
	int hold[2];
	pid_t pid;
	char byte;
	size_t i;

	if (pipe(hold))
		return -errno;
	pid = fork();
	if (!pid) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) > 0);
	}
	close(hold[0]);
	for (i = 0; i < AREA; i += HUGE / 4)
		a->p[i] = 2;
	close(hold[1]);
	return reap(pid);
}

/* What was only read is a page of zeros, or the file's, until it is written to. */
static int op_write_after_read(struct area *a)
{
	volatile char *p = a->p;

	a->p[0] = 1;
	a->bytes = PAGE;
	return p[0] == 1 ? 0 : -EIO;
}

static int op_truncate(struct area *a)
{
	a->start += HUGE;
	a->bytes = HUGE;
	return truncate_file(a->fd);
}

static int op_truncate_other(struct area *a)
{
	a->start += HUGE;
	a->bytes = HUGE;
	return send_order(a->fd, 't');
}

static int op_punch(struct area *a)
{
	a->start += HUGE;
	a->bytes = HUGE;
	return punch_file(a->fd);
}

static int op_punch_other(struct area *a)
{
	a->start += HUGE;
	a->bytes = HUGE;
	return send_order(a->fd, 'p');
}

static int op_shmdt(struct area *a)
{
	return result(shmdt(a->p));
}

static int op_shmat(struct area *a)
{
	return shmat(a->shm, a->p, SHM_REMAP) == (void *)-1 ? -errno : 0;
}

static int op_remap_file_pages(struct area *a)
{
	a->bytes = HUGE;
	return result(remap_file_pages(a->p, HUGE, 0, HUGE / PAGE, 0));
}

static int op_sync(struct area *a)
{
	return result(fsync(a->fd));
}

static int op_msync(struct area *a)
{
	return result(msync(a->p, AREA, MS_SYNC));
}

static int op_clear_refs(struct area *a)
{
	return write_text("/proc/self/clear_refs", "4");
}

static int op_ksm(struct area *a)
{
	long full, i;

	memset(a->p, 7, AREA);
	if (madvise(a->p, AREA, MADV_MERGEABLE))
		return -errno;
	if (write_text("/sys/kernel/mm/ksm/pages_to_scan", "20000") ||
	    write_text("/sys/kernel/mm/ksm/sleep_millisecs", "1") ||
	    write_text("/sys/kernel/mm/ksm/run", "1"))
		return -ENOENT;
	full = read_number("/sys/kernel/mm/ksm/full_scans");
	for (i = 0; i < 3000 && read_number("/sys/kernel/mm/ksm/full_scans") < full + 4; i++)
		usleep(10000);
	write_text("/sys/kernel/mm/ksm/run", "0");
	return read_number("/sys/kernel/mm/ksm/pages_sharing") > 0 ? 0 : -EAGAIN;
}

static int uffd_open(__u64 features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -EOPNOTSUPP;
	}
	return fd;
}

static int op_scan_protect(struct area *a)
{
	struct uffdio_register reg = { .range = { (unsigned long)a->p, AREA },
				       .mode = UFFDIO_REGISTER_MODE_WP };
	struct page_region found[8];
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (unsigned long)a->p,
		.end = (unsigned long)a->p + AREA,
		.vec = (unsigned long)found,
		.vec_len = 8,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int uffd = uffd_open((1 << 15) /* WP_ASYNC */ | (1 << 13) /* WP_UNPOPULATED */), map, err;

	if (uffd < 0)
		return uffd;
	err = result(ioctl(uffd, UFFDIO_REGISTER, &reg));
	memset(a->p, 3, AREA);
	map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (!err)
		err = ioctl(map, PAGEMAP_SCAN, &scan) < 0 ? -errno : 0;
	close(map);
	close(uffd);
	return err;
}

static int op_uffd_protect(struct area *a)
{
	struct uffdio_register reg = { .range = { (unsigned long)a->p, AREA },
				       .mode = UFFDIO_REGISTER_MODE_WP };
	struct uffdio_writeprotect wp = { .range = { (unsigned long)a->p, AREA },
					  .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	int uffd = uffd_open(0), err;

	if (uffd < 0)
		return uffd;
	err = result(ioctl(uffd, UFFDIO_REGISTER, &reg));
	if (!err)
		err = result(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
	close(uffd);
	return err;
}

struct move_request {
	__u64 dst, src, len, mode;
	__s64 moved;
};

static int op_uffd_move(struct area *a)
{
	char *to = map_area(-1, MAP_PRIVATE | MAP_ANONYMOUS);
	struct uffdio_register reg = { .range = { (unsigned long)to, AREA },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct move_request m = { (unsigned long)to, (unsigned long)a->p, AREA, 0, 0 };
	int uffd = uffd_open(1 << 16 /* MOVE */), err;

	if (uffd < 0)
		return uffd;
	err = result(ioctl(uffd, UFFDIO_REGISTER, &reg));
	if (!err)
		err = result(ioctl(uffd, _IOWR(0xAA, 5, struct move_request), &m));
	close(uffd);
	munmap(to, AREA);
	return err;
}

static int op_uprobe(struct area *a)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	char *p;
	int fd;

	attr.type = read_number("/sys/bus/event_source/devices/uprobe/type");
	attr.uprobe_path = (unsigned long)"/proc/self/exe";
	attr.probe_offset = 0x1000;
	p = mmap(NULL, HUGE, PROT_READ | PROT_EXEC, MAP_PRIVATE,
		 open("/proc/self/exe", O_RDONLY | O_CLOEXEC), 0);
	if (p == MAP_FAILED)
		return -errno;
	*(volatile char *)(p + 0x1000);
	a->start = p + 0x1000;
	a->bytes = PAGE;
	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

#define PRIVATE (ONLY(ANON) | ONLY(THP) | ONLY(FILE_PRIVATE))
#define NO_TOUCH 1 /* the area is only read before */
#define NEEDS_SWAP 2
#define MAY_NOTHING 4 /* the kernel may find that there is nothing to do */

static const struct op {
	const char *name;
	int (*act)(struct area *a);
	unsigned int kinds, flags;
} ops[] = {
	{ "munmap", op_munmap, ALL & ~ONLY(SYSV) },
	{ "munmap-part", op_munmap_part, ALL & ~ONLY(SYSV) },
	{ "map-fixed", op_map_fixed, ALL & ~ONLY(SYSV) },
	{ "mremap", op_mremap, ALL & ~ONLY(SYSV) },
	{ "mremap-keep", op_mremap_keep, ALL & ~(ONLY(SYSV) | ONLY(HUGETLB)) },
	{ "mremap-shrink", op_mremap_shrink, ALL & ~ONLY(SYSV) },
	{ "mremap-copy", op_mremap_copy, ONLY(SHMEM) | ONLY(FILE_SHARED), MAY_NOTHING },
	{ "brk", op_brk, ONLY(ANON) },
	{ "dontneed", op_dontneed, ALL },
	{ "dontneed-part", op_dontneed_part, ALL & ~ONLY(HUGETLB) },
	{ "free", op_free, ONLY(ANON) | ONLY(THP) },
	{ "remove", op_remove, ONLY(SHMEM) | ONLY(FILE_SHARED) | ONLY(SYSV) },
	{ "guard", op_guard, ALL },
	{ "mprotect", op_protect, ALL },
	{ "fork", op_fork, PRIVATE },
	{ "clone", op_clone, PRIVATE },
	{ "copy", op_copy, PRIVATE },
	{ "write-after-read", op_write_after_read, PRIVATE, NO_TOUCH },
	{ "truncate", op_truncate, FILES },
	{ "truncate-other", op_truncate_other, FILES },
	{ "punch", op_punch, FILES },
	{ "punch-other", op_punch_other, FILES },
	{ "shmdt", op_shmdt, ONLY(SYSV) },
	{ "shmat-remap", op_shmat, ONLY(SYSV) },
	{ "remap-file-pages", op_remap_file_pages, ONLY(SHMEM) | ONLY(FILE_SHARED) },
	{ "fsync", op_sync, ONLY(FILE_SHARED) },
	{ "msync", op_msync, ONLY(FILE_SHARED) },
	{ "pageout", op_pageout, ALL & ~ONLY(HUGETLB), NEEDS_SWAP | MAY_NOTHING },
	{ "collapse", op_collapse, ONLY(ANON) | ONLY(SHMEM), MAY_NOTHING },
	{ "soft-offline", op_soft_offline, ALL & ~ONLY(FILE_SHARED), MAY_NOTHING },
	{ "ksm", op_ksm, ONLY(ANON) | ONLY(THP) },
	{ "clear-refs", op_clear_refs, ALL & ~ONLY(HUGETLB) },
	{ "scan-protect", op_scan_protect, ONLY(ANON) | ONLY(THP) | ONLY(SHMEM) | ONLY(HUGETLB) },
	{ "uffd-protect", op_uffd_protect, ONLY(ANON) | ONLY(THP) | ONLY(SHMEM) | ONLY(HUGETLB) },
	{ "uffd-move", op_uffd_move, ONLY(ANON) | ONLY(THP) },
	{ "uprobe", op_uprobe, ONLY(ANON) },
};

struct records {
	struct watch_record r[MOST_RECORDS];
	size_t n;
};

static struct records told, wanted;

static void read_log(struct probe_log *log, struct records *records)
{
	struct watch_record r;

	records->n = 0;
	while (probe_log_next(log, &r))
		if (records->n < MOST_RECORDS)
			records->r[records->n++] = r;
}

static void show(const char *whose, const struct records *records, const struct area *a)
{
	size_t i;

	for (i = 0; i < records->n; i++) {
		const struct watch_record *r = &records->r[i];

		printf("    %s %s%s [%+lld, %+lld) %s%s%s\n", whose, probe_kind(r->kind),
		       r->flags & WATCH_END ? " end" : "",
		       (long long)(r->start - (unsigned long)a->start),
		       (long long)(r->end - (unsigned long)a->start),
		       r->site == WATCH_SITE_NONE ? "-" : sites[r->site].name,
		       r->flags & WATCH_KERNEL ? " kernel" : "",
		       r->flags & WATCH_FOREIGN ? " foreign" : "");
	}
}

/* Whether beginnings that were told of cover all of [start, end). */
static bool covered(uint64_t start, uint64_t end)
{
	size_t i, before;

	do {
		before = start;
		for (i = 0; i < told.n; i++) {
			const struct watch_record *r = &told.r[i];

			if (!(r->flags & WATCH_END) && r->start <= start && r->end > start)
				start = r->end;
			if (start >= end)
				return true;
		}
	} while (start != before);
	return false;
}

static bool overlaps(const struct records *records, const struct area *a)
{
	size_t i;

	for (i = 0; i < records->n; i++)
		if (records->r[i].start < (unsigned long)a->start + a->bytes &&
		    records->r[i].end > (unsigned long)a->start)
			return true;
	return false;
}

/* Beginnings whose end is not there. */
static size_t open_changes(const struct records *records)
{
	size_t i, j, open = 0;

	for (i = 0; i < records->n; i++) {
		if (records->r[i].flags & WATCH_END)
			continue;
		for (j = i + 1; j < records->n; j++)
			if ((records->r[j].flags & WATCH_END) &&
			    records->r[j].task == records->r[i].task &&
			    records->r[j].site == records->r[i].site)
				break;
		open += j == records->n;
	}
	return open;
}

/* A file's huge page replaces a table of pages that are gone already: nothing changes. */
static bool told_before(const struct op *op)
{
	return op->act == op_collapse;
}

/* clear_refs names all addresses, the log those where a mapping is. */
static void judge(const struct op *op, struct area *a, int err)
{
	const char *verdict = "told";
	size_t missing = 0, i;

	for (i = 0; i < wanted.n; i++)
		if (!(wanted.r[i].flags & WATCH_END) &&
		    !covered(op->act == op_clear_refs ? (uint64_t)a->p : wanted.r[i].start,
			     op->act == op_clear_refs ? (uint64_t)a->p + AREA : wanted.r[i].end))
			missing++;
	if (err)
		verdict = strerrorname_np(-err);
	else if (missing && !told_before(op))
		verdict = "MISSING";
	else if (open_changes(&told))
		verdict = "OPEN";
	else if (!overlaps(&told, a))
		verdict = (anchored && !overlaps(&wanted, a)) ? "nothing to tell"
			  : op->flags & MAY_NOTHING           ? "nothing told"
							      : "NOTHING";
	printf("%-17s %-13s %-16s %3zu records, the kernel's %3zu, not covered %zu, open %zu\n",
	       op->name, kind_names[a->kind], verdict, told.n, wanted.n, missing,
	       open_changes(&told));
	if (!err && verdict[0] >= 'A' && verdict[0] <= 'Z')
		failed = true;
	if (print_records || (!err && verdict[0] >= 'A' && verdict[0] <= 'Z')) {
		show("log", &told, a);
		show("kernel", &wanted, a);
	}
	fflush(stdout);
}

static void try_one(const struct op *op, enum kind kind)
{
	struct area a;
	size_t i;
	int err;

	if (!make_area(kind, &a)) {
		printf("%-17s %-13s no such memory here\n", op->name, kind_names[kind]);
		drop_area(&a);
		return;
	}
	for (i = 0; i < AREA; i += PAGE)
		if (op->flags & NO_TOUCH)
			*(volatile char *)(a.p + i);
		else
			a.p[i] = 1;
	read_log(&own, &told);
	if (anchored)
		read_log(&kernels, &wanted);
	err = op->act(&a);
	read_log(&own, &told);
	wanted.n = 0;
	if (anchored)
		read_log(&kernels, &wanted);
	judge(op, &a, err);
	drop_area(&a);
}

static bool make_anchor(void)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	return kvm >= 0 && ioctl(kvm, KVM_CREATE_VM, 0) >= 0;
}

/* Files go to the first filesystem, or where there is room for them. */
static void prepare(void)
{
	write_text("/proc/sys/vm/nr_hugepages", "8");
	write_text("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	write_text("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "advise");
	if (access(dax, W_OK))
		dax = "/tmp";
	start_other();
}

int main(int argc, char **argv)
{
	struct watch_loader *loader, *anchor = NULL;
	size_t i, k;
	int err, arg = 1;

	if (argc > 1 && !strcmp(argv[1], "--records")) {
		print_records = true;
		arg++;
	}
	prepare();
	err = watch_load(0, &loader);
	if (!err)
		err = probe_log_open(loader, 1 << 20, WATCH_OPEN_FUNCTIONS, &own);
	if (err) {
		fprintf(stderr, "watch-ops: %s\n", strerror(-err));
		return err == -EPERM || err == -EOPNOTSUPP ? 77 : 1;
	}
	watch_sites(loader, &sites);
	anchored = make_anchor();
	if (anchored) {
		err = watch_load(WATCH_LOAD_ANCHORED, &anchor);
		if (!err)
			err = probe_log_open(anchor, 1 << 20, 0, &kernels);
		anchored = !err;
		if (err)
			fprintf(stderr, "watch-ops: anchored: %s\n", strerror(-err));
	}
	printf("anchor: %s\n", anchored ? "KVM" : "none");
	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		for (k = arg; k < (size_t)argc && strcmp(argv[k], ops[i].name);)
			k++;
		if (arg < argc && k == (size_t)argc)
			continue;
		for (k = 0; k < KINDS; k++)
			if (ops[i].kinds & (1U << k))
				try_one(&ops[i], k);
	}
	printf("trouble %llu %llu, dropped %llu, detached %llu\n",
	       (unsigned long long)own.space->trouble, (unsigned long long)own.global->word,
	       (unsigned long long)own.space->dropped, (unsigned long long)own.global->detached);
	return failed;
}
