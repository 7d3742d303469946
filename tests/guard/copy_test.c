// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Guarded copies and single accesses: every byte that is there, none that is not, and no crash. */
#include <linux/userfaultfd.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <time.h>
#include "common/guarded.h"

#define SIZE 256
#define CANARY 0x5a

/* ---- memory that is there ------------------------------------------------------------------ */

TEST(copies_are_exact_for_every_size_and_alignment)
{
	char src[SIZE], dst[SIZE], want[SIZE];
	size_t copied;

	fill(src, SIZE);
	for (size_t len = 0; len < 150; len++) {
		for (size_t off = 0; off < 18 * 18; off++) {
			const size_t s = off % 18, d = off / 18;

			memset(want, CANARY, SIZE);
			memcpy(want + d, src + s, len);
			memset(dst, CANARY, SIZE);
			assert_int_equal(hmm_copy_from_nofault(dst + d, src + s, len, &copied), 0);
			assert_int_equal(copied, len);
			assert_memory_equal(dst, want, SIZE);
			memset(dst, CANARY, SIZE);
			assert_int_equal(hmm_copy_to_nofault(dst + d, src + s, len, NULL), 0);
			assert_memory_equal(dst, want, SIZE);
		}
	}
}

TEST(a_large_copy_is_exact)
{
	const size_t len = 3 << 20;
	char *src = malloc(len), *dst = malloc(len);

	fill(src, len);
	memset(dst, 0, len);
	assert_int_equal(hmm_copy_from_nofault(dst, src, len, NULL), 0);
	assert_memory_equal(dst, src, len);
	memset(dst, 0, len);
	assert_int_equal(hmm_copy_to_nofault(dst, src, len, NULL), 0);
	assert_memory_equal(dst, src, len);
	free(src);
	free(dst);
}

TEST(single_accesses_are_of_their_size)
{
	uint64_t at[2] = { 0x1122334455667788, 0x1122334455667788 };
	uint64_t value;

	for (unsigned int bytes = 1; bytes <= 8; bytes *= 2) {
		const uint64_t mask = bytes == 8 ? UINT64_MAX : (1ULL << 8 * bytes) - 1;

		value = UINT64_MAX;
		assert_int_equal(hmm_load_nofault(&at[0], bytes, &value), 0);
		assert_true(value == (0x1122334455667788 & mask));
		at[1] = 0x1122334455667788;
		assert_int_equal(hmm_store_nofault(&at[1], bytes, 0xffeeddccbbaa9988), 0);
		assert_true(at[1] == ((0x1122334455667788 & ~mask) | (0xffeeddccbbaa9988 & mask)));
	}
}

TEST(single_accesses_of_other_sizes_are_refused)
{
	char at[16] __attribute__((aligned(8))) = { 0 };
	uint64_t value = 7;

	for (unsigned int bytes = 0; bytes < 20; bytes++) {
		if (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8)
			continue;
		assert_int_equal(hmm_load_nofault(at, bytes, &value), -EINVAL);
		assert_int_equal(hmm_store_nofault(at, bytes, 1), -EINVAL);
	}
	assert_int_equal(hmm_load_nofault(at + 1, 2, &value), -EINVAL);
	assert_int_equal(hmm_load_nofault(at + 4, 8, &value), -EINVAL);
	assert_int_equal(hmm_store_nofault(at + 2, 4, 1), -EINVAL);
	assert_true(value == 7);
}

/* ---- memory that is not there -------------------------------------------------------------- */

TEST(copy_from_ends_at_the_first_byte_that_is_not_there)
{
	char *p = edge();
	char dst[SIZE], rest[SIZE];
	size_t copied;

	memset(rest, CANARY, SIZE);
	for (size_t there = 0; there < 140; there++) {
		memset(dst, CANARY, SIZE);
		assert_int_equal(hmm_copy_from_nofault(dst, p + PAGE - there, 200, &copied),
				 -EFAULT);
		assert_int_equal(copied, there);
		if (there)
			assert_memory_equal(dst, p + PAGE - there, there);
		assert_memory_equal(dst + there, rest, SIZE - there);
	}
	edge_free(p);
}

