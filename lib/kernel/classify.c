// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What kind of memory a VMA maps. Anonymous, hugetlb and the kernel's internal shared memory are
 * recognised by what the look-up says. For a file its inode has to be asked, and the answer is kept
 * for a second. If the inode number is used again within that second the new file may be given the
 * kind of the old one. Then a device gets smaller entries than it could, and nothing worse, as file
 * and DAX mappings are mirrored and checked alike.
 */
#include "kernel/abi/procmap.h"
#include "kernel/mounts.h"
#include "kernel/smaps.h"
#include "kernel/vma.h"
#include "base/deadline.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <unistd.h>

/* A driver asks about all mapped files at each job, so there should be room for them. */
#define FACTS_NR 4096
#define FACTS_NS 1000000000ULL
#define HUGE_SIZES_NR 8

struct file_facts {
	uint64_t inode;
	uint32_t dev_major;
	uint32_t dev_minor;
	uint64_t until; /* 0: empty */
	uint32_t kind;
};

struct vma_cache {
	/* the kernel's own tmpfs: memfds, shared anonymous memory, System V segments */
	uint32_t shm_major;
	uint32_t shm_minor;
	uint64_t page_size;
	struct {
		uint32_t dev_major;
		uint32_t dev_minor;
		uint64_t size;
	} huge[HUGE_SIZES_NR]; /* the kernel's own hugetlbfs mounts, one a page size */
	pthread_mutex_t lock;
	struct file_facts facts[FACTS_NR]; /* lock */
};

/* Learns the device numbers of the kernel's internal mounts by making a file there. */
static void learn_internal(struct vma_cache *cache)
{
	struct stat st;
	int n = 0;
	int fd = memfd_create("libhmm", MFD_CLOEXEC);

	if (fd >= 0 && !fstat(fd, &st)) {
		cache->shm_major = major(st.st_dev);
		cache->shm_minor = minor(st.st_dev);
	}
	if (fd >= 0)
		close(fd);
	for (unsigned int order = 14; order < 40 && n < HUGE_SIZES_NR; order++) {
		fd = memfd_create("libhmm", MFD_CLOEXEC | MFD_HUGETLB | order << MFD_HUGE_SHIFT);
		if (fd < 0)
			continue;
		if (!fstat(fd, &st)) {
			cache->huge[n].dev_major = major(st.st_dev);
			cache->huge[n].dev_minor = minor(st.st_dev);
			cache->huge[n++].size = 1ULL << order;
		}
		close(fd);
	}
}

struct vma_cache *vma_cache_create(void)
{
	struct vma_cache *cache = pool_map(sizeof(*cache));

	if (!cache)
		return NULL;
	pthread_mutex_init(&cache->lock, NULL);
	cache->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	learn_internal(cache);
	return cache;
}

void vma_cache_destroy(struct vma_cache *cache)
{
	if (!cache)
		return;
	pthread_mutex_destroy(&cache->lock);
	pool_unmap(cache, sizeof(*cache));
}

/*
 * A mapping of a device. One with VM_IO or VM_PFNMAP is memory without pages, which HMM refuses.
 * One with VM_MIXEDMAP has pages and is treated as a file's. Only smaps shows these flags; reading
 * it is slow, and such mappings are rare.
 */
static uint32_t classify_device(const struct vma_raw *raw, dev_t rdev)
{
	char flags[256];

	if (rdev == makedev(1, 5)) /* /dev/zero: private mappings are anonymous memory */
		return raw->vma.shared ? HMM_VMA_SHMEM : HMM_VMA_ANON;
	if (smaps_flags(raw->vma.start, flags, sizeof(flags)) || smaps_has(flags, "io") ||
	    smaps_has(flags, "pf"))
		return HMM_VMA_SPECIAL;
	return HMM_VMA_FILE;
}

static uint32_t classify_unopened(const struct vma_raw *raw)
{
	struct mount_facts facts;

	if (mounts_find_device(raw->vma.dev_major, raw->vma.dev_minor, &facts))
		/*
		 * No mount that we see has this device: an anonymous inode or the like, which
		 * cannot be mirrored, unless it has a path.
		 */
		return raw->path[0] == '/' ? HMM_VMA_FILE : HMM_VMA_SPECIAL;
	if (facts.is_hugetlbfs)
		return HMM_VMA_HUGETLB;
	if (facts.is_tmpfs)
		return !strncmp(raw->path, "/dev/", 5) && strncmp(raw->path, "/dev/shm/", 9)
			       ? HMM_VMA_SPECIAL
			       : HMM_VMA_SHMEM;
	return facts.dax_always ? HMM_VMA_DAX : HMM_VMA_FILE;
}

static uint32_t classify_file(struct vma_raw *raw)
{
	struct statx stx;
	struct statfs fs;
	uint32_t kind;
	int fd;

	/* The library does not wait for a server, which may not answer. */
	if (mounts_is_remote(raw->vma.dev_major, raw->vma.dev_minor))
		return HMM_VMA_FILE;
	fd = vma_file_open(raw);
	if (fd < 0)
		return classify_unopened(raw);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx) || fstatfs(fd, &fs))
		kind = HMM_VMA_SPECIAL;
	else if (S_ISCHR(stx.stx_mode) || S_ISBLK(stx.stx_mode))
		kind = classify_device(raw, makedev(stx.stx_rdev_major, stx.stx_rdev_minor));
	else if (!S_ISREG(stx.stx_mode))
		kind = HMM_VMA_SPECIAL;
	else if (fs.f_type == HUGETLBFS_MAGIC)
		kind = HMM_VMA_HUGETLB;
	else if (fs.f_type == TMPFS_MAGIC)
		kind = HMM_VMA_SHMEM;
	else
		kind = stx.stx_attributes & STATX_ATTR_DAX ? HMM_VMA_DAX : HMM_VMA_FILE;
	close(fd);
	return kind;
}

