// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The latest installations, with numbers. A device may drop entries by itself and tells nobody. So
 * a device may fault where the chunk table says "present". The device is right then, unless the
 * memory was installed for another engine after the fault was raised:
 *
 *	engine 1		engine 2		svm
 *	fault			fault
 *							fetch: 1
 *							install: number n
 *							fetch: 2, found: try again
 *
 * Nothing tells when a fault was raised. But if a fetch has emptied the buffer, faults that are
 * fetched later were raised after that fetch began. An engine that is wrongly told to try again
 * faults again, and is served when a further fetch has emptied the buffer. An engine that is served
 * without need costs a walk.
 */
#include "svm/svm.h"

/* After so many fetches in a row that did not empty the buffer the last one counts as if it had. */
#define FULL_MAX 64

void install_note(struct hmm_svm *svm, uint64_t start, uint64_t end)
{
	pthread_mutex_lock(&svm->lock);
	svm->installs[svm->n_installs++ % INSTALLS_MAX] =
		(struct svm_claim){ .start = start, .end = end };
	pthread_mutex_unlock(&svm->lock);
}

struct svm_fetch fetch_begin(struct hmm_svm *svm)
{
	struct svm_fetch fetch;

	pthread_mutex_lock(&svm->lock);
	fetch.began = svm->n_installs;
	fetch.raised_after = svm->emptied;
	pthread_mutex_unlock(&svm->lock);
	return fetch;
}

void fetch_end(struct hmm_svm *svm, const struct svm_fetch *fetch, bool full)
{
	pthread_mutex_lock(&svm->lock);
	svm->n_full = full ? svm->n_full + 1 : 0;
	if (svm->n_full >= FULL_MAX)
		svm->n_full = 0;
	if (!svm->n_full && svm->emptied < fetch->began)
		svm->emptied = fetch->began;
	pthread_mutex_unlock(&svm->lock);
}

/* The end of the installation at an address with at least that number; 0: there is none. */
static uint64_t installed_to(const struct hmm_svm *svm, uint64_t addr, uint64_t number)
{
	if (svm->n_installs > INSTALLS_MAX && number < svm->n_installs - INSTALLS_MAX)
		number = svm->n_installs - INSTALLS_MAX;
	for (; number < svm->n_installs; number++) {
		const struct svm_claim *c = &svm->installs[number % INSTALLS_MAX];

		if (c->start <= addr && addr < c->end)
			return c->end;
	}
	return 0;
}

bool installed_since(struct hmm_svm *svm, uint64_t addr, uint64_t end, uint64_t number)
{
	pthread_mutex_lock(&svm->lock);
	while (addr && addr < end)
		addr = installed_to(svm, addr, number);
	pthread_mutex_unlock(&svm->lock);
	return addr;
}
