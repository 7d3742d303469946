// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What is sealed cannot be read: not in the holder, not in the program, and no copy stays behind.
 * Unsealed memory shows that the same look finds what is there to be found.
 */
#include "common/sealed.h"

#include <dirent.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#define PAGES 64

static struct with_sealed with;
static bool privileged; /* CAP_SYS_PTRACE: what is not sealed can be read */

static int setup(void **state)
{
	sealed_open(&with, HMM_SEALED_REQUEST);
	*state = &with;
	return 0;
}

static int teardown(void **state)
{
	sealed_close(*state);
	return 0;
}

/* ---- a secret -------------------------------------------------------------------------------- */

#define SECRET_BYTES 32

/* The secret is in the program in no other place: it is made byte by byte. */
static unsigned char secret_byte(size_t i)
{
	return (unsigned char)((i * 151 + 89) ^ 0xa5);
}

static void __attribute__((noinline)) write_secret(volatile unsigned char *p)
{
	for (size_t i = 0; i < SECRET_BYTES; i++)
		p[i] = secret_byte(i);
}

static bool is_secret(const unsigned char *p)
{
	for (size_t i = 0; i < SECRET_BYTES; i++) {
		if (p[i] != secret_byte(i))
			return false;
	}
	return true;
}

static size_t count_in(const unsigned char *p, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i + SECRET_BYTES <= bytes; i += 16)
		n += p[i] == secret_byte(0) && is_secret(p + i);
	return n;
}

static char *secret_pages(struct with_sealed *w)
{
	char *p = map_anon(PAGES * PAGE, RW);

	for (size_t i = 0; i < PAGES; i++)
		write_secret((unsigned char *)p + i * PAGE);
	assert_int_equal(seal(w, p, PAGES), 0);
	assert_int_equal(w->result.moved, PAGES);
	return p;
}

/* ---- ways to read ---------------------------------------------------------------------------- */

static ssize_t by_process_vm(pid_t pid, void *to, uint64_t from, size_t bytes)
{
	const struct iovec local = { to, bytes };
	const struct iovec remote = { (void *)(uintptr_t)from, bytes };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

static ssize_t by_mem(pid_t pid, void *to, uint64_t from, size_t bytes)
{
	char path[40];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = pread(fd, to, bytes, (off_t)from);
	close(fd);
	return n;
}

static ssize_t by_ptrace(pid_t pid, void *to, uint64_t from, size_t bytes)
{
	int status;
	long word;
	size_t n = 0;

	if (ptrace(PTRACE_ATTACH, pid, 0, 0))
		return -1;
	waitpid(pid, &status, __WALL);
	for (; n < bytes; n += sizeof(word)) {
		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, pid, (void *)(uintptr_t)(from + n), 0);
		if (errno)
			break;
		memcpy((char *)to + n, &word, sizeof(word));
	}
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return n ? (ssize_t)n : -1;
}

static ssize_t way_process_vm(pid_t pid, uint64_t region, uint64_t offset, void *to)
{
	return by_process_vm(pid, to, region + offset, PAGE);
}

static ssize_t way_mem(pid_t pid, uint64_t region, uint64_t offset, void *to)
{
	return by_mem(pid, to, region + offset, PAGE);
}

static ssize_t way_ptrace(pid_t pid, uint64_t region, uint64_t offset, void *to)
{
	return by_ptrace(pid, to, region + offset, PAGE);
}

static ssize_t way_map_files(pid_t pid, uint64_t region, uint64_t offset, void *to)
{
	char path[80];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/map_files/%lx-%lx", (int)pid, (unsigned long)region,
		 (unsigned long)region + 4 * MIB);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = pread(fd, to, PAGE, (off_t)offset);
	close(fd);
	return n;
}

/* ---- what a process has ---------------------------------------------------------------------- */

struct area {
	uint64_t start;
	uint64_t end;
	char name[100];
	bool readable;
};

static FILE *open_maps(pid_t pid, const char *what)
{
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	f = fopen(path, "re");
	assert_non_null(f);
	return f;
}

