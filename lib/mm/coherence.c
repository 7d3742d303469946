// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The coherence report: a table of what holds with every feature, and the few things that features
 * or privilege change. Each cell has a test in tests/events.
 */
#include "space/space.h"
#include "provider/log.h"
#include "provider/provider.h"
#include "kernel/abi/uffd.h"
#include "kernel/inotify.h"
#include "kernel/pagemap.h"

#include <hmm/coherence.h>

#include <errno.h>

#define KIND(k) (1U << HMM_VMA_##k)
#define ALL (KIND(ANON) | KIND(HUGETLB) | KIND(SHMEM) | KIND(SYSV) | KIND(FILE) | KIND(DAX))
#define WITH_FILE (KIND(HUGETLB) | KIND(SHMEM) | KIND(FILE) | KIND(DAX))

struct row {
	const char *name;
	uint32_t kinds; /* where the operation exists */
	uint32_t guarantee;
	uint32_t noted;
	const char *why;
	const char *else_why; /* where it does not exist */
};

static const struct row rows[HMM_OP_NR] = {
	[HMM_OP_MUNMAP] = { "munmap", ALL, HMM_SYNCHRONOUS, HMM_SYNCHRONOUS,
			    "event after the change; the caller waits until devices have stopped",
			    NULL },
	[HMM_OP_MAP_FIXED] = { "mmap(MAP_FIXED)", ALL, HMM_SYNCHRONOUS, HMM_SYNCHRONOUS,
			       "event after the change; the caller waits until devices have "
			       "stopped",
			       NULL },
	[HMM_OP_BRK_SHRINK] = { "brk shrink", KIND(ANON), HMM_SYNCHRONOUS, HMM_SYNCHRONOUS,
				"event after the change; the caller waits until devices have "
				"stopped",
				"the heap is anonymous" },
	[HMM_OP_MREMAP_MOVE] = { "mremap move", ALL, HMM_SYNCHRONOUS, HMM_SYNCHRONOUS,
				 "events for both ends after the change", NULL },
	[HMM_OP_MREMAP_SHRINK] = { "mremap shrink", ALL, HMM_SYNCHRONOUS, HMM_SYNCHRONOUS,
				   "event after the change", NULL },
	[HMM_OP_MREMAP_DONTUNMAP] = { "mremap(DONTUNMAP)", ALL & ~KIND(HUGETLB), HMM_SYNCHRONOUS,
				      HMM_SYNCHRONOUS, "event after the change",
				      "the kernel refuses" },
	[HMM_OP_MADV_DONTNEED] = { "madvise(DONTNEED)", ALL, HMM_VALIDATED, HMM_SYNCHRONOUS,
				   "start announced; until the end is proven pages are used once, "
				   "under a check",
				   NULL },
	[HMM_OP_MADV_FREE] = { "madvise(FREE)", KIND(ANON), HMM_VALIDATED, HMM_VALIDATED,
			       "start announced; pages may go any time later: HMM_CHECK_PRESENT",
			       "the kernel refuses" },
	[HMM_OP_MADV_REMOVE] = { "madvise(REMOVE)", WITH_FILE | KIND(SYSV), HMM_VALIDATED,
				 HMM_SYNCHRONOUS,
				 "start announced; until the end is proven pages are used once, "
				 "under a check",
				 "the kernel refuses" },
	[HMM_OP_MADV_REMOVE_BEGUN] = { "REMOVE begun before", WITH_FILE | KIND(SYSV), HMM_VALIDATED,
				       HMM_SYNCHRONOUS,
				       "not mirrored when it began: no event; as a hole punched by "
				       "fallocate",
				       "the kernel refuses" },
	[HMM_OP_FORK] = { "fork (libc)", ALL, HMM_SYNCHRONOUS, HMM_SYNCHRONOUS,
			  "atfork handler, before the copy", NULL },
	[HMM_OP_FORK_RAW] = { "fork (raw clone)", ALL, HMM_SYNCHRONOUS, HMM_SYNCHRONOUS,
			      "event after the copy, before the child runs", NULL },
	[HMM_OP_MPROTECT] = { "mprotect", ALL, HMM_VALIDATED, HMM_SYNCHRONOUS,
			      "no event; HMM_CHECK_VMA asks for the permission", NULL },
	[HMM_OP_TRUNCATE] = { "ftruncate", WITH_FILE, HMM_VALIDATED, HMM_SYNCHRONOUS,
			      "no event; hmm_mm_check_files() or HMM_CHECK_FILE compare size and "
			      "change time",
			      "no file" },
	[HMM_OP_PUNCH_HOLE] = { "fallocate(PUNCH_HOLE)", WITH_FILE, HMM_VALIDATED, HMM_SYNCHRONOUS,
				"no event; hmm_mm_check_files() or HMM_CHECK_FILE compare the "
				"change time",
				"no file" },
	[HMM_OP_SHMDT] = { "shmdt", KIND(SYSV), HMM_VALIDATED, HMM_SYNCHRONOUS,
			   "no event; every use asks which segment is mapped",
			   "not attached by shmat" },
	[HMM_OP_SHM_REMAP] = { "shmat(SHM_REMAP)", ALL, HMM_VALIDATED, HMM_SYNCHRONOUS,
			       "no event; HMM_CHECK_VMA sees another mapping", NULL },
	[HMM_OP_REMAP_FILE_PAGES] = { "remap_file_pages", WITH_FILE | KIND(SYSV), HMM_VALIDATED,
				      HMM_SYNCHRONOUS,
				      "no event; HMM_CHECK_VMA compares the offset",
				      "the kernel refuses" },
	[HMM_OP_GUARD_INSTALL] = { "madvise(GUARD_INSTALL)", ALL & ~KIND(HUGETLB), HMM_UNSEEN,
				   HMM_SYNCHRONOUS,
				   "no event; HMM_CHECK_PRESENT sees it only until the page is "
				   "touched again",
				   "the kernel refuses" },
	[HMM_OP_RECLAIM] = { "reclaim, swap", ALL & ~(KIND(HUGETLB) | KIND(DAX)), HMM_UNSEEN,
			     HMM_SYNCHRONOUS,
			     "no event; a page that a device holds stays; HMM_CHECK_PRESENT sees "
			     "it "
			     "only until the page is touched again",
			     "never reclaimed" },
	[HMM_OP_COLLAPSE] = { "collapse", ALL & ~(KIND(HUGETLB) | KIND(DAX)), HMM_UNSEEN,
			      HMM_SYNCHRONOUS,
			      "no event; same bytes in another page: only a device that holds "
			      "pages differs",
			      "never collapsed" },
	[HMM_OP_CHILD_COW] = { "child's copy-on-write", 0, HMM_NOT_APPLICABLE, HMM_NOT_APPLICABLE,
			       NULL, "the child gets the copy: the parent's translation stands" },
	[HMM_OP_FIRST_WRITE] = { "first write", ALL & ~KIND(SYSV), HMM_UNSEEN, HMM_SYNCHRONOUS,
				 "no event: a private page that was only read (zero page, shared "
				 "with a child, a file's) is replaced by a copy; a device that "
				 "holds pages asks for write",
				 "always shared: written in place" },
	[HMM_OP_OTHER_TRUNCATE] = { "truncate elsewhere", WITH_FILE, HMM_VALIDATED, HMM_SYNCHRONOUS,
				    "no event; hmm_mm_check_files() or HMM_CHECK_FILE compare size "
				    "and change time",
				    "no file" },
	[HMM_OP_WRITEBACK] = { "fsync, msync", KIND(FILE) | KIND(DAX), HMM_UNSEEN, HMM_SYNCHRONOUS,
			       "no event, and no status changes; a device that writes through a "
			       "mapping makes the file dirty again all the same",
			       "nothing is written back" },
};

