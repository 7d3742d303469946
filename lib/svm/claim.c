// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Claims: of several threads that want a chunk one populates it. Until it is done only
 * invalidations change what the chunk table says of the chunk.
 */
#include "svm/svm.h"

static struct svm_claim *find(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	for (int i = 0; i < CLAIMS_MAX; i++) {
		struct svm_claim *c = &svm->claims[i];

		if (c->start < c->end && c->start < end && c->end > start)
			return c;
	}
	return NULL;
}

static bool find_number(const struct hmm_svm *svm, uint64_t number)
{
	for (int i = 0; i < CLAIMS_MAX; i++) {
		const struct svm_claim *c = &svm->claims[i];

		if (c->start < c->end && c->number == number)
			return true;
	}
	return false;
}

bool claim_held(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	bool held;

	pthread_mutex_lock(&svm->lock);
	held = find(svm, start, end) != NULL;
	pthread_mutex_unlock(&svm->lock);
	return held;
}

static struct svm_claim *room(struct hmm_svm *svm)
{
	for (int i = 0; i < CLAIMS_MAX; i++)
		if (svm->claims[i].start >= svm->claims[i].end)
			return &svm->claims[i];
	return NULL;
}

bool claim_try(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	struct svm_claim *c;

	pthread_mutex_lock(&svm->lock);
	c = find(svm, start, end) ? NULL : room(svm);
	if (c)
		*c = (struct svm_claim){ start, end, svm->n_claims++ };
	pthread_mutex_unlock(&svm->lock);
	return c;
}

void claim_wait(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	struct svm_claim *c;
	uint64_t number;
	uint64_t ended;

	pthread_mutex_lock(&svm->lock);
	c = find(svm, start, end);
	number = c ? c->number : 0;
	ended = svm->n_unclaimed;
	while (c ? find_number(svm, number) : !room(svm) && ended == svm->n_unclaimed)
		pthread_cond_wait(&svm->claimed, &svm->lock);
	pthread_mutex_unlock(&svm->lock);
}

void claim_end(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	pthread_mutex_lock(&svm->lock);
	for (int i = 0; i < CLAIMS_MAX; i++) {
		if (svm->claims[i].start == start && svm->claims[i].end == end)
			svm->claims[i].end = start;
	}
	svm->n_unclaimed++;
	pthread_cond_broadcast(&svm->claimed);
	pthread_mutex_unlock(&svm->lock);
}