static bool next_area(FILE *f, struct area *a)
{
	unsigned long start, end;
	char line[400], mode[8];

	if (!fgets(line, sizeof(line), f))
		return false;
	a->name[0] = 0;
	assert_true(sscanf(line, "%lx-%lx %7s %*s %*s %*s %99s", &start, &end, mode, a->name) >= 3);
	a->start = start;
	a->end = end;
	a->readable = mode[0] == 'r';
	return true;
}

/* Where the holder has its pages. 0: this user may not look. */
static uint64_t region_of(pid_t holder)
{
	struct area a;
	uint64_t at = 0;
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)holder);
	f = fopen(path, "re");
	while (f && next_area(f, &a)) {
		if (a.end - a.start == 4 * MIB)
			at = a.start;
	}
	if (f)
		fclose(f);
	return at;
}

/* How often the secret is in what another process can read of this one. */
static size_t found_in(pid_t pid)
{
	static unsigned char buffer[PAGE];
	FILE *f = open_maps(pid, "maps");
	struct area a;
	size_t n = 0;

	while (next_area(f, &a)) {
		/* No mapping of a test is that large, but those of sanitizers. */
		if (!a.readable || a.end - a.start > 1024 * MIB)
			continue;
		for (uint64_t p = a.start; p < a.end; p += PAGE) {
			if (p == at(buffer) - at(buffer) % PAGE || p == at(buffer) + PAGE)
				continue;
			if (by_process_vm(pid, buffer, p, PAGE) == (ssize_t)PAGE)
				n += count_in(buffer, PAGE);
			explicit_bzero(buffer, PAGE);
		}
	}
	fclose(f);
	return n;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void nobody_reads_the_holder(void **state)
{
	static ssize_t (*const ways[])(pid_t, uint64_t, uint64_t, void *) = { way_process_vm,
									      way_mem, way_ptrace,
									      way_map_files };
	struct with_sealed *w = *state;
	const pid_t holder = hmm_sealed_holder(w->s);
	char *p = secret_pages(w);
	const uint64_t region = region_of(holder);
	const uint64_t offset = sealed_offset(w, p);
	unsigned char got[PAGE];

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		ssize_t n = ways[i](holder, region, offset, got);

		if (sealed_flags && privileged)
			assert_true(n == (ssize_t)PAGE && is_secret(got));
		else
			assert_int_equal(n, -1);
		explicit_bzero(got, sizeof(got));
	}
	assert_int_equal(unseal(w, p, PAGES), 0);
	assert_true(is_secret((unsigned char *)p));
	munmap(p, PAGES * PAGE);
}

static void nobody_reads_the_program(void **state)
{
	struct with_sealed *w = *state;
	char *p = secret_pages(w);
	unsigned char got[PAGE];

	assert_int_equal(by_process_vm(getpid(), got, at(p), PAGE), -1);
	assert_int_equal(by_mem(getpid(), got, at(p), PAGE), -1);
	assert_int_equal(unseal(w, p, PAGES), 0);
	assert_int_equal(by_process_vm(getpid(), got, at(p), PAGE), PAGE);
	assert_true(is_secret(got));
	explicit_bzero(got, sizeof(got));
	munmap(p, PAGES * PAGE);
}

static int look_at_program(int in, int out)
{
	const pid_t program = getppid();
	unsigned char count;
	char c;

	while (read(in, &c, 1) == 1) {
		count = (unsigned char)found_in(program);
		if (write(out, &count, 1) != 1)
			break;
	}
	return 0;
}

struct spy {
	int ask[2], answer[2];
	pid_t pid;
};

/* Another process looks, one that has never seen the secret. */
static void start_spy(struct spy *s)
{
	assert_int_equal(pipe(s->ask), 0);
	assert_int_equal(pipe(s->answer), 0);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	s->pid = fork_tied();
	if (!s->pid) {
		close(s->ask[1]);
		_exit(look_at_program(s->ask[0], s->answer[1]));
	}
}

static unsigned int spied(struct spy *s)
{
	unsigned char n = 255;

	assert_int_equal(write(s->ask[1], "?", 1), 1);
	assert_int_equal(read(s->answer[0], &n, 1), 1);
	return n;
}

static void stop_spy(struct spy *s)
{
	close(s->ask[1]);
	status_of(s->pid);
	close(s->ask[0]);
	close(s->answer[0]);
	close(s->answer[1]);
}