/* Without asynchronous write-protection fewer kinds can be registered at all. */
static bool is_mirrored(const struct hmm_mm *mm, enum hmm_vma_kind kind)
{
	/*
	 * A segment that was detached and attached again looks as before. Only PAGEMAP_SCAN tells
	 * that it is no longer registered.
	 */
	if (kind == HMM_VMA_SYSV && !mm->pagemap.scan)
		return false;
	if (mm->provider.wp_async || kind == HMM_VMA_ANON)
		return true;
	/*
	 * System V mappings have vm_ops of their own, so the kernel does not take them for shared
	 * memory when it registers.
	 */
	if (kind == HMM_VMA_FILE || kind == HMM_VMA_DAX || kind == HMM_VMA_SYSV)
		return false;
	return mm->provider.features & UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
}

static bool is_exact(const struct hmm_mm *mm, enum hmm_operation op, enum hmm_vma_kind kind)
{
	return mm->log && mm->exact[op] & 1U << kind;
}

/*
 * What the kernel's log tells of. A caller waits where userfaultfd tells of the operation as well,
 * and in the handlers of fork(). A cell whose operation was not tried rests on the function at
 * which a program is attached.
 */
static void exact_cell(const struct hmm_mm *mm, enum hmm_operation op, enum hmm_vma_kind kind,
		       const struct row *row, struct hmm_coherence_cell *cell)
{
	/* No note tells of what userfaultfd tells of. */
	const uint32_t noted =
		row->guarantee == HMM_SYNCHRONOUS ? HMM_EXACT : (uint32_t)HMM_SYNCHRONOUS;
	const bool waits =
		mm_registers(mm) && is_mirrored(mm, kind) && row->guarantee == HMM_SYNCHRONOUS;

	*cell = (struct hmm_coherence_cell){
		HMM_EXACT, noted,
		mm->tried & 1U << op
			? "in the kernel's log before it takes effect, and when it is over"
		: mm->log->anchored
			? "in the kernel's log before it takes effect, as its notifiers are told; "
			  "not tried here"
			: "in the kernel's log before it takes effect, as a program is attached to "
			  "its function; not tried here"
	};
	if (op == HMM_OP_FORK_RAW)
		cell->why =
			"in the kernel's log before the copy; memory that is mapped shared is not "
			"copied, and its translations stand";
	if (op == HMM_OP_FORK || (waits && op != HMM_OP_FORK_RAW))
		*cell = (struct hmm_coherence_cell){ row->guarantee, row->noted, row->why };
	if (waits && op == HMM_OP_FORK_RAW && mm->provider.event_fork)
		*cell = (struct hmm_coherence_cell){ row->guarantee, row->noted, row->why };
}

