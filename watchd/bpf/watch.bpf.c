// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The tracing programs: a record of each change of a watched address space, before the kernel makes
 * it and after.
 *
 * What a program costs in a process that nobody watches is a load of its mm and one of `filter`.
 *
 * A slot is what a watched space has: a log, a page, and in `owners` the key that it stands for.
 * The kernel may give the memory of a table's element to another key while a program still reads
 * it, so a program believes a slot only if its owner is the mm that it looked up. The loader gives
 * a slot to another space only after all programs that may have read its old owner have ended.
 */
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "watchd/bpf/kernel.h"
#include "watchd/bpf/sites.h"
#include "watchd/bpf/state.h"
#include "kernel/abi/watch.h"

#define ENTRY_BITS 32
#define PF_KTHREAD 0x00200000
#define VM_SHARED 0x8UL
#define VM_MAYWRITE 0x20UL
#define MADV_FREE 8
#define PM_SCAN_WP_MATCHING 1
#define VM_FAULT_LOCKS_GONE (0x400 | 0x4000) /* VM_FAULT_RETRY, VM_FAULT_COMPLETED */
#define ENOENT 2
#define EBUSY 16
#define EEXIST 17
#define ENODATA 61

char license_[] SEC("license") = "Dual BSD/GPL";

struct watch_state state SEC(".data.state");
/*
 * How many watched spaces are hashed to each place: the first half counts those that are told of by
 * functions, the second those that are told of by notifiers.
 */
static __u32 filter[2 << WATCH_FILTER_BITS];

/*
 * mm -> slot, and above it the number of the process. A space may have several logs: the others are
 * at the addresses behind that of its mm, first those that are told of by functions, then those
 * that are told of by notifiers.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * WATCH_SPACES);
	__type(key, __u64);
	__type(value, __u64);
} spaces SEC(".maps");

/* slot -> mm */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WATCH_SPACES);
	__type(key, __u32);
	__type(value, __u64);
} owners SEC(".maps");

struct log {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WATCH_LOG_BYTES);
};

/* slot -> log */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WATCH_SPACES);
	__type(key, __u32);
	__array(values, struct log);
} logs SEC(".maps");

struct space_bytes {
	struct watch_space space;
	char rest[WATCH_PAGE - sizeof(struct watch_space)];
};

struct space_page {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct space_bytes));
};

/* slot -> page */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, WATCH_SPACES);
	__type(key, __u32);
	__array(values, struct space_page);
} pages SEC(".maps");

struct global_bytes {
	struct watch_global global;
	char rest[WATCH_PAGE - sizeof(struct watch_global)];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct global_bytes);
} global SEC(".maps");

/* Threads that are switched out and may be inside a program. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WATCH_SWITCHED_OUT);
	__type(key, __u32);
	__type(value, __u8);
} out SEC(".maps");

/* An atomic addition that is a full barrier on every machine, because its result is wanted. */
static __always_inline void add(__u64 *to, __u64 n)
{
	__u64 old = __sync_fetch_and_add(to, n);

	asm volatile("" : : "r"(old));
}

/*
 * The low half of a kernel address, as a number: the kernel lets a program move half of a pointer,
 * and refuses shifts of all of it, which the compiler would make of this.
 */
static __always_inline __u32 low_half(const void *p)
{
	__u32 low;

	asm volatile("%0 = %1" : "=w"(low) : "w"((__u32)(unsigned long)p));
	return low;
}

static __always_inline __u32 hashed(const void *mm)
{
	return ((low_half(mm) >> 6) * 0x9e3779b1U) >> (32 - WATCH_FILTER_BITS);
}

/* Where a space of that hash is counted: an index of filter. */
static __always_inline __u32 place_of(__u32 hash, __u32 notified)
{
	return (hash & ((1 << WATCH_FILTER_BITS) - 1)) | (!!notified << WATCH_FILTER_BITS);
}

/* The kernel wants to see the bound, and the compiler must not know that it is one already. */
static __always_inline __u32 *counter(__u32 place)
{
	asm volatile("" : "+r"(place));
	return &filter[place & ((2 << WATCH_FILTER_BITS) - 1)];
}

