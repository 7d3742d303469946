// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The coherence table, cell by cell: what hmm_coherence() says of an operation on a kind of memory
 * is what a held translation experiences. A cell is untrue, and its test fails, when
 *
 *	synchronous	the device still has the translation when the call has returned
 *	exact		a use after it is accepted without any check, or asking makes a system call,
 *			or the device still has the translation when the news was delivered
 *	validated	a checked use after it is accepted, or one before it is refused
 *	unseen		... is refused after all: the table says too little
 *	not applicable	the kernel does it
 *	noted		telling the library does not take the translation away
 *
 * With a log of the kernel's (--provider bpf, both) and --exact no cell may be less than exact or
 * synchronous.
 *
 * usage: cells_test [--unprivileged] [--flags N] [--provider uffd|bpf|both] [--exact] [--every N]
 */
#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "common/calls.h"
#include "held.h"
#include "memory.h"
#include "operation.h"

struct cell {
	enum hmm_operation op;
	enum memory_kind kind;
	char name[80];
};

#define HUGE_PAGES 6
#define TRIES 10

static unsigned int flags;
static enum hmm_provider provider;
static bool all_exact;
static size_t every = 1;  /* of so many cells one is tested */
static struct hmm_mm *mm; /* of the cell that is tested */

/*
 * Pages that are held otherwise cannot be reclaimed or collapsed, and a filesystem with DAX waits
 * for ever for those that it is to take from a file: there the translation holds nothing.
 */
static bool holds_nothing(const struct cell *c)
{
	return c->op == HMM_OP_RECLAIM || c->op == HMM_OP_COLLAPSE || c->kind == MEMORY_DAX;
}

static void make(struct held *h, const struct cell *c, struct memory *m, size_t offset)
{
	uint64_t addr = (uint64_t)(m->p + offset);

	if (operations[c->op].prepare) {
		int err = operations[c->op].prepare(m);

		if (err == -ENOMEM && c->kind == MEMORY_HUGETLB && geteuid()) {
			memory_unmap(m);
			skip(); /* as in set_up() */
		}
		assert_int_equal(err, 0);
		assert_int_equal(held_make_read(h, mm, addr, HOLD_REF), 0);
	} else {
		assert_int_equal(held_make(h, mm, addr, HOLD_REF), 0);
	}
	if (holds_nothing(c))
		hold_release_page(h->range, 0);
}

static void tell(const struct operation *o, const struct memory *m, size_t offset)
{
	uint64_t start = (uint64_t)(m->p + (offset & ~(m->page - 1)));

	if (o->note == -2)
		assert_int_equal(hmm_mm_note_writeback(mm, m->fd), 0);
	else if (o->note < 0)
		assert_int_equal(hmm_mm_note_file(mm, m->fd), 0);
	else
		assert_int_equal(hmm_mm_note(mm, (enum hmm_note)o->note, start, start + m->page),
				 0);
}

/* Which page the operation hits is known only from running it once. */
static size_t hit_page(const struct cell *c)
{
	struct memory m;
	size_t offset = 0;

	if (memory_map(&m, c->kind))
		return 0;
	operations[c->op].run(&m, &offset);
	memory_unmap(&m);
	return offset;
}

static void check_refused_by_kernel(const struct cell *c, struct memory *m)
{
	size_t offset = 0;
	int ret = operations[c->op].run ? operations[c->op].run(m, &offset) : -ENOSYS;

	if (ret >= 0)
		fail_msg("%s: the table says there is no such thing, the kernel did it", c->name);
}

/*
 * Asks without any check. False, and *call is its number: a system call was made. Before the keeper
 * runs one question in 64 looks whether the program has closed the library's descriptors.
 */
static bool ask(const struct held *h, bool *valid, int *call)
{
	for (int i = 0; i < 2; i++) {
		bool counted = calls_begin();

		*valid = held_valid(h);
		*call = calls_end();
		if (!counted || *call < 0)
			return true;
	}
	return false;
}

/* A child shares them, and the kernel copies nothing: what is held is what is mapped. */
static bool stays(const struct cell *c)
{
	return (c->op == HMM_OP_FORK || c->op == HMM_OP_FORK_RAW) &&
	       memory_vma_kind(c->kind) != HMM_VMA_ANON;
}

/* Loads alone tell, and the callback comes soon. */
static void check_exact(const struct cell *c, const struct held *h)
{
	bool valid;
	int call;

	if (!ask(h, &valid, &call))
		fail_msg("%s: the question made system call %d", c->name, call);
	if (stays(c))
		return;
	if (valid)
		fail_msg("%s: the table says exact, and the translation is found valid", c->name);
	assert_int_equal(hmm_mm_barrier(mm, 60000000000ULL), 0);
	assert_false(held_installed(h));
}

