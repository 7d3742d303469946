// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Pages in the device's memory, touched by the CPU in every way afterwards: what it finds is what
 * was written last.
 */
#include "common/huge.h"
#include "dmirror/device.h"

#include <hmm/hmm.h>

#include <pthread.h>
#include <stdatomic.h>

#define UFFD_MOVES (1ULL << 16) /* UFFD_FEATURE_MOVE */
#define PAGES 64
#define BYTES (PAGES * PAGE)

static int fd;
static char *buffer;

static int open_first(void **state)
{
	fd = device_open(0);
	buffer = anonymous(BYTES);
	return 0;
}

static int close_first(void **state)
{
	munmap(buffer, BYTES);
	return close(fd);
}

/* Memory with words of a round, all in the device's memory. */
static char *resident(uint64_t round)
{
	char *p = anonymous(BYTES);
	struct dmirror_command cmd;

	write_words(p, BYTES, round);
	assert_int_equal(device_do(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer, &cmd), 0);
	assert_int_equal(cmd.cpages, PAGES);
	check_words(buffer, BYTES, round);
	return p;
}

static void all_are(const char *p, size_t pages, uint8_t byte)
{
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(device_sees(fd, p + i * PAGE), byte);
}

/* Pages of a device whose memory both sides reach: nobody's touch moves them. */
static void coherent(void **state)
{
	const int private = fd, own = device_open(2), other = device_open(3);
	const uint8_t mine = DMIRROR_PAGE_COHERENT | DMIRROR_PAGE_WRITE;
	const uint8_t elsewhere = DMIRROR_PAGE_COHERENT_ELSEWHERE | DMIRROR_PAGE_WRITE;
	struct dmirror_command cmd;
	char *p;

	fd = own;
	p = resident(1);
	all_are(p, PAGES, mine);
	check_words(p, BYTES, 1);
	write_words(p, BYTES, 2);
	all_are(p, PAGES, mine);
	assert_int_equal(device_read(own, p, PAGES, buffer), 0);
	check_words(buffer, BYTES, 2);
	fd = other;
	all_are(p, PAGES, elsewhere);
	fd = private;
	all_are(p, PAGES, elsewhere);
	write_words(buffer, BYTES, 3);
	device_did(other, DMIRROR_WRITE, p, PAGES, buffer);
	fd = own;
	all_are(p, PAGES, mine);
	check_words(p, BYTES, 3);
	assert_int_equal(device_do(own, DMIRROR_MIGRATE_TO_SYS, p, PAGES, buffer, &cmd), 0);
	assert_int_equal(cmd.cpages, PAGES);
	all_are(p, PAGES, DMIRROR_PAGE_WRITE);
	check_words(p, BYTES, 3);
	fd = private;
	munmap(p, BYTES);
	close(own);
	close(other);
}

static void touches(void **state)
{
	char *p = resident(1);

	all_are(p, PAGES, DMIRROR_PAGE_PRIVATE | DMIRROR_PAGE_WRITE);
	check_words(p, BYTES, 1);
	all_are(p, PAGES, DMIRROR_PAGE_WRITE);
	assert_int_equal(device_read(fd, p, PAGES, buffer), 1);
	check_words(buffer, BYTES, 1);
	munmap(p, BYTES);
}

/* The device works where the pages are, without a fault. */
static void the_device_writes(void **state)
{
	char *p = resident(2);
	struct dmirror_command cmd;

	write_words(buffer, BYTES, 3);
	assert_int_equal(device_do(fd, DMIRROR_WRITE, p, PAGES, buffer, &cmd), 0);
	assert_int_equal(cmd.faults, 0);
	all_are(p, PAGES, DMIRROR_PAGE_PRIVATE | DMIRROR_PAGE_WRITE);
	memset(buffer, 0, BYTES);
	assert_int_equal(device_read(fd, p, PAGES, buffer), 0);
	check_words(buffer, BYTES, 3);
	check_words(p, BYTES, 3);
	munmap(p, BYTES);
}