TEST(copy_to_ends_at_the_first_byte_that_is_not_there)
{
	char *p = edge();
	char src[SIZE];
	size_t copied;

	memset(src, CANARY, SIZE);
	for (size_t there = 0; there < 140; there++) {
		fill(p, PAGE);
		assert_int_equal(hmm_copy_to_nofault(p + PAGE - there, src, 200, &copied), -EFAULT);
		assert_int_equal(copied, there);
		if (there)
			assert_memory_equal(p + PAGE - there, src, there);
		assert_int_equal(p[PAGE - there - 1], byte_at(PAGE - there - 1));
	}
	edge_free(p);
}

static void assert_gone(void *p)
{
	char buf[64] = { 0 };
	uint64_t value = 3;

	assert_int_equal(hmm_copy_from_nofault(buf, p, sizeof(buf), NULL), -EFAULT);
	assert_int_equal(hmm_copy_to_nofault(p, buf, sizeof(buf), NULL), -EFAULT);
	for (unsigned int bytes = 1; bytes <= 8; bytes *= 2) {
		assert_int_equal(hmm_load_nofault(p, bytes, &value), -EFAULT);
		assert_int_equal(hmm_store_nofault(p, bytes, 1), -EFAULT);
	}
	assert_true(value == 3);
}

TEST(unmapped_memory_is_an_error)
{
	char *p = map_apart(PAGE, PROT_READ | PROT_WRITE);

	munmap(p, PAGE);
	assert_gone(p);
	assert_gone(NULL);
}

TEST(addresses_that_no_mapping_has_are_errors)
{
	assert_gone((void *)0x8000000000000000);
	assert_gone((void *)0x4000000000000000);
	assert_gone((void *)0xfffffffffffff000);
}

TEST(inaccessible_memory_is_an_error)
{
	char *p = map_pages(1, PROT_READ | PROT_WRITE);

	mprotect(p, PAGE, PROT_NONE);
	assert_gone(p);
	munmap(p, PAGE);
}

TEST(read_only_memory_can_be_loaded_and_not_stored)
{
	char *p = map_pages(1, PROT_READ);
	char buf[100] = { 1 };
	uint64_t value;
	size_t copied;

	assert_int_equal(hmm_copy_from_nofault(buf, p, sizeof(buf), NULL), 0);
	assert_int_equal(buf[0], 0);
	assert_int_equal(hmm_copy_to_nofault(p, buf, sizeof(buf), &copied), -EFAULT);
	assert_int_equal(copied, 0);
	assert_int_equal(hmm_load_nofault(p, 8, &value), 0);
	assert_int_equal(hmm_store_nofault(p, 8, 1), -EFAULT);
	munmap(p, PAGE);
}

TEST(a_file_that_is_cut_off_is_an_error)
{
	int fd = memfd_create("cut", 0);
	char *p;

	assert_int_equal(ftruncate(fd, (off_t)(2 * PAGE)), 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_int_equal(hmm_store_nofault(p + PAGE, 8, 1), 0);
	assert_int_equal(ftruncate(fd, 1), 0);
	assert_gone(p + PAGE);
	assert_int_equal(hmm_store_nofault(p, 8, 1), 0);
	munmap(p, 2 * PAGE);
	close(fd);
}

/* The structure of the kernel's header, which older ones lack (Linux 6.6). */
struct poison {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};

/* Makes memory that is not there yet as if it were lost to an error of the hardware. */
static bool poison(char *p, size_t len)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)p, len },
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct poison poison = { .range = { (uintptr_t)p, len } };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */);
	bool done;

	if (fd < 0)
		return false;
	done = !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &reg) &&
	       !ioctl(fd, _IOWR(0xAA, 0x08, struct poison), &poison);
	close(fd);
	return done;
}

TEST(poisoned_memory_is_an_error)
{
	const size_t huge = 2 << 20;
	char *p = map_pages(1, PROT_READ | PROT_WRITE);

	if (!poison(p, PAGE)) {
		print_message("no UFFDIO_POISON here\n");
		skip();
	}
	assert_gone(p);
	munmap(p, PAGE);
	p = mmap(NULL, huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1,
		 0);
	if (p == MAP_FAILED)
		return;
	if (poison(p, huge))
		assert_gone(p);
	munmap(p, huge);
}

