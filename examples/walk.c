/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#include <hmm/hmm.h>
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
struct node { struct node *next; long value; };
static struct hmm_mm *mm; static struct hmm_ptable *pt; static struct hmm_device *dev; static struct hmm_svm *svm;

static int map(struct hmm_device *d, const struct hmm_device_map *m)
{ return hmm_ptable_set(pt, m->start, m->shift, m->pfns, m->n); }
static void invalidate(struct hmm_device *d, uint64_t start, uint64_t end, enum hmm_event why)
{ hmm_ptable_clear(pt, start, end); }
static const struct hmm_device_ops ops = { sizeof(ops), HMM_DEVICE_ABI, "walker", .map = map, .invalidate = invalidate };

static void *unmapper(void *arg) /* memory that the device holds comes and goes meanwhile */
{
	for (void *p; !*(_Atomic int *)arg; munmap(p, 1 << 16))
		p = mmap(NULL, 1 << 16, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), hmm_svm_fault(svm, (uintptr_t)p, 1 << 16, PROT_READ);
	return NULL;
}
int main(void)
{
	struct hmm_engine *engine; struct node *head = NULL, *n, *next; long sum = 0, faults = 0; _Atomic int stop = 0; pthread_t t;
	assert(!hmm_mm_attach(NULL, &mm) && !hmm_ptable_create(NULL, &pt) && !hmm_device_create(mm, &ops, NULL, NULL, &dev));
	assert(!hmm_svm_create(mm, dev, NULL, &svm) && !hmm_engine_create(mm, &engine));
	for (long i = 0; i < 1000000; i++, head = n)
		n = malloc(sizeof(*n)), n->next = head, n->value = i;
	pthread_create(&t, NULL, unmapper, &stop);
	for (n = head; n; n = next) { /* the device: look up, else fault; inside a section what it found stands */
		for (hmm_engine_enter(engine); !hmm_ptable_lookup(pt, (uintptr_t)n, NULL); hmm_engine_enter(engine), faults++) {
			hmm_engine_exit(engine);
			assert(hmm_svm_fault(svm, (uintptr_t)n, sizeof(*n), PROT_READ) >= 0);
		}
		sum += n->value, next = n->next;
		hmm_engine_exit(engine);
	}
	stop = 1;
	pthread_join(t, NULL);
	printf("1000000 nodes, %ld device faults, sum is %s\n", faults, sum == 499999500000 ? "right" : "WRONG");
	hmm_engine_destroy(engine), hmm_svm_destroy(svm), hmm_device_destroy(dev), hmm_ptable_destroy(pt), hmm_mm_detach(mm);
	return sum != 499999500000;
}