static struct file_facts *facts_of(struct vma_cache *cache, const struct hmm_vma *vma)
{
	return &cache->facts[((vma->inode ^ (uint64_t)vma->dev_minor << 32) *
				      0x9e3779b97f4a7c15ULL >>
			      32) %
			     FACTS_NR];
}

/* HMM_VMA_HOLE: the kind is not known. */
static uint32_t known_kind(struct vma_cache *cache, const struct hmm_vma *vma, uint64_t now)
{
	const struct file_facts *f = facts_of(cache, vma);
	uint32_t kind = HMM_VMA_HOLE;

	pthread_mutex_lock(&cache->lock);
	if (f->until > now && f->inode == vma->inode && f->dev_major == vma->dev_major &&
	    f->dev_minor == vma->dev_minor)
		kind = f->kind;
	pthread_mutex_unlock(&cache->lock);
	return kind;
}

bool vma_classify_known(struct vma_reader *r, struct hmm_vma *vma)
{
	uint32_t kind;

	/* The kind of a file of the kernel's own depends on its name. */
	if ((!vma->inode && !vma->dev_major && !vma->dev_minor) || !r->procmap_query ||
	    vma->page_size != r->cache->page_size ||
	    (vma->dev_major == r->cache->shm_major && vma->dev_minor == r->cache->shm_minor))
		return false;
	kind = known_kind(r->cache, vma, clock_ns());
	if (kind != HMM_VMA_HOLE)
		vma->kind = kind;
	return kind != HMM_VMA_HOLE;
}

static uint32_t classify_cached(struct vma_cache *cache, struct vma_raw *raw)
{
	const struct hmm_vma *vma = &raw->vma;
	const uint64_t now = clock_ns();
	uint32_t kind = known_kind(cache, vma, now);

	if (kind != HMM_VMA_HOLE)
		return kind;
	kind = classify_file(raw);
	/* Other kinds are not kept: a device, for one, has mappings of several kinds. */
	if (kind != HMM_VMA_SHMEM && kind != HMM_VMA_DAX && kind != HMM_VMA_FILE)
		return kind;
	pthread_mutex_lock(&cache->lock);
	*facts_of(cache, vma) = (struct file_facts){ vma->inode, vma->dev_major, vma->dev_minor,
						     now + FACTS_NS, kind };
	pthread_mutex_unlock(&cache->lock);
	return kind;
}

static uint32_t classify_unnamed(const struct vma_raw *raw)
{
	const char *name = raw->path;

	if (name[0] != '[')
		return HMM_VMA_ANON;
	if (!strcmp(name, "[anon:libhmm]"))
		return HMM_VMA_SPECIAL;
	if (!strcmp(name, "[heap]") || !strncmp(name, "[stack", 6) || !strncmp(name, "[anon:", 6))
		return HMM_VMA_ANON;
	return HMM_VMA_SPECIAL; /* [vdso], [vvar], [vsyscall], [uprobes] */
}

/*
 * The page size if the VMA is of one of the kernel's own hugetlbfs mounts, 0 otherwise. Without
 * PROCMAP_QUERY nothing else tells.
 */
static uint64_t internal_huge_size(const struct vma_cache *cache, const struct hmm_vma *vma)
{
	for (int i = 0; i < HUGE_SIZES_NR && cache->huge[i].size; i++) {
		if (cache->huge[i].dev_major == vma->dev_major &&
		    cache->huge[i].dev_minor == vma->dev_minor)
			return cache->huge[i].size;
	}
	return 0;
}

static uint64_t mounted_huge_size(const struct vma_raw *raw)
{
	struct statfs fs;
	uint64_t size = 0;
	int fd = vma_file_open(raw);

	if (fd < 0)
		return 0;
	if (!fstatfs(fd, &fs) && fs.f_type == HUGETLBFS_MAGIC)
		size = (uint64_t)fs.f_bsize;
	close(fd);
	return size;
}

void vma_classify(struct vma_reader *r, struct vma_raw *raw)
{
	const struct vma_cache *cache = r->cache;
	struct hmm_vma *vma = &raw->vma;
	const bool sysv = !strncmp(raw->path, "/SYSV", 5);
	uint64_t huge;

	/* The device number is looked at, too, as the first System V segment has inode number 0. */
	if (!vma->inode && !vma->dev_major && !vma->dev_minor) {
		vma->kind = pool_owns(vma->start) ? HMM_VMA_SPECIAL : classify_unnamed(raw);
		return;
	}
	huge = internal_huge_size(cache, vma);
	if (huge)
		vma->page_size = huge;
	if (huge || (vma->dev_major == cache->shm_major && vma->dev_minor == cache->shm_minor)) {
		vma->kind = sysv ? HMM_VMA_SYSV : huge ? HMM_VMA_HUGETLB : HMM_VMA_SHMEM;
		return;
	}
	if (vma->page_size > cache->page_size) {
		vma->kind = HMM_VMA_HUGETLB;
		return;
	}
	vma->kind = classify_cached(r->cache, raw);
	if (vma->kind == HMM_VMA_HUGETLB) {
		huge = mounted_huge_size(raw);
		vma->page_size = huge ? huge : vma->page_size;
	}
}
