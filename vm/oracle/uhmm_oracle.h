/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What the test-only module uhmm_oracle says to programs. The kernel's own hmm_range_fault(),
 * interval notifiers and a mirror in the manner of lib/test_hmm.c, for the address space of the
 * caller, in numbers that do not change with the kernel.
 *
 * Each open file is one mirror of at most one range. A file inherited by fork() belongs to the
 * address space that made the mirror: every call from another one fails with EPERM.
 */
#ifndef UHMM_ORACLE_H
#define UHMM_ORACLE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define UHMM_ORACLE_PATH "/dev/uhmm_oracle"
#define UHMM_ORACLE_VERSION 3

/*
 * An entry: flags, then the order of the CPU's mapping, then a cookie that is equal for equal pages
 * until the module is unloaded.
 */
#define UHMM_ENTRY_VALID (1u << 0)
#define UHMM_ENTRY_WRITE (1u << 1)
#define UHMM_ENTRY_ERROR (1u << 2)
#define UHMM_ENTRY_ZERO (1u << 3) /* the zero page, or the huge one */
#define UHMM_ENTRY_FSDAX                                                                           \
	(1u << 4) /* host-managed device memory: on these kernels persistent memory */
#define UHMM_ENTRY_DEVICE (1u << 5) /* device-private or device-coherent */

/* Requests, as input in an entry's flags and in default_flags. */
#define UHMM_REQ_FAULT (1u << 0)
#define UHMM_REQ_WRITE (1u << 1)

struct uhmm_oracle_entry {
	__u32 flags;
	__u32 order;
	__u64 cookie;
};

/* One call of hmm_range_fault(), repeated while it says EBUSY. */
struct uhmm_oracle_range {
	__u64 addr; /* bytes, page-aligned */
	__u64 npages;
	__u64 entries;        /* user address of npages entries, in and out */
	__u32 default_flags;  /* UHMM_REQ_* */
	__u32 pfn_flags_mask; /* UHMM_REQ_* */
	/* out */
	/* What hmm_range_fault returned last: 0 or -errno; entries are valid for 0 only. */
	__s32 result;
	__u32 passes; /* calls it took */
	__u64 ns;     /* time of all passes, locks held */
};

/* Starts the mirror of this open file. */
struct uhmm_oracle_mirror {
	__u64 addr;
	__u64 npages;
};

enum uhmm_event {
	UHMM_EVENT_UNMAP,
	UHMM_EVENT_CLEAR,
	UHMM_EVENT_PROTECTION_VMA,
	UHMM_EVENT_PROTECTION_PAGE,
	UHMM_EVENT_SOFT_DIRTY,
	UHMM_EVENT_RELEASE,
	UHMM_EVENT_MIGRATE,
	UHMM_EVENT_EXCLUSIVE,
	UHMM_EVENT_OTHER,
	UHMM_EVENT_NR,
};

struct uhmm_oracle_event {
	__u64 start; /* clipped to the mirror */
	__u64 end;
	__u64 ns;      /* CLOCK_MONOTONIC */
	__u32 event;   /* enum uhmm_event */
	__u32 dropped; /* entries that the mirror held and lost to it */
	__u32 tgid;    /* who was running, in the initial namespace */
	__u32 pad;
	__u64 stamp; /* the word of UHMM_ORACLE_STAMP when the notifier was called; 0 without */
};

/* Reads the log from its oldest event on. */
struct uhmm_oracle_log {
	__u64 events; /* user address */
	__u32 max;
	__u32 reset; /* 1: empty log and counters afterwards */
	/* out */
	__u32 count;      /* written to events */
	__u32 lost;       /* not logged, though counted: the log was full */
	__u64 counts[16]; /* by enum uhmm_event */
};

/*
 * The device reads (from the mirror to buf) or writes (from buf to the mirror), faulting what it
 * lacks.
 */
struct uhmm_oracle_access {
	__u64 addr;
	__u64 len; /* bytes */
	__u64 buf; /* user address */
	__u32 write;
	/* out */
	__s32 result; /* 0 or -errno */
	__u64 done;   /* bytes copied */
	__u64 faults; /* calls of hmm_range_fault() that faulted, those that collided included */
};

/* What the mirror holds now, without asking the CPU's page table. */
struct uhmm_oracle_held {
	__u64 addr;
	__u64 npages;
	__u64 entries; /* user address, out */
};

/* Whether migrate_vma_setup() would take the pages of a range; they stay where they are. */
struct uhmm_oracle_migrate {
	__u64 addr;
	__u64 npages; /* at most 1024 */
	/* out */
	__s32 result; /* what it returned */
	__u32 pad;
	__u64 movable; /* pages that could be moved */
};

#define UHMM_ORACLE_GET_VERSION _IOR('U', 0, __u32)
#define UHMM_ORACLE_RANGE _IOWR('U', 1, struct uhmm_oracle_range)
#define UHMM_ORACLE_MIRROR _IOW('U', 2, struct uhmm_oracle_mirror)
#define UHMM_ORACLE_UNMIRROR _IO('U', 3)
#define UHMM_ORACLE_LOG _IOWR('U', 4, struct uhmm_oracle_log)
#define UHMM_ORACLE_ACCESS _IOWR('U', 5, struct uhmm_oracle_access)
#define UHMM_ORACLE_HELD _IOW('U', 6, struct uhmm_oracle_held)
#define UHMM_ORACLE_MIGRATE _IOWR('U', 7, struct uhmm_oracle_migrate)
/* The user address, aligned, of a word that each event is to carry; of a mirror that is there. */
#define UHMM_ORACLE_STAMP _IOW('U', 8, __u64)

#endif