static void the_cpu_writes(void **state)
{
	char *p = resident(4);

	write_words(p, BYTES, 5);
	assert_int_equal(device_read(fd, p, PAGES, buffer), 1);
	check_words(buffer, BYTES, 5);
	munmap(p, BYTES);
}

/* Only some pages go home, and all are the program's when the mixture migrates again. */
static void mixtures(void **state)
{
	char *p = resident(6);

	for (uint64_t round = 7; round < 10; round++) {
		for (size_t i = 0; i < PAGES; i += 3)
			p[i * PAGE] = p[i * PAGE];
		device_did(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer);
		check_words(buffer, BYTES, round - 1);
		write_words(p, BYTES, round);
	}
	munmap(p, BYTES);
}

static void system_calls(void **state)
{
	char *p = resident(10);
	int fds[2];

	if (geteuid())
		skip(); /* a userfaultfd for user mode only: EFAULT */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], p, PAGE), PAGE);
	assert_int_equal(read(fds[0], p + PAGE, PAGE), PAGE);
	assert_memory_equal(p, p + PAGE, PAGE);
	check_words(p, PAGE, 10);
	close(fds[0]);
	close(fds[1]);
	munmap(p, BYTES);
}

static void two_devices(void **state)
{
	const int other = device_open(1);
	char *p = resident(11);
	struct dmirror_command cmd;

	assert_int_equal(device_sees(other, p), DMIRROR_PAGE_NONE);
	assert_int_equal(device_do(other, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer, &cmd), -ENOENT);
	assert_int_equal(device_sees(fd, p), DMIRROR_PAGE_PRIVATE | DMIRROR_PAGE_WRITE);
	assert_int_equal(device_read(other, p, PAGES, buffer), 1);
	check_words(buffer, BYTES, 11);
	all_are(p, PAGES, DMIRROR_PAGE_WRITE);
	device_did(other, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer);
	assert_int_equal(device_read(fd, p, PAGES, buffer), 1);
	check_words(buffer, BYTES, 11);
	check_words(p, BYTES, 11);
	munmap(p, BYTES);
	close(other);
}

static void home_on_request(void **state)
{
	char *p = resident(12);
	struct dmirror_command cmd;

	assert_int_equal(device_do(fd, DMIRROR_MIGRATE_TO_SYS, p, PAGES / 2, buffer, &cmd), 0);
	assert_int_equal(cmd.cpages, PAGES / 2);
	all_are(p, PAGES / 2, DMIRROR_PAGE_WRITE);
	all_are(p + BYTES / 2, PAGES / 2, DMIRROR_PAGE_PRIVATE | DMIRROR_PAGE_WRITE);
	/* those that are at home do not count */
	assert_int_equal(device_do(fd, DMIRROR_MIGRATE_TO_SYS, p, PAGES, buffer, &cmd), 0);
	assert_int_equal(cmd.cpages, PAGES / 2);
	check_words(p, BYTES, 12);
	munmap(p, PAGE);
	assert_int_equal(device_do(fd, DMIRROR_MIGRATE_TO_SYS, p, PAGES, buffer, &cmd), -EINVAL);
	munmap(p, BYTES);
}

static void released(void **state)
{
	char *p = resident(13);

	device_did(fd, DMIRROR_RELEASE, p, PAGES, NULL);
	all_are(p, PAGES, DMIRROR_PAGE_WRITE);
	check_words(p, BYTES, 13);
	device_did(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer);
	all_are(p, PAGES, DMIRROR_PAGE_PRIVATE | DMIRROR_PAGE_WRITE);
	check_words(p, BYTES, 13);
	munmap(p, BYTES);
}

/* The pages come home when the last descriptor is closed. */
static void closed(void **state)
{
	const int other = device_open(1);
	char *p = resident(14);
	const int copy = dup(fd);

	close(fd);
	assert_int_equal(device_sees(other, p), DMIRROR_PAGE_NONE);
	close(copy);
	assert_int_equal(device_sees(other, p), DMIRROR_PAGE_WRITE);
	check_words(p, BYTES, 14);
	munmap(p, BYTES);
	close(other);
	fd = device_open(0);
}