/* ---- the caller's own memory --------------------------------------------------------------- */

static void copy_to_own(char *none)
{
	char src[64] = { 0 };

	hmm_copy_from_nofault(none, src, sizeof(src), NULL);
}

static void copy_from_own(char *none)
{
	char dst[64];

	hmm_copy_to_nofault(dst, none, sizeof(dst), NULL);
}

TEST(a_fault_in_the_callers_own_memory_is_the_programs)
{
	assert_killed(ending(copy_to_own), SIGSEGV);
	assert_killed(ending(copy_from_own), SIGSEGV);
}

/* ---- while others change it ---------------------------------------------------------------- */

struct change {
	char *p;
	_Atomic bool stop;
	_Atomic unsigned long times;
};

/* There is no moment in which anything else is mapped here: the address is never free. */
static void *come_and_go(void *arg)
{
	struct change *c = arg;

	while (!c->stop) {
		char *fresh = map_pages(1, PROT_READ | PROT_WRITE);

		memset(fresh, c->times % 2 ? 0x11 : 0x22, PAGE);
		mremap(fresh, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, c->p);
		sched_yield();
		mmap(c->p, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		c->times++;
	}
	return NULL;
}

static bool is_made_of(const char *buf, size_t len, char a, char b)
{
	for (size_t i = 0; i < len; i++)
		if (buf[i] != a && buf[i] != b)
			return false;
	return true;
}

struct user {
	struct change *change;
	_Atomic unsigned long there, gone;
	bool wrong;
	pthread_t thread;
};

static void *use(void *arg)
{
	struct user *u = arg;
	char buf[100];
	uint64_t value;

	while (!u->change->stop) {
		int ret = hmm_copy_from_nofault(buf, u->change->p + 3, sizeof(buf), NULL);

		u->wrong |= ret && ret != -EFAULT;
		u->wrong |= !ret && !is_made_of(buf, sizeof(buf), 0x11, 0x22);
		atomic_fetch_add(ret ? &u->gone : &u->there, 1);
		ret = hmm_load_nofault(u->change->p + 8, 8, &value);
		u->wrong |= !ret && value != 0x1111111111111111 && value != 0x2222222222222222;
		u->wrong |= ret && ret != -EFAULT;
	}
	return NULL;
}

#define USERS 3

static bool all_have_seen_both(struct user *users)
{
	for (int i = 0; i < USERS; i++)
		if (!users[i].there || !users[i].gone)
			return false;
	return true;
}

TEST(memory_that_comes_and_goes_is_there_or_an_error)
{
	const struct timespec a_while = { 0, 200000000 };
	struct change c = { .p = map_pages(1, PROT_NONE) };
	struct user users[USERS] = { { 0 } };
	pthread_t t;

	for (int i = 0; i < USERS; i++) {
		users[i].change = &c;
		pthread_create(&users[i].thread, NULL, use, &users[i]);
	}
	pthread_create(&t, NULL, come_and_go, &c);
	for (int i = 0; i < 300 && (i == 0 || !all_have_seen_both(users)); i++)
		nanosleep(&a_while, NULL);
	c.stop = true;
	pthread_join(t, NULL);
	for (int i = 0; i < USERS; i++) {
		pthread_join(users[i].thread, NULL);
		assert_false(users[i].wrong);
	}
	assert_true(all_have_seen_both(users));
	munmap(c.p, PAGE);
}

static void *alternate(void *arg)
{
	struct change *c = arg;

	for (uint64_t i = 0; !c->stop; i++)
		hmm_store_nofault(c->p, 8, i % 2 ? UINT64_MAX : 0);
	return NULL;
}

TEST(single_accesses_do_not_tear)
{
	struct change c = { .p = map_pages(1, PROT_READ | PROT_WRITE) };
	pthread_t t;

	pthread_create(&t, NULL, alternate, &c);
	for (int i = 0; i < 200000; i++) {
		uint64_t value;

		assert_int_equal(hmm_load_nofault(c.p, 8, &value), 0);
		if (value != 0 && value != UINT64_MAX)
			fail_msg("torn: %llx", (unsigned long long)value);
	}
	c.stop = true;
	pthread_join(t, NULL);
	munmap(c.p, PAGE);
}

/* ---- where it is called from --------------------------------------------------------------- */

#define ENOUGH 500

static char *volatile handler_none;
static timer_t handler_timer;
static volatile sig_atomic_t handler_calls, handler_wrong;

static void copy_in_handler(int sig)
{
	static const struct itimerspec never;
	int saved = errno;
	char c;

	/* Where a handler takes as long as a period nothing else would run. */
	if (++handler_calls >= ENOUGH)
		timer_settime(handler_timer, 0, &never, NULL);
	handler_wrong |= hmm_copy_from_nofault(&c, handler_none, 1, NULL) != -EFAULT;
	errno = saved;
}

/* Each interrupts the other somewhere, in the handler of a fault too. */
TEST(a_signal_handler_may_copy)
{
	struct sigaction sa = { .sa_handler = copy_in_handler, .sa_flags = SA_RESTART };
	struct itimerspec every = { { 0, 50000 }, { 0, 50000 } };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	char *p = edge();
	char buf[64];

	needs_faults_in_handlers();
	handler_none = p + PAGE;
	sigaction(SIGUSR1, &sa, NULL);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &ev, &handler_timer), 0);
	timer_settime(handler_timer, 0, &every, NULL);
	for (int i = 0; i < 1000000 && handler_calls < ENOUGH; i++) {
		size_t copied;

		assert_int_equal(hmm_copy_from_nofault(buf, p + PAGE - 20, 64, &copied), -EFAULT);
		assert_int_equal(copied, 20);
		assert_int_equal(hmm_copy_from_nofault(buf, p, 64, NULL), 0);
	}
	timer_delete(handler_timer);
	signal(SIGUSR1, SIG_IGN);
	assert_true(handler_calls > 0);
	assert_int_equal(handler_wrong, 0);
	edge_free(p);
}