/* A log that does not tell of it. Checks at use are not made where there is a log. */
static void unseen_cell(struct hmm_coherence_cell *cell)
{
	*cell = (struct hmm_coherence_cell){ HMM_UNSEEN, HMM_SYNCHRONOUS,
					     "the kernel's log does not tell of it on this host" };
}

static bool punches(enum hmm_operation op)
{
	return op == HMM_OP_PUNCH_HOLE || op == HMM_OP_MADV_REMOVE_BEGUN;
}

int hmm_coherence(struct hmm_mm *mm, enum hmm_operation op, enum hmm_vma_kind kind,
		  struct hmm_coherence_cell *cell)
{
	const struct row *row;

	if ((unsigned int)op >= HMM_OP_NR || kind <= HMM_VMA_HOLE || kind >= HMM_VMA_SPECIAL)
		return -EINVAL;
	row = &rows[op];
	if (!(row->kinds & 1U << kind)) {
		*cell = (struct hmm_coherence_cell){ HMM_NOT_APPLICABLE, HMM_NOT_APPLICABLE,
						     row->else_why };
	} else if (is_exact(mm, op, kind)) {
		exact_cell(mm, op, kind, row, cell);
	} else if (mm->log) {
		unseen_cell(cell);
	} else if (!is_mirrored(mm, kind)) {
		*cell = (struct hmm_coherence_cell){
			HMM_NOT_MIRRORED, HMM_NOT_MIRRORED,
			"this kernel cannot register the kind: every use looks anew"
		};
	} else if (op == HMM_OP_MADV_REMOVE_BEGUN && kind == HMM_VMA_SYSV) {
		*cell = (struct hmm_coherence_cell){ HMM_UNSEEN, HMM_SYNCHRONOUS,
						     "not mirrored when it began: no event, and no "
						     "file to ask" };
	} else if (punches(op) && kind == HMM_VMA_HUGETLB && !watches_see_memfds()) {
		*cell = (struct hmm_coherence_cell){
			HMM_UNSEEN, HMM_SYNCHRONOUS,
			"this kernel does not tell of it on a memfd, and "
			"hugetlbfs changes no time"
		};
	} else if (punches(op) && kind == HMM_VMA_SHMEM && !watches_see_memfds()) {
		*cell = (struct hmm_coherence_cell){ HMM_UNSEEN, HMM_SYNCHRONOUS,
						     "this kernel does not tell of it on a memfd: "
						     "HMM_CHECK_FILE sees it only while no device "
						     "faults for writing" };
	} else if (op == HMM_OP_FORK_RAW && !mm->provider.event_fork) {
		*cell = (struct hmm_coherence_cell){ HMM_UNSEEN, HMM_SYNCHRONOUS,
						     "the event needs CAP_SYS_PTRACE; the child "
						     "refuses inherited handles all the same" };
	} else {
		*cell = (struct hmm_coherence_cell){ row->guarantee, row->noted, row->why };
	}
	return 0;
}

const char *hmm_operation_name(enum hmm_operation op)
{
	return (unsigned int)op < HMM_OP_NR ? rows[op].name : "?";
}

const char *hmm_guarantee_name(enum hmm_guarantee guarantee)
{
	static const char *const names[] = {
		[HMM_SYNCHRONOUS] = "synchronous", [HMM_VALIDATED] = "validated",
		[HMM_UNSEEN] = "unseen",           [HMM_NOT_MIRRORED] = "not mirrored",
		[HMM_NOT_APPLICABLE] = "-",        [HMM_EXACT] = "exact",
	};

	return (unsigned int)guarantee <= HMM_EXACT ? names[guarantee] : "?";
}