static void no_copy_stays_behind(void **state)
{
	struct with_sealed *w = *state;
	struct spy spy;
	char *p;

	start_spy(&spy);
	p = secret_pages(w);
	assert_int_equal(spied(&spy), 0);
	assert_int_equal(run_job(w, HMM_SEALED_XOR, p, PAGES * PAGE, 0, NULL), 0);
	assert_int_equal(spied(&spy), 0);
	assert_int_equal(unseal(w, p, PAGES), 0);
	/* What comes home by a copy stays in its source for a moment, which is given back. */
	until_used(w, 0);
	for (int i = 0; i < 1000 && spied(&spy) > PAGES; i++)
		usleep(10000);
	assert_int_equal(spied(&spy), PAGES);
	assert_int_equal(seal(w, p, PAGES), 0);
	assert_int_equal(spied(&spy), 0);
	munmap(p, PAGES * PAGE);
	stop_spy(&spy);
}

/* The window is sealed as well: only the program itself can read it. */
static void the_window_is_cleared(void **state)
{
	const char *const name = sealed_flags ? "/memfd:window" : "/secretmem";
	struct with_sealed *w = *state;
	char *p = secret_pages(w);
	size_t windows = 0;
	struct area a;
	FILE *f;

	for (int way = 0; way < 2; way++) {
		f = open_maps(getpid(), "maps");
		while (next_area(f, &a)) {
			if (strcmp(a.name, name))
				continue;
			windows++;
			assert_int_equal(
				count_in((unsigned char *)(uintptr_t)a.start, a.end - a.start), 0);
		}
		fclose(f);
		assert_int_equal(unseal(w, p, PAGES), 0);
	}
	assert_int_equal(windows, 2);
	munmap(p, PAGES * PAGE);
}

/* As far as somebody can see it: unsealed. */
static void the_holder_forgets_what_is_gone(void **state)
{
	struct with_sealed *w = *state;
	const pid_t holder = hmm_sealed_holder(w->s);
	char *p = secret_pages(w);

	if (!sealed_flags || !privileged) {
		munmap(p, PAGES * PAGE);
		return;
	}
	assert_int_equal(found_in(holder), PAGES);
	munmap(p, 3 * PAGE);
	assert_int_equal(unseal(w, p + 3 * PAGE, 2), 0);
	until_used(w, PAGES - 5);
	assert_int_equal(found_in(holder), PAGES - 5);
	munmap(p + 3 * PAGE, (PAGES - 3) * PAGE);
}

static void the_holder_is_never_dumped(void **state)
{
	struct with_sealed *w = *state;
	FILE *f = open_maps(hmm_sealed_holder(w->s), "limits");
	char line[200];
	bool none = false;

	while (fgets(line, sizeof(line), f)) {
		unsigned long soft, hard;

		if (sscanf(line, "Max core file size %lu %lu", &soft, &hard) == 2)
			none = !soft && !hard;
	}
	fclose(f);
	assert_true(none);
}

static size_t descriptors(pid_t pid)
{
	char path[40];
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* Nothing of the program's, and no signal that a terminal or a careless user sends. */
static void the_holder_is_apart(void **state)
{
	struct with_sealed *w = *state;
	const pid_t holder = hmm_sealed_holder(w->s);
	char *p = secret_pages(w);

	assert_int_equal(waitpid(holder, NULL, WNOHANG), -1);
	if (privileged)
		assert_in_range(descriptors(holder), 1, 2);
	assert_int_equal(getsid(holder) == getsid(0), 0);
	kill(holder, SIGINT);
	kill(holder, SIGTERM);
	kill(holder, SIGABRT);
	assert_int_equal(unseal(w, p, PAGES), 0);
	assert_true(is_secret((unsigned char *)p));
	munmap(p, PAGES * PAGE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nobody_reads_the_holder),
		T(nobody_reads_the_program),
		T(no_copy_stays_behind),
		T(the_window_is_cleared),
		T(the_holder_forgets_what_is_gone),
		T(the_holder_is_never_dumped),
		T(the_holder_is_apart),
	};

	if (devmem_is_missing())
		return 77;
	privileged = !geteuid();
	return sealed_run_both(tests);
}