static void copy_what_is_not_there(char *none)
{
	char c;

	if (hmm_copy_from_nofault(&c, none, 1, NULL) != -EFAULT)
		_exit(1);
}

/* With the handlers that it inherits. */
TEST(a_forked_child_may_copy)
{
	char *none = map_pages(1, PROT_NONE);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		copy_what_is_not_there(none);
		copy_what_is_not_there(none + 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	munmap(none, PAGE);
}

static void exit_2(int sig)
{
	_exit(2);
}

static void copy_after_own_handler(char *none)
{
	signal(SIGSEGV, exit_2);
	copy_what_is_not_there(none);
}

/* The first access of the child looks, however many its parent had left until it would. */
TEST(a_forked_child_looks_for_its_own_handlers)
{
	assert_int_equal(ending(copy_after_own_handler), 0);
}

TEST(a_child_of_a_raw_clone_looks_too)
{
	char *none = map_pages(1, PROT_NONE);
	int status;
	pid_t pid;

	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		copy_after_own_handler(none);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	munmap(none, PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_exact_for_every_size_and_alignment),
		cmocka_unit_test(a_large_copy_is_exact),
		cmocka_unit_test(single_accesses_are_of_their_size),
		cmocka_unit_test(single_accesses_of_other_sizes_are_refused),
		cmocka_unit_test(copy_from_ends_at_the_first_byte_that_is_not_there),
		cmocka_unit_test(copy_to_ends_at_the_first_byte_that_is_not_there),
		cmocka_unit_test(unmapped_memory_is_an_error),
		cmocka_unit_test(addresses_that_no_mapping_has_are_errors),
		cmocka_unit_test(inaccessible_memory_is_an_error),
		cmocka_unit_test(read_only_memory_can_be_loaded_and_not_stored),
		cmocka_unit_test(a_file_that_is_cut_off_is_an_error),
		cmocka_unit_test(poisoned_memory_is_an_error),
		cmocka_unit_test(a_fault_in_the_callers_own_memory_is_the_programs),
		cmocka_unit_test(memory_that_comes_and_goes_is_there_or_an_error),
		cmocka_unit_test(single_accesses_do_not_tear),
		cmocka_unit_test(a_signal_handler_may_copy),
		cmocka_unit_test(a_forked_child_may_copy),
		cmocka_unit_test(a_forked_child_looks_for_its_own_handlers),
		cmocka_unit_test(a_child_of_a_raw_clone_looks_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