static __always_inline struct watch_global *the_global(void)
{
	__u32 zero = 0;
	struct global_bytes *bytes = bpf_map_lookup_elem(&global, &zero);

	return bytes ? &bytes->global : NULL;
}

static __always_inline struct watch_space *page_of(__u32 slot)
{
	__u32 zero = 0;
	void *page = bpf_map_lookup_elem(&pages, &slot);
	struct space_bytes *bytes;

	if (!page)
		return NULL;
	bytes = bpf_map_lookup_elem(page, &zero);
	return bytes ? &bytes->space : NULL;
}

static __always_inline void write_record(__u32 slot, struct watch_space *space, __u64 start,
					 __u64 end, __u32 what, __u32 flags)
{
	void *log = bpf_map_lookup_elem(&logs, &slot);
	struct watch_record *r;
	__u64 who;

	r = log ? bpf_ringbuf_reserve(log, sizeof(*r), 0) : NULL;
	if (!r) {
		add(&space->trouble, 1);
		add(&space->dropped, 1);
		return;
	}
	who = bpf_get_current_pid_tgid();
	r->start = start;
	r->end = end;
	r->task = (__u32)who;
	r->tgid = who >> 32;
	r->kind = what & 0xffff;
	r->site = what >> 16;
	r->flags = flags;
	bpf_ringbuf_submit(r, 0);
	add(&space->records, 1);
}

/* The same in one of the logs of a space. */
static __always_inline void tell_log(__u64 key, __u64 value, __u64 start, __u64 end, __u32 what,
				     __u32 flags)
{
	__u32 slot = (__u32)value;
	__u64 *owner = bpf_map_lookup_elem(&owners, &slot);
	struct watch_space *space;
	struct task_struct *task;

	if (!owner || *(volatile __u64 *)owner != key)
		return;
	space = page_of(slot);
	if (!space)
		return;
	task = (struct task_struct *)bpf_get_current_task_btf();
	if (task->flags & PF_KTHREAD)
		flags |= WATCH_KERNEL | WATCH_FOREIGN;
	else if (task->tgid != (__s32)(value >> ENTRY_BITS))
		flags |= WATCH_FOREIGN;
	write_record(slot, space, start, end, what, flags);
}

/* what: the kind, and above it the site */
static __noinline int tell(struct mm_struct *mm, __u64 start, __u64 end, __u32 what, __u32 flags)
{
	const __u32 notified = what >> 16 == WATCH_SITE_NOTIFIER;
	/* No more logs than these are hashed to the place, so mostly one look-up is enough. */
	__u32 left = *counter(place_of(hashed(mm), notified)), i;
	__u64 key, *entry;

	for (i = 0; i < WATCH_LOGS && left; i++) {
		key = (__u64)mm + (notified ? WATCH_LOGS : 0) + i;
		entry = bpf_map_lookup_elem(&spaces, &key);
		if (!entry)
			continue;
		left--;
		tell_log(key, *(volatile __u64 *)entry, start, end, what, flags);
	}
	return 0;
}

static __always_inline void change(struct mm_struct *mm, __u64 start, __u64 end, __u32 what,
				   __u32 flags)
{
	if (filter[place_of(hashed(mm), what >> 16 == WATCH_SITE_NOTIFIER)])
		tell(mm, start, end, what, flags);
}

static __always_inline __u64 down(__u64 address, __u32 size)
{
	return address & ~((__u64)size - 1);
}

/* The aligned block of `size` bytes that an address is in. */
static __always_inline void change_block(struct mm_struct *mm, __u64 address, __u32 size,
					 __u32 what, __u32 flags)
{
	__u64 start = down(address, size);

	change(mm, start, start + size, what, flags);
}

/* A page of hugetlbfs: the block of the largest that there are, as far as the mapping goes. */
static __always_inline void change_giant(struct mm_struct *mm, struct vm_area_struct *vma,
					 __u64 address, __u32 what, __u32 flags)
{
	__u64 start = down(address, state.giant_size), end = start + state.giant_size;

	if (start < vma->vm_start)
		start = vma->vm_start;
	if (end > vma->vm_end)
		end = vma->vm_end;
	change(mm, start, end, what, flags);
}