static void forks(void **state)
{
	char *p = resident(15);
	pid_t pid = fork();

	if (!pid) {
		check_words(p, BYTES, 15);
		write_words(p, BYTES, 16);
		check_words(p, BYTES, 16);
		_exit(0);
	}
	write_words(p, BYTES, 17);
	check_child(pid);
	check_words(p, BYTES, 17);
	device_did(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer);
	check_words(buffer, BYTES, 17);
	check_words(p, BYTES, 17);
	munmap(p, BYTES);
}

/* The child's device, and the pages that it shares with its parent. */
static void forked_device(void **state)
{
	char *p = resident(18);
	pid_t pid = fork();

	if (!pid) {
		const int own = device_open(0);

		device_did(own, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer);
		check_words(buffer, BYTES, 18);
		write_words(buffer, BYTES, 19);
		device_did(own, DMIRROR_WRITE, p, PAGES, buffer);
		check_words(p, BYTES, 19);
		_exit(0);
	}
	check_child(pid);
	check_words(p, BYTES, 18);
	munmap(p, BYTES);
}

static void moved(void **state)
{
	for (int dontunmap = 0; dontunmap < 2; dontunmap++) {
		const int flags =
			MREMAP_MAYMOVE | MREMAP_FIXED | (dontunmap ? MREMAP_DONTUNMAP : 0);
		char *p = resident(20);
		char *to = anonymous(BYTES);

		assert_ptr_equal(mremap(p, BYTES, BYTES, flags, to), to);
		check_words(to, BYTES / 2, 20);
		assert_int_equal(device_read(fd, to, PAGES, buffer), 1);
		check_words(buffer, BYTES, 20);
		if (dontunmap) {
			assert_int_equal(p[0] | p[BYTES - 1], 0);
			munmap(p, BYTES);
		}
		check_words(to, BYTES, 20);
		munmap(to, BYTES);
	}
}

static void unmapped_in_part(void **state)
{
	const size_t part = PAGE * (PAGES / 4);
	char *p = resident(21);
	struct dmirror_command cmd;
	char *copy = anonymous(BYTES);

	write_words(copy, BYTES, 21);
	munmap(p + part, part);
	assert_int_equal(device_do(fd, DMIRROR_READ, p, PAGES, buffer, &cmd), -EFAULT);
	assert_memory_equal(p, copy, part);
	assert_memory_equal(p + 2 * part, copy + 2 * part, BYTES - 2 * part);
	munmap(p, BYTES);
	munmap(copy, BYTES);
}

static void protected(void **state)
{
	char *p = resident(22);
	struct dmirror_command cmd;

	assert_int_equal(mprotect(p, BYTES, PROT_READ), 0);
	/* libhmm-preload.so says it; here the test does, as it has the library */
	assert_int_equal(hmm_mm_note(NULL, HMM_NOTE_PROTECT, (uintptr_t)p, (uintptr_t)p + BYTES),
			 0);
	assert_int_equal(device_do(fd, DMIRROR_WRITE, p, PAGES, buffer, &cmd), -EPERM);
	assert_int_equal(device_read(fd, p, PAGES, buffer), 1);
	check_words(buffer, BYTES, 22);
	check_words(p, BYTES, 22);
	assert_int_equal(mprotect(p, BYTES, PROT_READ | PROT_WRITE), 0);
	write_words(p, BYTES, 23);
	check_words(p, BYTES, 23);
	munmap(p, BYTES);
}

static void discarded(void **state)
{
	char *p = resident(24);

	assert_int_equal(madvise(p, BYTES / 2, MADV_DONTNEED), 0);
	device_did(fd, DMIRROR_READ, p, PAGES, buffer);
	assert_int_equal(buffer[0] | buffer[BYTES / 2 - 1], 0);
	assert_int_equal(p[0] | p[BYTES / 2 - 1], 0);
	assert_memory_equal(p, buffer, BYTES);
	write_words(p, BYTES, 25);
	check_words(p, BYTES, 25);
	munmap(p, BYTES);
}

static void *spin(void *stop)
{
	while (!*(_Atomic bool *)stop)
		getppid();
	return NULL;
}

