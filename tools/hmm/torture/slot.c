// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Mappings of each kind. Slots lie far below the addresses that the kernel chooses itself, so that
 * no other mmap takes a hole in one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "oracle.h"
#include "slot.h"

#define ARENA 0x100000000000ULL
#define SLOT_SPAN (128ULL << 20)
/* leaves room below a slot for a stack to grow into, with its guard gap */
#define SLOT_AT (48ULL << 20)
#define AWAY_AT (96ULL << 20)
#define THP_SIZE (2ULL << 20)
#define WIDE_LEAD (24ULL << 20) /* takes 0.7 ms to discard */

static const struct {
	const char *name;
	enum hmm_vma_kind vma;
	bool shared;
} kinds[KIND_NR] = {
	[KIND_ANON] = { "anon", HMM_VMA_ANON, false },
	[KIND_THP] = { "thp", HMM_VMA_ANON, false },
	[KIND_SHMEM] = { "shmem", HMM_VMA_SHMEM, true },
	[KIND_PRIVATE] = { "private", HMM_VMA_SHMEM, false },
	[KIND_SYSV] = { "sysv", HMM_VMA_SYSV, true },
	[KIND_FILE] = { "file", HMM_VMA_FILE, true },
	[KIND_BRK] = { "brk", HMM_VMA_ANON, false },
	[KIND_STACK] = { "stack", HMM_VMA_ANON, false },
	[KIND_WIDE] = { "wide", HMM_VMA_ANON, false },
};

const char *kind_name(enum kind kind)
{
	return kinds[kind].name;
}

enum hmm_vma_kind kind_vma(enum kind kind)
{
	return kinds[kind].vma;
}

bool kind_shared(enum kind kind)
{
	return kinds[kind].shared;
}

uint64_t slot_lowest(void)
{
	return ARENA - (1 << 20);
}

uint64_t slot_page(const struct slot *slot, unsigned int i)
{
	return slot->base + i * slot->stride;
}

int tort_munmap(bool raw, uint64_t addr, uint64_t len)
{
	return (int)(raw ? syscall(SYS_munmap, addr, len) : munmap((void *)addr, len)) ? -errno : 0;
}

int64_t tort_mmap(bool raw, uint64_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
	int64_t p = raw ? syscall(SYS_mmap, addr, len, prot, flags, fd, off)
			: (int64_t)mmap((void *)addr, len, prot, flags, fd, (off_t)off);

	return p == -1 ? -errno : p;
}

int64_t tort_mremap(bool raw, uint64_t old, uint64_t old_len, uint64_t len, int flags, uint64_t to)
{
	int64_t p = raw ? syscall(SYS_mremap, old, old_len, len, flags, to)
			: (int64_t)mremap((void *)old, old_len, len, flags, (void *)to);

	return p == -1 ? -errno : p;
}

int tort_madvise(bool raw, uint64_t addr, uint64_t len, int advice)
{
	return (int)(raw ? syscall(SYS_madvise, addr, len, advice)
			 : madvise((void *)addr, len, advice))
		       ? -errno
		       : 0;
}

int slot_peek(uint64_t addr, uint64_t *word)
{
	struct iovec to = { word, sizeof(*word) };
	struct iovec from = { (void *)addr, sizeof(*word) };
	unsigned char in_core;

	/*
	 * Asks first whether anything is mapped: the kernel logs a complaint when the memory below
	 * a stack is read in another way.
	 */
	if (mincore((void *)(addr & ~(HMM_PAGE_SIZE - 1)), HMM_PAGE_SIZE, &in_core))
		return -EFAULT;
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)sizeof(*word) ? 0
											 : -errno;
}

uint64_t slot_object_len(const struct slot *slot)
{
	/* shmat always maps a whole segment */
	return slot->kind == KIND_SYSV ? slot->len : slot->len + HMM_PAGE_SIZE;
}