/* What is valid is so by loads alone, too. Somebody else's change makes it be asked again. */
static bool valid_by_loads(const struct held *h)
{
	bool valid;
	int call;

	for (int i = 0; i < 20000; i++) {
		if (!ask(h, &valid, &call))
			fail_msg("the question made system call %d", call);
		if (valid)
			return true;
		usleep(1000);
	}
	return false;
}

static void check_guarantee(const struct cell *c, const struct hmm_coherence_cell *said,
			    struct held *h, bool before)
{
	switch (said->guarantee) {
	case HMM_SYNCHRONOUS:
		assert_false(held_installed(h));
		assert_false(held_valid(h));
		break;
	case HMM_EXACT:
		assert_true(before);
		check_exact(c, h);
		break;
	case HMM_VALIDATED:
		assert_true(before);
		assert_false(held_valid_checked(h));
		break;
	case HMM_UNSEEN:
		assert_true(before);
		assert_true(held_installed(h));
		/* Of a hole in a memfd: unseen at times, which rules_test shows. */
		if (c->op != HMM_OP_PUNCH_HOLE)
			assert_true(held_valid_checked(h));
		break;
	case HMM_NOT_MIRRORED:
		assert_true(h->transient);
		assert_false(held_installed(h));
		break;
	default:
		fail_msg("%s: guarantee %u", c->name, said->guarantee);
	}
}

/* What the device holds is the past: or the operation did not do what its row says. */
static void check_change(const struct cell *c, const struct held *h, const struct memory *m,
			 size_t offset, int before)
{
	if (!operations[c->op].changes)
		return;
	assert_int_equal(held_byte(h), before);
	if (!m->gone)
		assert_int_not_equal(memory_peek(m, offset), before);
}

/* Huge pages that an earlier cell held come back a little later than it ends, on a busy machine. */
static const char *memory_map_patiently(struct memory *m, enum memory_kind kind)
{
	const struct timespec ts = { 0, 50000000 };
	const char *why;

	for (int i = 0; (why = memory_map(m, kind)) && i < 100; i++)
		nanosleep(&ts, NULL);
	if (why)
		print_message("no memory of the kind: %s\n", why);
	return why;
}

static uint64_t resets(void)
{
	struct hmm_mm_info info = { .size = sizeof(info) };

	assert_int_equal(hmm_mm_get_info(mm, &info), 0);
	return info.log_resets;
}

/* Memory, and what is held of it. Returns whether it is valid before the operation. */
static bool set_up(const struct cell *c, struct memory *m, struct held *h, size_t offset,
		   bool by_loads)
{
	const char *why = memory_map_patiently(m, c->kind);

	/* The machine's few huge pages may be somebody else's, and only root sets more aside. */
	if (why && c->kind == MEMORY_HUGETLB && geteuid())
		skip();
	assert_null(why);
	make(h, c, m, offset);
	return !h->transient && (by_loads ? valid_by_loads(h) : held_valid_checked(h));
}

/* A program that the kernel skipped has everything invalidated. Then it is made again. */
static bool set_up_patiently(const struct cell *c, struct memory *m, struct held *h, size_t offset,
			     bool by_loads)
{
	for (int i = 0; i < TRIES; i++) {
		const uint64_t before = resets();

		if (set_up(c, m, h, offset, by_loads))
			return true;
		if (resets() == before)
			return false;
		held_drop(h);
		memory_unmap(m);
	}
	return set_up(c, m, h, offset, by_loads);
}

static void run_cell(const struct cell *c, const struct hmm_coherence_cell *said, bool noted)
{
	const struct operation *o = &operations[c->op];
	size_t offset = hit_page(c), ignored = 0;
	struct memory m;
	struct held h;
	bool before;
	int byte;
	int ret;

	before = set_up_patiently(c, &m, &h, offset, said->guarantee == HMM_EXACT && !noted);
	byte = holds_nothing(c) ? 0 : held_byte(&h);
	ret = o->run(&m, &ignored);
	if (ret == -ENOSYS) {
		held_drop(&h);
		memory_unmap(&m);
		print_message("%s: this host has no such operation\n", c->name);
		skip();
	}
	assert_int_equal(ret, 0);
	if (noted) {
		tell(o, &m, offset);
		assert_false(held_installed(&h));
		assert_false(held_valid(&h));
	} else {
		check_guarantee(c, said, &h, before);
		if (!holds_nothing(c) && c->op != HMM_OP_MREMAP_DONTUNMAP)
			check_change(c, &h, &m, offset, byte);
	}
	held_drop(&h);
	memory_unmap(&m);
}

/* With a log nothing needs to be told, and nothing is lost if it is. */
static bool may_tell(const struct cell *c, const struct hmm_coherence_cell *said)
{
	if (said->guarantee == HMM_EXACT && operations[c->op].note < 0)
		return false;
	return said->noted == HMM_SYNCHRONOUS && said->guarantee != HMM_SYNCHRONOUS;
}