/* While it is not known whether the discard has ended: a thread is busy with system calls. */
static void discarded_and_read_at_once(void **state)
{
	char *p = resident(25);
	_Atomic bool stop = false;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, spin, &stop), 0);
	for (int i = 0; i < 20; i++) {
		write_words(p, BYTES, 26);
		device_did(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer);
		assert_int_equal(madvise(p, BYTES / 2, MADV_DONTNEED), 0);
		device_did(fd, DMIRROR_READ, p, PAGES, buffer);
		assert_int_equal(p[0] | p[BYTES / 2 - 1], 0);
		assert_memory_equal(p, buffer, BYTES);
	}
	stop = true;
	pthread_join(thread, NULL);
	munmap(p, BYTES);
}

static void what_stays(void **state)
{
	char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct dmirror_command cmd;

	write_words(p, BYTES, 26);
	assert_int_equal(device_do(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer, &cmd), -ENOENT);
	check_words(p, BYTES, 26);
	munmap(p, BYTES);
	p = anonymous(BYTES);
	munmap(p + PAGE, PAGE);
	assert_int_equal(device_do(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer, &cmd), -EINVAL);
	munmap(p, BYTES);
}

static void nothing_there(void **state)
{
	char *p = anonymous(BYTES);

	assert_int_equal(p[0], 0); /* the zero page; the others were never touched */
	device_did(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer);
	for (size_t i = 0; i < BYTES; i++)
		assert_int_equal(buffer[i], 0);
	for (size_t i = 0; i < BYTES; i += PAGE)
		assert_int_equal(p[i], 0);
	write_words(p, BYTES, 27);
	check_words(p, BYTES, 27);
	munmap(p, BYTES);
}

static void huge_pages(void **state)
{
	const size_t huge = 2UL << 20;
	char *copy = anonymous(huge);

	for (uint64_t round = 28; round < 32; round++) {
		const uint64_t flags = round % 2 ? DMIRROR_FAIL_ALLOC : 0;
		char *p = anonymous(huge);
		uint8_t first;

		madvise(p, huge, MADV_HUGEPAGE);
		write_words(p, huge, round);
		ask_for_huge_pages(p, huge);
		first = device_sees(fd, p);
		if (flags)
			device_did(fd, DMIRROR_FLAGS, p, flags, NULL);
		device_did(fd, DMIRROR_MIGRATE_TO_DEV, p, huge / PAGE, copy);
		check_words(copy, huge, round);
		/* As large as it was, if that could be had. */
		assert_int_equal(device_sees(fd, p),
				 DMIRROR_PAGE_PRIVATE | DMIRROR_PAGE_WRITE |
					 (flags ? 0 : first & DMIRROR_PAGE_PMD));
		check_words(p, huge, round);
		if (!faults_give_huge_pages())
			first = 0;
		assert_int_equal(device_sees(fd, p),
				 DMIRROR_PAGE_WRITE | (flags ? 0 : first & DMIRROR_PAGE_PMD));
		munmap(p, huge);
	}
	munmap(copy, huge);
}

static void ends_with_pages_away(void **state)
{
	for (int exec = 0; exec < 2; exec++) {
		pid_t pid = fork();

		if (!pid) {
			close(fd);
			fd = device_open(0);
			resident(33);
			if (exec)
				execl("/bin/true", "true", NULL);
			_exit(exec);
		}
		check_child(pid);
	}
}

static void exclusive(void **state)
{
	char *p = anonymous(BYTES);
	struct dmirror_command cmd;

	write_words(p, BYTES, 34);
	assert_int_equal(device_do(fd, DMIRROR_EXCLUSIVE, p, PAGES, buffer, &cmd), 0);
	assert_int_equal(cmd.cpages, PAGES);
	check_words(buffer, BYTES, 34);
	assert_int_equal(device_do(fd, DMIRROR_CHECK_EXCLUSIVE, p, PAGES, NULL, &cmd), -EPERM);
	/* The CPU takes one page back. */
	p[5 * PAGE]++;
	assert_int_equal(device_do(fd, DMIRROR_CHECK_EXCLUSIVE, p + 5 * PAGE, 1, NULL, &cmd), 0);
	p[5 * PAGE]--;
	/* Another device's write, too, and its own. */
	device_did(fd, DMIRROR_EXCLUSIVE, p, PAGES, buffer);
	write_words(buffer, BYTES, 35);
	device_did(fd, DMIRROR_WRITE, p, PAGES, buffer);
	assert_int_equal(device_do(fd, DMIRROR_CHECK_EXCLUSIVE, p, PAGES, NULL, &cmd), 0);
	check_words(p, BYTES, 35);
	munmap(p, BYTES);
}