static int object_create(struct slot *slot, struct object *o)
{
	struct stat st;
	void *p;

	o->fd = o->shmid = -1;
	if (slot->kind == KIND_SYSV) {
		o->shmid = shmget(IPC_PRIVATE, slot_object_len(slot), IPC_CREAT | 0600);
		if (o->shmid < 0)
			return -errno;
		p = shmat(o->shmid, NULL, 0);
		/*
		 * The segment is marked for removal at once, so that none is left behind. It can
		 * still be attached.
		 */
		shmctl(o->shmid, IPC_RMID, NULL);
		o->inode = (uint64_t)o->shmid;
	} else {
		if (slot->kind == KIND_FILE) {
			const char *dir = getenv("TMPDIR");

			o->fd = open(dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		} else {
			o->fd = memfd_create("torture", MFD_CLOEXEC);
		}
		if (o->fd < 0)
			return -errno;
		if (ftruncate(o->fd, (off_t)slot_object_len(slot)) || fstat(o->fd, &st))
			return -errno;
		o->inode = st.st_ino;
		p = mmap(NULL, slot_object_len(slot), PROT_READ | PROT_WRITE, MAP_SHARED, o->fd, 0);
	}
	if (p == MAP_FAILED || p == (void *)-1)
		return -errno;
	o->alias = p;
	return 0;
}

static void object_destroy(struct slot *slot, struct object *o)
{
	if (!o->alias)
		return;
	if (o->shmid >= 0)
		shmdt(o->alias);
	else
		munmap(o->alias, slot_object_len(slot));
	if (o->fd >= 0)
		close(o->fd);
}

/*
 * Never called for the object that is mapped, whose content belongs to the operation that mapped
 * it.
 */
static void fill_object(struct slot *slot, const struct object *o, uint64_t stamp)
{
	unsigned int i;

	if (!kinds[slot->kind].shared)
		return;
	for (i = 0; i < PAGES; i++)
		oracle_fill((uint64_t *)(o->alias + i * slot->stride), oracle_word(slot, i, stamp));
}

static int map_stack(uint64_t addr, uint64_t len, int flags, bool raw)
{
	uint64_t top = flags & MAP_FIXED ? addr : addr + len - HMM_PAGE_SIZE;
	int64_t p;

	/*
	 * A stack that is mapped into a hole begins as one page and grows. One that replaces
	 * something must cover all of it.
	 */
	p = tort_mmap(raw, top, addr + len - top, PROT_READ | PROT_WRITE,
		      flags | MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, -1, 0);
	if (p < 0)
		return (int)p;
	for (; top > addr; top -= HMM_PAGE_SIZE)
		*(volatile char *)(top - HMM_PAGE_SIZE) = 0;
	return 0;
}

static int map_sysv(const struct object *o, uint64_t addr, bool over)
{
	/* shmat refuses an occupied address by itself */
	void *p = shmat(o->shmid, (void *)addr, over ? SHM_REMAP : 0);

	if (p != (void *)-1)
		return 0;
	return errno == EINVAL && !over ? -EEXIST : -errno;
}

static int map_object(struct slot *slot, const struct object *o, uint64_t addr, bool over, bool raw)
{
	int flags = over ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	int64_t p;

	switch (slot->kind) {
	case KIND_STACK:
		return map_stack(addr, slot->len, flags, raw);
	case KIND_SYSV:
		return map_sysv(o, addr, over);
	case KIND_BRK:
		return -EOPNOTSUPP;
	case KIND_SHMEM:
	case KIND_FILE:
		flags |= MAP_SHARED;
		break;
	case KIND_PRIVATE:
		flags |= MAP_PRIVATE;
		break;
	default:
		flags |= MAP_PRIVATE | MAP_ANONYMOUS;
		break;
	}
	p = tort_mmap(raw, addr - slot->lead, slot->lead + slot->len, PROT_READ | PROT_WRITE, flags,
		      o->fd, 0);
	if (p < 0)
		return (int)p;
	if (slot->kind == KIND_THP)
		madvise((void *)addr, slot->len, MADV_HUGEPAGE);
	if (slot->kind ==
	    KIND_WIDE) /* on all of it, or it would be two mappings with an event each */
		madvise((void *)p, slot->lead + slot->len, MADV_NOHUGEPAGE);
	return 0;
}

int slot_map_at(struct slot *slot, uint64_t addr, bool over, bool raw, uint64_t stamp)
{
	unsigned int next = (slot->object + 1) % OBJECTS;
	int ret;

	fill_object(slot, &slot->objects[next], stamp);
	ret = map_object(slot, &slot->objects[next], addr, over, raw);
	if (!ret)
		slot->object = next;
	return ret;
}

int slot_map(struct slot *slot, bool over, bool raw, uint64_t stamp)
{
	return slot_map_at(slot, slot->base, over, raw, stamp);
}

static int slot_place(struct slot *slot)
{
	uint64_t at = ARENA + slot->id * SLOT_SPAN;

	slot->len = slot->kind == KIND_THP ? THP_SIZE : PAGES * HMM_PAGE_SIZE;
	slot->stride = slot->len / PAGES;
	slot->lead = slot->kind == KIND_WIDE ? WIDE_LEAD : 0;
	slot->base = at + SLOT_AT;
	slot->away = at + AWAY_AT;
	if (slot->kind != KIND_BRK)
		return slot_map(slot, false, false, 1);
	/*
	 * The slot is the top of the heap, aligned, above a page for the latch. The rest of the
	 * heap stays malloc's.
	 */
	slot->base = ((uint64_t)sbrk(0) + 2 * HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1);
	return brk((void *)(slot->base + slot->len)) ? -errno : 0;
}

int slot_create(struct slot *slot, unsigned int id, enum kind kind, bool checked)
{
	unsigned int i;
	int ret;

	memset(slot, 0, sizeof(*slot));
	slot->id = id;
	slot->kind = kind;
	slot->checked = checked;
	slot->len = PAGES * HMM_PAGE_SIZE;
	slot->stride = HMM_PAGE_SIZE;
	atomic_store(&slot->issued, 1);
	for (i = 0; i < OBJECTS; i++)
		slot->objects[i].fd = slot->objects[i].shmid = -1;
	for (i = 0; i < OBJECTS && (kinds[kind].shared || kind == KIND_PRIVATE); i++) {
		ret = object_create(slot, &slot->objects[i]);
		if (ret)
			return ret;
	}
	ret = slot_place(slot);
	if (ret)
		return ret;
	oracle_stamp(slot, 0, PAGES, 1);
	return 0;
}

void slot_destroy(struct slot *slot)
{
	unsigned int i;

	if (slot->kind == KIND_BRK) {
		if ((uint64_t)sbrk(0) == slot->base + slot->len)
			(void)!brk((void *)(slot->base - HMM_PAGE_SIZE));
	} else if (slot->base) {
		munmap((void *)(slot->base - slot->lead), slot->lead + slot->len);
		munmap((void *)slot->away, slot->len);
	}
	for (i = 0; i < OBJECTS; i++)
		object_destroy(slot, &slot->objects[i]);
}
