// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* VMA look-ups: every kind, by PROCMAP_QUERY and by maps, and the files behind them. */
#include "common/mappings.h"

#include "kernel/vma.h"

#include <linux/magic.h>
#include <sys/vfs.h>

struct readers {
	struct vma_reader query;
	struct vma_reader maps;
};

static int open_readers(void **state)
{
	static struct readers r;

	assert_int_equal(vma_reader_open(&r.query, -1, false), 0);
	assert_int_equal(vma_reader_open(&r.maps, -1, true), 0);
	*state = &r;
	return 0;
}

static int close_readers(void **state)
{
	struct readers *r = *state;

	vma_reader_close(&r->query);
	vma_reader_close(&r->maps);
	return 0;
}

/* Both ways must say the same. */
static struct hmm_vma look(void **state, const void *p)
{
	struct readers *r = *state;
	struct hmm_vma a = { 0 };
	struct hmm_vma b = { 0 };

	assert_int_equal(vma_lookup(&r->query, at(p), &a), 0);
	assert_int_equal(vma_lookup(&r->maps, at(p), &b), 0);
	assert_false(r->maps.procmap_query);
	assert_int_equal(a.start, b.start);
	assert_int_equal(a.end, b.end);
	assert_int_equal(a.offset, b.offset);
	assert_int_equal(a.inode, b.inode);
	assert_int_equal(a.dev_major, b.dev_major);
	assert_int_equal(a.dev_minor, b.dev_minor);
	assert_int_equal(a.kind, b.kind);
	assert_int_equal(a.prot, b.prot);
	assert_int_equal(a.shared, b.shared);
	assert_int_equal(a.page_size, b.page_size);
	assert_string_equal(a.name, b.name);
	assert_int_equal(vma_peek(&r->query, at(p), &b), 0);
	assert_int_equal(a.start, b.start);
	assert_int_equal(a.prot, b.prot);
	assert_int_equal(a.inode, b.inode);
	return a;
}

static void anonymous(void **state)
{
	char *p = map_anon(16 * PAGE, RW);
	struct hmm_vma v = look(state, p + 5 * PAGE);

	assert_int_equal(v.start, at(p));
	assert_int_equal(v.end, at(p) + 16 * PAGE);
	assert_int_equal(v.kind, HMM_VMA_ANON);
	assert_int_equal(v.prot, RW);
	assert_false(v.shared);
	assert_int_equal(v.page_size, PAGE);
	mprotect(p, PAGE, PROT_READ);
	v = look(state, p);
	assert_int_equal(v.prot, PROT_READ);
	assert_int_equal(v.end, at(p) + PAGE);
}

static void heap_stack_and_zero(void **state)
{
	int here = 0;
	int fd = open("/dev/zero", O_RDWR);
	char *p = map_fd(PAGE, RW, MAP_PRIVATE, fd, 0);
	char *q = map_fd(PAGE, RW, MAP_SHARED, fd, 0);

	/* A sanitizer's malloc leaves the heap empty: make some. */
	assert_true(sbrk(PAGE) != (void *)-1);
	assert_int_equal(look(state, sbrk(0) - 1).kind, HMM_VMA_ANON);
	assert_string_equal(look(state, sbrk(0) - 1).name, "[heap]");
	assert_int_equal(look(state, &here).kind, HMM_VMA_ANON);
	assert_int_equal(look(state, p).kind, HMM_VMA_ANON);
	assert_int_equal(look(state, q).kind, HMM_VMA_SHMEM);
	close(fd);
}

static void hole_gives_the_next_vma(void **state)
{
	char *p = map_anon(4 * PAGE, RW);
	struct hmm_vma v;

	munmap(p + PAGE, PAGE);
	v = look(state, p + PAGE);
	assert_int_equal(v.start, at(p) + 2 * PAGE);
}

static void nothing_above_is_enoent(void **state)
{
	struct readers *r = *state;
	struct hmm_vma v;

	assert_int_equal(vma_lookup(&r->query, UINT64_MAX - PAGE, &v), -ENOENT);
	assert_int_equal(vma_lookup(&r->maps, UINT64_MAX - PAGE, &v), -ENOENT);
	assert_int_equal(vma_peek(&r->query, UINT64_MAX - PAGE, &v), -ENOENT);
}

