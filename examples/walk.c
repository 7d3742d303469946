// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A whole driver, which the README shows, and a program for it. The device walks two lists by
 * the program's own pointers: one that malloc() made, and one whose memory another thread replaces
 * and unmaps all the while. Each walk of that ends with a right answer, or with "it is gone".
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <hmm/hmm.h>

static struct hmm_ptable *table; /* the device's own page table */
static struct hmm_engine *engine;
static struct hmm_svm *svm; /* the mirror: it calls map() and invalidate() */

static int map(struct hmm_device *dev, const struct hmm_device_map *m)
{
	return hmm_ptable_set(table, m->start, m->shift, m->pfns, m->n);
}

static void invalidate(struct hmm_device *dev, uint64_t start, uint64_t end,
		       enum hmm_event why /* unmapped, discarded, moved, ... */)
{
	hmm_ptable_clear(table, start, end);
}

/* A load by the device, within one page: 0, or -EFAULT if nothing is there. */
static int device_load(void *dst, const void *src, size_t len)
{
	uint64_t addr = (uintptr_t)src;
	int once = 0; /* 1: not to be cached, but may be used once */

	do {
		int ret = -ENOENT;

		hmm_engine_enter(engine);
		if (once || hmm_ptable_lookup(table, addr, NULL))
			ret = hmm_copy_from_nofault(dst, src, len, NULL);
		if (hmm_engine_exit(engine) && !ret)
			return 0; /* what was loaded in the section stands */
		/* Without an event for it the entry is still there. */
		if (ret == -EFAULT)
			hmm_svm_drop(svm, addr, addr + len);
		once = hmm_svm_fault(svm, addr, len, PROT_READ);
	} while (once >= 0);
	return once;
}

static const struct hmm_device_ops ops = {
	.size = sizeof(ops),
	.abi = HMM_DEVICE_ABI,
	.name = "walker",
	/* No entry is larger than what invalidate() may be asked to drop. */
	.page_shifts = 1 << HMM_PAGE_SHIFT,
	.map = map,
	.invalidate = invalidate,
};

/* ---- the program --------------------------------------------------------------------------- */

#define NODES 1000000
#define SHORT 2000 /* nodes of the list that comes and goes */
#define WALKS 100  /* of it, each whole and gone */
#define SIZE ((size_t)SHORT * sizeof(struct node))

struct node {
	struct node *next;
	long value;
};

static void need(int error, const char *what)
{
	if (error >= 0)
		return;
	fprintf(stderr, "walk: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* The device's work: 0 and the sum of the values, or an error. */
static int walk(const struct node *node, long *sum)
{
	struct node here;
	int ret = 0;

	for (*sum = 0; node; node = here.next) {
		ret = device_load(&here, node, sizeof(here));
		if (ret)
			break;
		*sum += here.value;
	}
	return ret;
}

static struct node *make_long(void)
{
	struct node *head = NULL;

	for (long i = 0; i < NODES; i++) {
		struct node *node = malloc(sizeof(*node));

		need(node ? 0 : -ENOMEM, "a list");
		node->next = head;
		node->value = i;
		head = node;
	}
	return head;
}

static void free_long(struct node *head)
{
	while (head) {
		struct node *next = head->next;

		free(head);
		head = next;
	}
}

/*
 * A list in memory of its own that is to be used at the address @at: every value is the same, so
 * that a walk shows which lists it met.
 */
static struct node *make_short(struct node *at, long value)
{
	struct node *list =
		mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(list == MAP_FAILED ? -errno : 0, "a list");
	for (long i = 0; i < SHORT; i++) {
		list[i].next = i + 1 < SHORT ? &at[i + 1] : NULL;
		list[i].value = value;
	}
	return list;
}

struct change {
	struct node *at;
	atomic_long value; /* of the oldest list that may still be seen */
	atomic_bool stop;
};

/* The list is replaced by another in one step, then by no memory, and so on. */
static void *come_and_go(void *arg)
{
	struct change *c = arg;

	for (long value = 1; !atomic_load(&c->stop); value++) {
		struct node *list = make_short(c->at, value);

		if (mremap(list, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, c->at) == MAP_FAILED)
			need(-errno, "mremap");
		atomic_store(&c->value, value);
		usleep(200);
		if (value % 2)
			continue;
		if (mmap(c->at, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		    MAP_FAILED)
			need(-errno, "mmap");
		usleep(100);
	}
	return NULL;
}

/* Whole, or gone before its end; anything else is wrong. */
static int walk_what_changes(void)
{
	struct change c = { .at = make_short(NULL, 0) };
	long whole = 0, gone = 0, wrong = 0;
	pthread_t thread;

	need(-pthread_create(&thread, NULL, come_and_go, &c), "a thread");
	while (!wrong && (whole < WALKS || gone < WALKS)) {
		long oldest = atomic_load(&c.value), sum;
		int ret = walk(c.at, &sum);

		/* No node is older than the list that was there when the walk began. */
		if (ret == -EFAULT)
			gone++;
		else if (!ret && sum >= oldest * SHORT)
			whole++;
		else
			wrong++;
	}
	atomic_store(&c.stop, true);
	pthread_join(thread, NULL);
	munmap(c.at, SIZE);
	printf("a list that comes and goes: %ld walks saw it whole, %ld that it is gone, %ld "
	       "wrong\n",
	       whole, gone, wrong);
	return wrong != 0;
}

static int walk_what_stays(void)
{
	struct hmm_svm_stats stats = { .size = sizeof(stats) };
	struct node *head = make_long();
	long sum;
	int ret = walk(head, &sum);

	need(ret, "the walk");
	need(hmm_svm_get_stats(svm, &stats), "statistics");
	free_long(head);
	printf("a list of malloc: %d nodes in %lu MiB, the sum is %s\n", NODES,
	       (unsigned long)(stats.mapped_bytes >> 20),
	       sum == (long)NODES * (NODES - 1) / 2 ? "right" : "WRONG");
	return sum != (long)NODES * (NODES - 1) / 2;
}

int main(void)
{
	struct hmm_device *device;
	struct hmm_mm *mm;
	int wrong, ret = hmm_mm_attach(NULL, &mm);

	if (ret) {
		fprintf(stderr, "walk: cannot attach: %s\n", strerror(-ret));
		return 77;
	}
	need(hmm_ptable_create(NULL, &table), "a page table");
	need(hmm_device_create(mm, &ops, NULL, NULL, &device), "a device");
	need(hmm_svm_create(mm, device, NULL, &svm), "a mirror");
	need(hmm_engine_create(mm, &engine), "an engine");
	wrong = walk_what_stays();
	wrong |= walk_what_changes();
	hmm_engine_destroy(engine);
	hmm_svm_destroy(svm);
	hmm_device_destroy(device);
	hmm_ptable_destroy(table);
	hmm_mm_detach(mm);
	return wrong;
}