static void cell(void **state)
{
	const struct cell *c = *state;
	struct hmm_coherence_cell said;
	struct memory m;
	const char *why = memory_map(&m, c->kind);
	int ret;

	if (why) {
		print_message("%s: %s\n", c->name, why);
		skip();
	}
	mm = held_attach_by(provider, flags, &ret);
	if (!mm)
		fail_msg("attach: %s", strerror(-ret));
	assert_int_equal(hmm_coherence(mm, c->op, memory_vma_kind(c->kind), &said), 0);
	assert_non_null(said.why);
	if (all_exact && said.guarantee != HMM_EXACT && said.guarantee != HMM_NOT_APPLICABLE &&
	    said.guarantee != HMM_SYNCHRONOUS)
		fail_msg("%s is %s: %s", c->name,
			 hmm_guarantee_name((enum hmm_guarantee)said.guarantee), said.why);
	if (said.guarantee == HMM_NOT_APPLICABLE) {
		check_refused_by_kernel(c, &m);
		memory_unmap(&m);
	} else {
		memory_unmap(&m);
		run_cell(c, &said, false);
		if (may_tell(c, &said))
			run_cell(c, &said, true);
	}
}

/* Also of a cell that failed: a space has one log. */
static int detach(void **state)
{
	hmm_mm_detach(mm);
	mm = NULL;
	return 0;
}

/* Rows that need another memory, another process or another way to look have tests of their own. */
static bool in_table(enum hmm_operation op, enum memory_kind kind)
{
	const struct operation *o = &operations[op];

	if (!o->run)
		return false;
	if (o->only != MEMORY_NR)
		return kind == o->only;
	return kind != MEMORY_BRK || op == HMM_OP_MADV_DONTNEED || op == HMM_OP_FORK ||
	       op == HMM_OP_FIRST_WRITE;
}

/* Root can set huge pages aside for as long as the test runs. */
static long huge_pages_before = -1;

static void huge_pages_set(long n)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");

	if (f) {
		fprintf(f, "%ld\n", n);
		fclose(f);
	}
}

static void huge_pages_restore(void)
{
	if (huge_pages_before >= 0)
		huge_pages_set(huge_pages_before);
}

static void huge_pages_get(void)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "r");
	long n;

	if (!f)
		return;
	if (fscanf(f, "%ld", &n) == 1 && n < HUGE_PAGES && !geteuid()) {
		huge_pages_before = n;
		huge_pages_set(HUGE_PAGES);
		atexit(huge_pages_restore);
	}
	fclose(f);
}

static void drop_privilege(void)
{
	if (geteuid())
		return;
	if (setgid(65534) || setuid(65534)) {
		perror("setuid");
		exit(1);
	}
	/* or else /proc/self belongs to root */
	prctl(PR_SET_DUMPABLE, 1);
}

static enum hmm_provider provider_of(const char *name)
{
	return !strcmp(name, "bpf")    ? HMM_PROVIDER_BPF
	       : !strcmp(name, "both") ? HMM_PROVIDER_BOTH
				       : HMM_PROVIDER_UFFD;
}

static void parse(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--unprivileged"))
			drop_privilege();
		else if (!strcmp(argv[i], "--flags") && i + 1 < argc)
			flags = (unsigned int)strtoul(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--provider") && i + 1 < argc)
			provider = provider_of(argv[++i]);
		else if (!strcmp(argv[i], "--exact"))
			all_exact = true;
		else if (!strcmp(argv[i], "--every") && i + 1 < argc)
			every = strtoul(argv[++i], NULL, 0);
	}
}

int main(int argc, char **argv)
{
	static struct cell cells[HMM_OP_NR * MEMORY_NR];
	static struct CMUnitTest tests[HMM_OP_NR * MEMORY_NR];
	size_t n = 0, seen = 0;
	int op, kind, ret;

	parse(argc, argv);
	mm = held_attach_by(provider, flags, &ret);
	if (!mm && provider != HMM_PROVIDER_AUTO) {
		print_message("no such provider here: %s\n", strerror(-ret));
		return 77;
	}
	detach(NULL);
	huge_pages_get();
	for (op = 0; op < HMM_OP_NR; op++) {
		for (kind = 0; kind < MEMORY_NR; kind++) {
			struct cell *c = &cells[n];

			if (!in_table((enum hmm_operation)op, (enum memory_kind)kind) ||
			    seen++ % every)
				continue;
			c->op = (enum hmm_operation)op;
			c->kind = (enum memory_kind)kind;
			snprintf(c->name, sizeof(c->name), "%s on %s", hmm_operation_name(c->op),
				 memory_name(c->kind));
			tests[n] = (struct CMUnitTest){ c->name, cell, NULL, detach, c };
			n++;
		}
	}
	return _cmocka_run_group_tests("cells", tests, n, NULL, NULL);
}