/* What a folio may take from an address on: all of it. */
static __always_inline __u64 folio_bytes(struct folio *folio)
{
	__u32 head = bpf_core_enum_value(enum pageflags, PG_head), order;
	__u64 flags;

	if (bpf_core_field_exists(((struct folio___typed *)0)->flags.f))
		flags = ((struct folio___typed *)folio)->flags.f;
	else
		flags = folio->flags;
	if (!(flags & (1ULL << head)))
		return state.page_size;
	if (bpf_core_field_exists(((struct folio___ordered *)0)->_folio_order))
		order = ((struct folio___ordered *)folio)->_folio_order;
	else if (bpf_core_field_exists(((struct folio___flagged *)0)->_flags_1))
		order = ((struct folio___flagged *)folio)->_flags_1 & 0xff;
	else
		return state.giant_size;
	return (__u64)state.page_size << (order & 31);
}

/*
 * The forms of the kernel's functions, as sites.h names them: which parameters say what changes.
 * `c` has the parameters.
 */
#define FORM(name) static __always_inline void name(__u64 *c, __u32 what, __u32 flags)

FORM(unmap)
{
	change(((struct vm_area_struct *)c[2])->vm_mm, c[3], c[4], what, flags);
}

FORM(unmap_described)
{
	struct unmap_desc *d = (void *)c[1];

	change(d->first->vm_mm, d->vma_start, d->vma_end, what, flags);
}

FORM(zap_single)
{
	change(((struct vm_area_struct *)c[0])->vm_mm, c[1], c[1] + c[2], what, flags);
}

FORM(zap_batched)
{
	change(((struct vm_area_struct *)c[1])->vm_mm, c[2], c[2] + c[3], what, flags);
}

FORM(zap_huge)
{
	change(((struct vm_area_struct *)c[0])->vm_mm, c[1], c[2], what, flags);
}

FORM(reap_mm)
{
	change((void *)c[0], 0, ~0ULL, what, flags);
}

FORM(reap_vma)
{
	struct vm_area_struct *vma = (void *)c[0];

	change(vma->vm_mm, vma->vm_start, vma->vm_end, what, flags);
}

FORM(protect)
{
	change(((struct vm_area_struct *)c[1])->vm_mm, c[2], c[3], what, flags);
}

FORM(move)
{
	change(((struct vm_area_struct *)c[0])->vm_mm, c[1], c[1] + c[4], what, flags);
}

FORM(move_huge)
{
	change(((struct vm_area_struct *)c[0])->vm_mm, c[2], c[2] + c[4], what, flags);
}

/* The function counts old_addr up to old_end. */
FORM(move_controlled)
{
	struct pagetable_move_control *p = (void *)c[0];
	__u64 start = p->old_addr, end = p->old_end;

	if (bpf_core_field_exists(p->len_in))
		start = end - p->len_in;
	change(p->old->vm_mm, start, end, what, flags);
}

/* A fork write-protects private mappings only. */
FORM(fork)
{
	struct vm_area_struct *vma = (void *)c[1];

	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		change(vma->vm_mm, vma->vm_start, vma->vm_end, what, flags);
}