static void shared_memory(void **state)
{
	int fd = make_memfd(8 * PAGE, 0);
	char *p = map_fd(4 * PAGE, RW, MAP_SHARED, fd, PAGE);
	char *q = map_fd(4 * PAGE, RW, MAP_PRIVATE, fd, 0);
	char *s = map_fd(PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct hmm_vma v = look(state, p);

	assert_int_equal(v.kind, HMM_VMA_SHMEM);
	assert_true(v.shared);
	assert_int_equal(v.offset, PAGE);
	assert_non_null(strstr(v.name, "hmm-unit"));
	assert_int_equal(look(state, q).kind, HMM_VMA_SHMEM);
	assert_false(look(state, q).shared);
	assert_int_equal(look(state, s).kind, HMM_VMA_SHMEM);
	close(fd);
}

static void tmpfs_file(void **state)
{
	char name[32];
	char *p;
	int fd;

	snprintf(name, sizeof(name), "/hmm-unit-%d", (int)getpid());
	fd = shm_open(name, O_CREAT | O_RDWR, 0600);
	if (fd < 0)
		skip();
	assert_int_equal(ftruncate(fd, PAGE), 0);
	p = map_fd(PAGE, RW, MAP_SHARED, fd, 0);
	assert_int_equal(look(state, p).kind, HMM_VMA_SHMEM);
	shm_unlink(name);
	close(fd);
	assert_int_equal(look(state, p).kind, HMM_VMA_SHMEM);
}

static void sysv(void **state)
{
	/* the very first segment has inode 0 */
	int id = shmget(IPC_PRIVATE, 4 * PAGE, IPC_CREAT | 0600);
	char *p = shmat(id, NULL, 0);

	assert_ptr_not_equal(p, (void *)-1);
	assert_int_equal(look(state, p).kind, HMM_VMA_SYSV);
	assert_true(look(state, p).shared);
	shmdt(p);
	shmctl(id, IPC_RMID, NULL);
}

static void huge(void **state)
{
	int fd;
	char *p;
	char *q = NULL;

	fd = make_memfd(2 * MIB, MFD_HUGETLB);
	p = map_huge(2 * MIB, MAP_PRIVATE, 4);
	for (int i = 0; i < 200 && huge_pages(4) > 0; i++, usleep(10000)) {
		q = map_fd(2 * MIB, RW, MAP_SHARED, fd, 0);
		if (q)
			break;
	}
	if (!p || !q) {
		print_message("no huge pages and no right to reserve some\n");
		huge_pages(0);
		skip();
	}
	assert_int_equal(look(state, p).kind, HMM_VMA_HUGETLB);
	assert_int_equal(look(state, p).page_size, 2 * MIB);
	assert_int_equal(look(state, q).kind, HMM_VMA_HUGETLB);
	assert_int_equal(look(state, q).page_size, 2 * MIB);
	munmap(p, 2 * MIB);
	munmap(q, 2 * MIB);
	close(fd);
	huge_pages(0);
}

/* The tests run on a DAX filesystem too. */
static uint32_t kind_of(int fd)
{
	struct statx stx;
	struct statfs fs;

	assert_int_equal(statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &stx), 0);
	assert_int_equal(fstatfs(fd, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC)
		return HMM_VMA_SHMEM;
	return stx.stx_attributes & STATX_ATTR_DAX ? HMM_VMA_DAX : HMM_VMA_FILE;
}

static void file(void **state)
{
	char path[32];
	int fd = make_file(path, 4 * PAGE);
	char *p = map_fd(2 * PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	struct hmm_vma v = look(state, p);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(v.kind, kind_of(fd));
	assert_int_equal(v.inode, st.st_ino);
	assert_int_equal(v.offset, PAGE);
	assert_non_null(strstr(v.name, path));
	unlink(path);
	assert_non_null(strstr(look(state, p).name, "(deleted)"));
	assert_int_equal(look(state, p).kind, v.kind);
	close(fd);
	assert_int_equal(look(state, p).kind, v.kind);
}

static void special(void **state)
{
	const char *p = NULL;
	struct readers *r = *state;
	struct hmm_vma v;
	char *own = pool_map(PAGE);

	for (uint64_t a = 0; !vma_lookup(&r->query, a, &v); a = v.end) {
		if (!strcmp(v.name, "[vdso]"))
			p = (const char *)(uintptr_t)v.start;
	}
	assert_non_null(p);
	assert_int_equal(look(state, p).kind, HMM_VMA_SPECIAL);
	assert_non_null(own);
	own[0] = 1;
	assert_int_equal(look(state, own).kind, HMM_VMA_SPECIAL);
	pool_unmap(own, PAGE);
	own = mmap(own, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (own != MAP_FAILED)
		assert_int_equal(look(state, own).kind, HMM_VMA_ANON);
}

static void physical_memory_is_special(void **state)
{
	int fd = open("/dev/mem", O_RDONLY);
	char *p = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0xf0000);

	if (p == MAP_FAILED)
		skip();
	assert_int_equal(look(state, p).kind, HMM_VMA_SPECIAL);
	munmap(p, PAGE);
	close(fd);
}

/* The descriptor must be of the very file, whatever happened to its name. */
static void check_file(void **state, const char *p, const struct stat *want)
{
	struct readers *r = *state;
	struct hmm_vma v = look(state, p);
	struct stat st;
	int fd = vma_open_file(&r->query, &v);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_ino, want->st_ino);
	assert_int_equal(st.st_dev, want->st_dev);
	assert_true(fcntl(fd, F_GETFL) & O_PATH);
	close(fd);
}

static void file_of_a_vma(void **state)
{
	char path[32];
	char other[32];
	int fd = make_file(path, PAGE);
	int fd2 = make_file(other, PAGE);
	char *p = map_fd(PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	check_file(state, p, &st);
	/* another file under its name */
	assert_int_equal(rename(other, path), 0);
	check_file(state, p, &st);
	unlink(path);
	check_file(state, p, &st);
	close(fd);
	close(fd2);
}

static int file_unprivileged(void)
{
	struct vma_reader r;
	struct hmm_vma v;
	char path[32];
	struct stat st;
	char *p;
	int file;
	int fd;

	if (chdir("/tmp") || vma_reader_open(&r, -1, false))
		return 1;
	file = make_file(path, PAGE);
	p = map_fd(PAGE, PROT_READ, MAP_PRIVATE, file, 0);
	if (fstat(file, &st) || vma_lookup(&r, at(p), &v) || v.kind != kind_of(file))
		return 2;
	fd = vma_open_file(&r, &v);
	if (fd < 0)
		return 3;
	close(fd);
	unlink(path);
	/* found among the program's descriptors */
	fd = vma_open_file(&r, &v);
	if (fd < 0)
		return 4;
	close(fd);
	close(file);
	/* nobody has it any more */
	fd = vma_open_file(&r, &v);
	if (fd != -ENOENT)
		return 5;
	if (vma_lookup(&r, at(p), &v) || (v.kind == HMM_VMA_SPECIAL || v.kind == HMM_VMA_ANON))
		return 6;
	munmap(p, PAGE);
	/* which says nothing about the file */
	fd = vma_open_file(&r, &v);
	if (fd != -EAGAIN)
		return 7;
	return 0;
}

static void file_of_a_vma_unprivileged(void **state)
{
	assert_int_equal(in_child(file_unprivileged, true), 0);
}

/* Closing any descriptor but an O_PATH one would drop the program's record locks. */
static void posix_locks_survive(void **state)
{
	char path[32];
	int fd = make_file(path, PAGE);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char *p = map_fd(PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	pid_t pid;
	int status;

	assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
	look(state, p);
	pid = fork();
	if (!pid) {
		struct flock seen = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

		_exit(fcntl(fd, F_GETLK, &seen) || seen.l_type != F_WRLCK);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	unlink(path);
	close(fd);
}

static void kinds_have_names(void **state)
{
	assert_string_equal(hmm_vma_kind_name(HMM_VMA_ANON), "anon");
	assert_string_equal(hmm_vma_kind_name(HMM_VMA_SPECIAL), "special");
	assert_string_equal(hmm_vma_kind_name(HMM_VMA_HOLE), "hole");
	assert_string_equal(hmm_vma_kind_name((enum hmm_vma_kind)99), "?");
}

struct count {
	int n;
	uint64_t last;
};

static int count(const struct hmm_vma *vma, void *arg)
{
	struct count *c = arg;

	assert_true(vma->start >= c->last);
	c->last = vma->end;
	return ++c->n == 3 ? 42 : 0;
}

static void walk(void **state)
{
	char *p = map_anon(3 * PAGE, RW);
	struct count c = { 0 };
	struct hmm_mm *mm;

	mprotect(p + PAGE, PAGE, PROT_READ);
	assert_int_equal(hmm_mm_attach(NULL, &mm), 0);
	assert_int_equal(hmm_vma_walk(mm, at(p), at(p) + 2 * PAGE, count, &c), 0);
	assert_int_equal(c.n, 2);
	c = (struct count){ 0 };
	assert_int_equal(hmm_vma_walk(mm, 0, UINT64_MAX, count, &c), 42);
	assert_int_equal(c.n, 3);
	hmm_mm_detach(mm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(anonymous),
		cmocka_unit_test(heap_stack_and_zero),
		cmocka_unit_test(hole_gives_the_next_vma),
		cmocka_unit_test(nothing_above_is_enoent),
		cmocka_unit_test(shared_memory),
		cmocka_unit_test(tmpfs_file),
		cmocka_unit_test(sysv),
		cmocka_unit_test(huge),
		cmocka_unit_test(file),
		cmocka_unit_test(special),
		cmocka_unit_test(physical_memory_is_special),
		cmocka_unit_test(file_of_a_vma),
		cmocka_unit_test(file_of_a_vma_unprivileged),
		cmocka_unit_test(posix_locks_survive),
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(walk),
	};

	return cmocka_run_group_tests(tests, open_readers, close_readers);
}