static void exclusive_ends(void **state)
{
	char *p = anonymous(BYTES);
	pid_t pid;

	write_words(p, BYTES, 36);
	device_did(fd, DMIRROR_EXCLUSIVE, p, PAGES, buffer);
	pid = fork();
	if (!pid) {
		check_words(p, BYTES, 36);
		write_words(p, BYTES, 37);
		_exit(0);
	}
	check_child(pid);
	check_words(p, BYTES, 36);
	device_did(fd, DMIRROR_EXCLUSIVE, p, PAGES, buffer);
	close(fd);
	check_words(p, BYTES, 36);
	munmap(p, BYTES);
	fd = device_open(0);
}

struct contest {
	_Atomic uint64_t *word;
	_Atomic bool stop;
	_Atomic uint64_t added;
};

static void *add(void *arg)
{
	struct contest *c = arg;

	for (; !c->stop; c->added++)
		atomic_fetch_add(c->word, 1);
	return NULL;
}

/* A thread adds while its page goes and comes: nothing that it added is lost. */
static void nothing_is_lost(void **state)
{
	char *p = anonymous(BYTES);
	struct contest c = { .word = (_Atomic uint64_t *)p };
	struct dmirror_command cmd;
	pthread_t thread;
	int moved_times = 0;

	assert_int_equal(pthread_create(&thread, NULL, add, &c), 0);
	for (int i = 0; i < 300; i++) {
		const int ret = device_do(fd, DMIRROR_MIGRATE_TO_DEV, p, PAGES, buffer, &cmd);

		/* the page may be at home again when the device reads it */
		assert_true(!ret || ret == -ENOENT);
		moved_times += !ret;
		/* and is there again when the thread has gone on */
		for (uint64_t was = c.added; c.added < was + 2;)
			sched_yield();
	}
	c.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(*c.word, c.added);
	print_message("%d of 300 stayed until they were read\n", moved_times);
	munmap(p, BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(coherent),
		cmocka_unit_test(touches),
		cmocka_unit_test(the_device_writes),
		cmocka_unit_test(the_cpu_writes),
		cmocka_unit_test(mixtures),
		cmocka_unit_test(system_calls),
		cmocka_unit_test(two_devices),
		cmocka_unit_test(home_on_request),
		cmocka_unit_test(released),
		cmocka_unit_test(closed),
		cmocka_unit_test(forks),
		cmocka_unit_test(forked_device),
		cmocka_unit_test(moved),
		cmocka_unit_test(unmapped_in_part),
		cmocka_unit_test(protected),
		cmocka_unit_test(discarded),
		cmocka_unit_test(discarded_and_read_at_once),
		cmocka_unit_test(what_stays),
		cmocka_unit_test(nothing_there),
		cmocka_unit_test(huge_pages),
		cmocka_unit_test(ends_with_pages_away),
		cmocka_unit_test(exclusive),
		cmocka_unit_test(exclusive_ends),
		cmocka_unit_test(nothing_is_lost),
	};
	struct hmm_mm_info info = { .size = sizeof(info) };
	struct hmm_mm *mm;
	const int err = hmm_mm_attach(NULL, &mm);

	if (err || hmm_mm_get_info(mm, &info) || !(info.uffd_available & UFFD_MOVES)) {
		print_message("no UFFDIO_MOVE: pages cannot go to device memory\n");
		return 77;
	}
	hmm_mm_detach(mm);
	return cmocka_run_group_tests(tests, open_first, close_first);
}