FORM(fork_huge)
{
	struct vm_area_struct *vma = (void *)c[3];

	if ((vma->vm_flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE)
		change((void *)c[1], vma->vm_start, vma->vm_end, what, flags);
}

FORM(free)
{
	change(((struct vm_area_struct *)c[0])->vm_mm, c[1], c[2], what, flags);
}

FORM(free_described)
{
	struct madvise_behavior *b = (void *)c[0];

	change(b->vma->vm_mm, b->range.start, b->range.end, what, flags);
}

FORM(free_advised)
{
	if ((__s32)c[3] == MADV_FREE)
		change((void *)c[0], c[1], down(c[1] + c[2] + state.page_size - 1, state.page_size),
		       what, flags);
}

/* After a fault that let go of its locks the mapping may be gone, and be another's. */
static __always_inline struct mm_struct *mm_of_fault(struct vm_fault *vmf, __u64 *result,
						     __u32 flags)
{
	struct mm_struct *mm = vmf->vma->vm_mm;

	if ((flags & WATCH_END) && (*result & VM_FAULT_LOCKS_GONE) &&
	    bpf_get_current_task_btf()->mm != mm)
		return NULL;
	return mm;
}

FORM(copy)
{
	struct vm_fault *vmf = (void *)c[0];
	struct mm_struct *mm = mm_of_fault(vmf, &c[1], flags);

	if (mm)
		change_block(mm, vmf->address, state.page_size, what, flags);
}

FORM(huge_copy)
{
	struct vm_fault *vmf = (void *)c[0];
	struct mm_struct *mm = mm_of_fault(vmf, &c[1], flags);

	if (mm)
		change_block(mm, vmf->address, state.huge_size, what, flags);
}

FORM(copy_huge)
{
	struct vm_fault *vmf = (void *)c[0];
	struct mm_struct *mm = mm_of_fault(vmf, &c[1], flags);

	if (mm)
		change_giant(mm, vmf->vma, vmf->address, what, flags);
}

FORM(copy_huge_page)
{
	change_giant((void *)c[0], (void *)c[1], c[2], what, flags);
}

FORM(page)
{
	struct vm_area_struct *vma = (void *)c[1];
	__u64 start = down(c[2], state.page_size), end = start + folio_bytes((void *)c[0]);

	if (end > vma->vm_end)
		end = vma->vm_end;
	change(vma->vm_mm, start, end, what, flags);
}

FORM(clean_range)
{
	struct vm_area_struct *vma = (void *)c[1];

	change(vma->vm_mm, vma->vm_start, vma->vm_end, what, flags);
}

FORM(clean_pfns)
{
	struct vm_area_struct *vma = (void *)c[3];
	__u64 start = vma->vm_start, end, first = vma->vm_pgoff;

	if (c[2] > first)
		start += (c[2] - first) * state.page_size;
	end = vma->vm_start + (c[2] + c[1] - first) * state.page_size;
	if (end > vma->vm_end)
		end = vma->vm_end;
	change(vma->vm_mm, start, end, what, flags);
}

FORM(split_pmd)
{
	change_block(((struct vm_area_struct *)c[0])->vm_mm, c[2], state.huge_size, what, flags);
}

FORM(split_pud)
{
	change_block(((struct vm_area_struct *)c[0])->vm_mm, c[2], state.giant_size, what, flags);
}

FORM(collapse)
{
	change_block((void *)c[0], c[1], state.huge_size, what, flags);
}

FORM(retract)
{
	change_block((void *)c[0], c[2], state.huge_size, what, flags);
}

/* A page of private memory lies where its index says; if that is nowhere, anywhere. */
FORM(merge)
{
	struct vm_area_struct *vma = (void *)c[0];
	__u64 start = vma->vm_start, end = vma->vm_end, at;
	unsigned long index;

	if (bpf_core_field_exists(((struct page___folio *)0)->__folio_index))
		index = ((struct page___folio *)c[1])->__folio_index;
	else
		index = ((struct page *)c[1])->index;
	at = start + (index - vma->vm_pgoff) * state.page_size;
	if (index >= vma->vm_pgoff && at < end) {
		start = at;
		end = at + state.page_size;
	}
	change(vma->vm_mm, start, end, what, flags);
}

FORM(migrate)
{
	struct migrate_vma *m = (void *)c[0];

	change(m->vma->vm_mm, m->start, m->end, what, flags);
}

FORM(migrate_pages)
{
	struct migrate_vma *m = (void *)c[3];

	if (m)
		change(m->vma->vm_mm, m->start, m->end, what, flags);
}

FORM(exclusive)
{
	change_block((void *)c[0], c[1], state.page_size, what, flags);
}

FORM(exclusive_range)
{
	change((void *)c[0], c[1], c[2], what, flags);
}

FORM(move_user)
{
	change(((struct userfaultfd_ctx *)c[0])->mm, c[2], c[2] + c[3], what, flags);
}

FORM(move_ptes)
{
	change((void *)c[0], c[6], c[6] + c[7], what, flags);
}

FORM(move_pte)
{
	change_block((void *)c[0], c[6], state.page_size, what, flags);
}

FORM(move_pmd)
{
	change_block((void *)c[0], c[7], state.huge_size, what, flags);
}

FORM(soft_dirty)
{
	struct mm_walk *walk = (void *)c[3];
	struct clear_refs_private *p;

	if (!filter[place_of(hashed(walk->mm), 0)])
		return;
	p = walk->private;
	if (BPF_CORE_READ(p, type) == CLEAR_REFS_SOFT_DIRTY)
		change(walk->mm, c[1], c[2], what, flags);
}

static __always_inline void scanned(struct mm_walk *walk, __u64 start, __u64 end, __u32 what,
				    __u32 flags)
{
	struct pagemap_scan_private *p;

	if (!filter[place_of(hashed(walk->mm), 0)])
		return;
	p = walk->private;
	if (BPF_CORE_READ(p, arg.flags) & PM_SCAN_WP_MATCHING)
		change(walk->mm, start, end, what, flags);
}

FORM(scan)
{
	scanned((void *)c[3], c[1], c[2], what, flags);
}

FORM(scan_huge)
{
	scanned((void *)c[4], c[2], c[3], what, flags);
}

FORM(replace)
{
	change_block(((struct vm_area_struct *)c[0])->vm_mm, c[1], state.page_size, what, flags);
}

/* The instruction may reach into the next page. */
FORM(uprobe)
{
	__u64 start = down(c[2], state.page_size);

	change(((struct vm_area_struct *)c[1])->vm_mm, start, start + 2 * state.page_size, what,
	       flags);
}

#define zap_range zap_single

/* The two programs of a row. */
#define PROGRAMS(nr, form, function, group, kind, parameters)                                      \
	SEC("fentry")                                                                              \
	int begin_##nr(__u64 *c)                                                                   \
	{                                                                                          \
		form(c, (kind) | (nr) << 16, 0);                                                   \
		return 0;                                                                          \
	}                                                                                          \
	SEC("fexit")                                                                               \
	int end_##nr(__u64 *c)                                                                     \
	{                                                                                          \
		form(c, (kind) | (nr) << 16, WATCH_END);                                           \
		return 0;                                                                          \
	}
WATCH_SITES(PROGRAMS)

/* The kernel's numbers of what changes, in ours. */
static __always_inline __u32 kind_of(__u32 event)
{
	switch (event) {
	case 0: /* unmap */
	case 5: /* release */
		return WATCH_UNMAP;
	case 2:
		return WATCH_PROTECT;
	case 3:
		return WATCH_PROTECT_PAGE;
	case 4:
		return WATCH_SOFT_DIRTY;
	case 6:
		return WATCH_MIGRATE;
	case 7:
		return WATCH_EXCLUSIVE;
	default:
		return WATCH_CLEAR;
	}
}

static __always_inline void notified(__u64 *c, __u32 flags)
{
	struct mmu_notifier_range *r = (void *)c[0];

	change(r->mm, r->start, r->end, kind_of(r->event) | WATCH_SITE_NOTIFIER << 16, flags);
}

SEC("fentry/__mmu_notifier_invalidate_range_start")
int notifier_begin(__u64 *c)
{
	notified(c, 0);
	return 0;
}

/*
 * The page tables have changed when this is called. A beginning that a notifier refuses, as it
 * would have to wait, has no end. The kernel asks so only to take the memory of a process that it
 * kills.
 */
SEC("fentry/__mmu_notifier_invalidate_range_end")
int notifier_end(__u64 *c)
{
	notified(c, WATCH_END);
	return 0;
}

/* Takes an mm out of the tables. True for one of those that try it at the same time. */
static __always_inline bool forget(__u64 key, __u32 place)
{
	struct watch_global *g = the_global();

	if (bpf_map_delete_elem(&spaces, &key))
		return false;
	__sync_fetch_and_sub(counter(place), 1);
	if (g)
		add(&g->watched, -1ULL);
	return true;
}

static __always_inline void end_space(__u32 slot)
{
	struct watch_space *space = page_of(slot);

	if (!space)
		return;
	*(volatile __u64 *)&space->ended = 1;
	add(&space->trouble, 1);
}

/* An address space ends: the same address may be another's soon. */
SEC("fentry/exit_mmap")
int space_ends(__u64 *c)
{
	struct mm_struct *mm = (void *)c[0];
	__u32 hash = hashed(mm), slot, i;
	__u64 key, *entry, none = 0;

	if (!filter[place_of(hash, 0)] && !filter[place_of(hash, 1)])
		return 0;
	for (i = 0; i < 2 * WATCH_LOGS; i++) {
		key = (__u64)mm + i;
		entry = bpf_map_lookup_elem(&spaces, &key);
		if (!entry)
			continue;
		slot = (__u32) * (volatile __u64 *)entry;
		if (!forget(key, place_of(hash, i >= WATCH_LOGS)))
			continue;
		end_space(slot);
		bpf_map_update_elem(&owners, &slot, &none, BPF_ANY);
	}
	return 0;
}

/*
 * Begins to watch the address space of the first thread of a process that has one. The entry is in
 * the table first, then the thread must still have the space: a thread lets go of it before the
 * kernel ends it, so space_ends() will find the entry.
 */
struct task_iterator {
	void *meta;
	struct task_struct *task;
};

/*
 * Does the kernel call notifiers of this space? It asks the same. The member is set while every
 * lock is held under which page tables change, and stays for the life of the space, also when the
 * last notifier goes. So no change under way lacks its beginning.
 */
static __always_inline bool has_notifiers(__u64 mm)
{
	struct mm_struct *p = (void *)mm;
	void *subscriptions = NULL;

	if (!bpf_core_field_exists(p->notifier_subscriptions))
		return false;
	return !bpf_core_read(&subscriptions, sizeof(subscriptions), &p->notifier_subscriptions) &&
	       subscriptions;
}

/* How the space is told of: the number of its first key; -ENODATA: nothing would be told. */
static __always_inline int first_log(__u64 mm)
{
	if (state.notifiers && !state.open_functions && has_notifiers(mm))
		return WATCH_LOGS;
	if (state.functions)
		return 0;
	return state.open_anyway ? WATCH_LOGS : -ENODATA;
}

/* Enters the space as its log of this number. False: it has that one already. */
static __always_inline bool enter(__u64 key, __u32 place, __u32 slot, __u64 value)
{
	struct watch_global *g = the_global();

	bpf_map_update_elem(&owners, &slot, &key, BPF_ANY);
	__sync_fetch_and_add(counter(place), 1);
	if (g)
		add(&g->watched, 1);
	if (!bpf_map_update_elem(&spaces, &key, &value, BPF_NOEXIST))
		return true;
	__sync_fetch_and_sub(counter(place), 1);
	if (g)
		add(&g->watched, -1ULL);
	return false;
}

SEC("iter/task")
int watch_task(struct task_iterator *it)
{
	__u32 slot = state.open_slot, place, i;
	struct task_struct *task = it->task;
	__u64 mm, key, value, *owner;
	struct watch_space *space;
	int first;

	if (!task || state.open_result || (task->flags & PF_KTHREAD))
		return 0;
	/* As a number: the kernel refuses most arithmetic with pointers. */
	if (bpf_core_read(&mm, sizeof(mm), &task->mm) || !mm)
		return 0;
	if (state.open_asks) {
		owner = bpf_map_lookup_elem(&owners, &slot);
		state.open_result = owner && *owner - mm < 2 * WATCH_LOGS ? 1 : -ENOENT;
		return 0;
	}
	first = first_log(mm);
	space = page_of(slot);
	if (first < 0 || !space) {
		state.open_result = -ENODATA;
		return 0;
	}
	place = place_of(hashed((void *)mm), first);
	value = slot | (__u64)(__u32)task->tgid << ENTRY_BITS;
	state.open_result = -EBUSY;
	/* Unrolled: 6.1 wants a jump at the end of a loop, and the compiler may turn it around. */
#pragma clang loop unroll(full)
	for (i = 0; i < WATCH_LOGS; i++) {
		key = mm + (first ? WATCH_LOGS : 0) + i;
		if (!enter(key, place, slot, value))
			continue;
		/* It is that space that has notifiers: another may have had this address. */
		if (*(volatile __u64 *)&task->mm == mm &&
		    (!first || state.open_anyway || has_notifiers(mm))) {
			if (first && has_notifiers(mm))
				*(volatile __u64 *)&space->anchored = 1;
			state.open_result = 1;
		} else {
			forget(key, place);
			state.open_result = 0;
		}
		break;
	}
	if (state.open_result != 1) {
		key = 0;
		bpf_map_update_elem(&owners, &slot, &key, BPF_ANY);
	}
	return 0;
}

SEC("syscall")
int watch_command(struct watch_command *command)
{
	__u32 slot = command->slot;
	struct watch_space *space;
	struct watch_global *g;
	__u64 *owner, key, none = 0;

	if (command->detach) {
		g = the_global();
		if (!g)
			return -ENOENT;
		*(volatile __u64 *)&g->detached = 1;
		add(&g->word, WATCH_ON);
		return 0;
	}
	owner = bpf_map_lookup_elem(&owners, &slot);
	if (owner && *owner) {
		key = *owner;
		forget(key, place_of((((__u32)key >> 6) * 0x9e3779b1U) >> (32 - WATCH_FILTER_BITS),
				     key & WATCH_LOGS));
		bpf_map_update_elem(&owners, &slot, &none, BPF_ANY);
	}
	end_space(slot);
	/* Wakes who waits for the log, and names everything. */
	space = page_of(slot);
	if (space)
		write_record(slot, space, 0, ~0ULL, WATCH_UNMAP | WATCH_SITE_NONE << 16, 0);
	return 0;
}

/*
 * The administrator may switch off ftrace (sysctl kernel.ftrace_enabled), by which the programs are
 * called, without a word to anybody. The kernel reads the new value by this function first.
 */
SEC("fentry/proc_dointvec")
int switched_off(__u64 *c)
{
	static const char wanted[] = "ftrace_enabled";
	struct ctl_table *table = (void *)c[0];
	char name[sizeof(wanted)] = { 0 };
	struct watch_global *g;
	__u32 i;

	if (!(__s32)c[1])
		return 0;
	bpf_core_read_str(name, sizeof(name), table->procname);
	for (i = 0; i < sizeof(wanted); i++)
		if (name[i] != wanted[i])
			return 0;
	g = the_global();
	if (g) {
		*(volatile __u64 *)&g->detached = 1;
		add(&g->word, WATCH_ON);
	}
	return 0;
}

/*
 * Runs with interrupts off, so that nothing makes the kernel skip it. A thread inside a program may
 * not migrate: the kernel forbids it before it marks the program as running on this processor, and
 * allows it after it took the mark away.
 */
SEC("tp_btf/sched_switch")
int switched(__u64 *c)
{
	struct task_struct *prev = (void *)c[1], *next = (void *)c[2];
	__u32 had = prev->migration_disabled, has = next->migration_disabled, pid;
	struct watch_global *g;
	__u8 one = 1;

	if (!state.switch_armed) {
		if (had < state.switch_base)
			state.switch_base = had;
		return 0;
	}
	if (had > state.switch_base) {
		pid = prev->pid;
		/* One that finds no room stays counted for ever: nothing is trusted again. */
		g = the_global();
		if (g && bpf_map_update_elem(&out, &pid, &one, BPF_NOEXIST) != -EEXIST)
			add(&g->word, 1);
	}
	if (has) {
		pid = next->pid;
		g = the_global();
		if (g && bpf_map_lookup_elem(&out, &pid)) {
			add(&g->word, WATCH_ON - 1);
			bpf_map_delete_elem(&out, &pid);
		}
	}
	return 0;
}
