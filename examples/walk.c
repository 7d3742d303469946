/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* A driver of one page: its device walks a list built by malloc while another thread maps and unmaps. */
#include <hmm/hmm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

struct node { struct node *next; long value; };

static int map(struct hmm_device *dev, const struct hmm_device_map *m)
{
	return hmm_ptable_set(hmm_device_priv(dev), m->start, m->shift, m->pfns, m->n);
}
static void invalidate(struct hmm_device *dev, uint64_t start, uint64_t end, enum hmm_event event)
{
	hmm_ptable_clear(hmm_device_priv(dev), start, end);
}
static const struct hmm_device_ops ops = {
	.size = sizeof(ops), .abi = HMM_DEVICE_ABI, .name = "walker", .map = map, .invalidate = invalidate,
};

static void *hostile(void *stop) /* the program goes on mapping, using and unmapping meanwhile */
{
	for (; !*(_Atomic int *)stop; free(calloc(1, 1 << 20)))
		munmap(mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), 1 << 16);
	return NULL;
}

int main(void)
{
	struct hmm_mm *mm; struct hmm_ptable *table; struct hmm_device *dev; struct hmm_svm *svm; struct hmm_engine *engine;
	struct node *head = NULL, *n, *next; long sum = 0, want = 0, faults = 0; _Atomic int stop = 0; pthread_t t;

	if (hmm_mm_attach(NULL, &mm) || hmm_ptable_create(NULL, &table) || hmm_device_create(mm, &ops, table, NULL, &dev) ||
	    hmm_svm_create(mm, dev, NULL, &svm) || hmm_engine_create(mm, &engine))
		return perror("walk"), 1;
	for (long i = 0; i < 1000000; i++, head = n)
		n = malloc(sizeof(*n)), n->next = head, n->value = i, want += i;
	pthread_create(&t, NULL, hostile, &stop);
	for (n = head; n; n = next) { /* the device: looks up, faults, loads; inside a section what it found stands */
		hmm_engine_enter(engine);
		while (!hmm_ptable_lookup(table, (uintptr_t)n, NULL)) {
			hmm_engine_exit(engine);
			if (faults++, hmm_svm_fault(svm, (uintptr_t)n, sizeof(*n), PROT_READ) < 0)
				return fprintf(stderr, "walk: fault at %p\n", (void *)n), 1;
			hmm_engine_enter(engine);
		}
		sum += n->value, next = n->next;
		hmm_engine_exit(engine);
	}
	stop = 1, pthread_join(t, NULL);
	printf("1000000 nodes, %ld device faults, sum %s\n", faults, sum == want ? "right" : "WRONG");
	hmm_engine_destroy(engine), hmm_svm_destroy(svm), hmm_device_destroy(dev), hmm_ptable_destroy(table), hmm_mm_detach(mm);
	return sum != want;
}
