// SPDX-License-Identifier: GPL-2.0
/*
 * hmm-fidelity: libhmm's hmm_range_fault() beside the kernel's own, for every kind of mapping in
 * every state, as a page of Markdown. Ends with status 1 if anything differs that compare.c does
 * not explain, or a figure is out of bounds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>
#include <sys/mman.h>

#include "compare.h"
#include "cost.h"
#include "sample.h"

static const char *const requests[] = { "snapshot", "read", "write" };
static const unsigned int request_bits[] = { 0, REQ_FAULT, REQ_FAULT | REQ_WRITE };

/* Most pages of a sample. */
#define MAX_PAGES 1024

/* In memory shared with the child that does it. */
struct shared_answer {
	int result, made; /* made: what the sample's making and entering returned */
	size_t n;
	uint64_t ns;
	char why_not[80];
	struct entry entries[MAX_PAGES];
};

static struct shared_answer *shared[2];
static unsigned int count[4];

static void ask(const struct target_ops *ops, const struct kind *kind, const struct state *state,
		unsigned int request, struct shared_answer *out)
{
	struct sample s = { .fd = -1 };
	struct target *t;

	out->made = kind->make(&s);
	if (!out->made)
		out->made = ops->mirror((uintptr_t)s.map, s.len, &t);
	if (!out->made)
		out->made = state->enter(&s);
	snprintf(out->why_not, sizeof(out->why_not), "%s", why_not ? why_not : "");
	if (!out->made) {
		out->n = s.len / 4096;
		out->result = ops->range(t, (uintptr_t)s.map, s.len, request, NULL, out->entries,
					 NULL, &out->ns);
		ops->unmirror(t);
	}
	sample_destroy(&s);
}

/* Of a second sample, for the clock: the first pays for the emulator's translation of the code. */
static void ask_twice(const struct target_ops *ops, const struct kind *kind,
		      const struct state *state, unsigned int request, struct shared_answer *out)
{
	static struct shared_answer second;

	ask(ops, kind, state, request, out);
	if (out->made)
		return;
	ask(ops, kind, state, request, &second);
	if (!second.made && second.ns < out->ns)
		out->ns = second.ns;
}

/* Each target gets a process of its own, so that neither finds what the other left. */
static int ask_apart(const struct target_ops *ops, const struct kind *kind,
		     const struct state *state, unsigned int request, struct shared_answer *out)
{
	int status = 0;
	pid_t pid;

	memset(out, 0, offsetof(struct shared_answer, entries));
	out->made = -EINTR;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(300);
		ask_twice(ops, kind, state, request, out);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || status) {
		snprintf(out->why_not, sizeof(out->why_not), "died: status %x", status);
		return -EINTR;
	}
	return out->made;
}

static void say(const struct answer *a, size_t page, char *buf, size_t size)
{
	const struct entry *e = &a->entries[page];

	if (a->result)
		snprintf(buf, size, "%s", strerrorname_np(-a->result));
	else if (e->flags & ENTRY_ERROR)
		snprintf(buf, size, "error");
	else if (!(e->flags & ENTRY_VALID))
		snprintf(buf, size, "none");
	else if (e->order)
		snprintf(buf, size, "%s, order %u", e->flags & ENTRY_WRITE ? "write" : "read",
			 e->order);
	else
		snprintf(buf, size, "%s", e->flags & ENTRY_WRITE ? "write" : "read");
}

static void row(const struct kind *kind, const struct state *state, size_t request)
{
	static const char *const words[] = { "same", "less", "explained", "**DIFFERENT**" };
	struct answer a[2];
	char said[2][40];
	enum verdict verdict;
	const char *why;
	size_t page, i;

	for (i = 0; i < 2; i++)
		a[i] = (struct answer){ shared[i]->result, shared[i]->n, shared[i]->entries,
					shared[i]->ns };
	verdict =
		compare(kind->name, state->name, request_bits[request], &a[0], &a[1], &page, &why);
	count[verdict]++;
	for (i = 0; i < 2; i++)
		say(&a[i], page, said[i], sizeof(said[i]));
	printf("| %s | %s | %s | %s | %s | %.0f, %.0f | %s%s%s |\n", kind->name, state->name,
	       requests[request], said[0], said[1], a[0].ns / (double)a[0].n,
	       a[1].ns / (double)a[1].n, words[verdict], verdict == EXPLAINED ? ": " : "",
	       verdict == EXPLAINED ? why : "");
}

static void table(const struct kind *kind)
{
	const struct state *state;
	size_t request;
	int ret;

	for (state = states; state->name; state++) {
		for (request = 0; request < 3; request++) {
			ret = ask_apart(&target_kernel, kind, state, request_bits[request],
					shared[0]);
			if (!ret)
				ret = ask_apart(&target_libhmm, kind, state, request_bits[request],
						shared[1]);
			if (!ret)
				row(kind, state, request);
			else if (ret != -ENOENT) {
				printf("| %s | %s | %s | | | | **FAILED**: %s %s %s |\n",
				       kind->name, state->name, requests[request], strerror(-ret),
				       shared[0]->why_not, shared[1]->why_not);
				count[DIFFERENT]++;
			} else if (state == states && !request)
				printf("| %s | | | | | | not to be had: %s |\n", kind->name,
				       shared[0]->why_not);
		}
	}
}

static void preface(void)
{
	struct utsname u;

	uname(&u);
	printf("# Fidelity\n\n"
	       "What libhmm's `hmm_range_fault()` says, beside what the kernel's own says through "
	       "the test module\n"
	       "`vm/oracle`, of the same mapping in the same state. This page is the output of "
	       "`tests/fidelity` in a\n"
	       "guest (`vm/run`), Linux %s. Each sample is made anew for each question and\n"
	       "each target.\n\n"
	       "- **same**: result, validity, permission and order agree on every page.\n"
	       "- **less**: a snapshot or read said \"read\" where the kernel's said \"write\"; "
	       "nothing that a process\n"
	       "  may read tells them apart, and a write request settles it. More than the kernel "
	       "says is never\n"
	       "  right.\n"
	       "- **explained**: differs for a reason that `compare.c` gives.\n"
	       "- **DIFFERENT**: a bug; the run fails.\n\n"
	       "The columns show the first page that differs, else the first.\n\n"
	       "| mapping | state | request | kernel | libhmm | ns a page, each | "
	       "|\n|---|---|---|---|---|---|---|\n",
	       u.release);
}

static int unusable(void)
{
	const char *why = target_kernel.probe();

	if (!why)
		why = target_libhmm.probe();
	if (why)
		fprintf(stderr, "hmm-fidelity: %s\n", why);
	return why ? 77 : 0;
}

int main(int argc, char **argv)
{
	const struct kind *kind;
	bool costs_only = false;
	int ret = unusable(), i, c;

	while ((c = getopt(argc, argv, "d:c:C")) != -1) {
		if (c == 'd')
			dax_dir = optarg;
		else if (c == 'c')
			cached_dir = optarg;
		else if (c == 'C')
			costs_only = true;
		else
			return 2;
	}
	if (ret || costs_only)
		return ret ? ret : cost_report();
	for (i = 0; i < 2; i++) {
		shared[i] = mmap(NULL, sizeof(*shared[i]), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared[i] == MAP_FAILED)
			return 1;
	}
	preface();
	for (kind = kinds; kind->name; kind++)
		table(kind);
	printf("\n%u answers: %u the same, %u less, %u explained, %u different.\n\n",
	       count[0] + count[1] + count[2] + count[3], count[0], count[1], count[2], count[3]);
	ret = cost_report();
	return count[DIFFERENT] || ret ? 1 : 0;
}
