// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include "held.h"

#define FAULT_TIMEOUT_NS 60000000000ULL

struct hmm_mm *held_attach_by(enum hmm_provider provider, unsigned int flags, int *ret)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm = NULL;

	options.flags = flags;
	options.provider = provider;
	*ret = hmm_mm_attach(&options, &mm);
	return *ret ? NULL : mm;
}

struct hmm_mm *held_attach(unsigned int flags)
{
	int ret;

	return held_attach_by(HMM_PROVIDER_AUTO, flags, &ret);
}

static int make(struct held *h, struct hmm_mm *mm, uint64_t addr, enum hold_method method,
		bool write)
{
	int ret;

	memset(h, 0, sizeof(*h));
	h->mm = mm;
	ret = hold_device_create(mm, 1, NULL, NULL, &h->dev);
	if (!ret)
		ret = hold_range_create(h->dev, addr, 1, HMM_PAGE_SIZE, &h->range);
	if (ret)
		return ret;
	do {
		ret = hold_fault(h->range, 0, method, write, FAULT_TIMEOUT_NS);
	} while (ret == -EAGAIN);
	h->transient = ret == 1;
	return ret < 0 ? ret : 0;
}

int held_make(struct held *h, struct hmm_mm *mm, uint64_t addr, enum hold_method method)
{
	return make(h, mm, addr, method, true);
}

int held_make_read(struct held *h, struct hmm_mm *mm, uint64_t addr, enum hold_method method)
{
	return make(h, mm, addr, method, false);
}

void held_drop(struct held *h)
{
	hold_range_destroy(h->range);
	hold_device_destroy(h->dev);
	memset(h, 0, sizeof(*h));
}

bool held_installed(const struct held *h)
{
	bool installed;

	/* As an engine would: the caller of munmap runs on while the gate is still closed. */
	hmm_mm_commit_begin(h->mm);
	installed = atomic_load(&hold_range_page(h->range, 0)->installed);
	hmm_mm_commit_end(h->mm);
	return installed;
}

bool held_valid(const struct held *h)
{
	return hold_valid(h->range, 0, 0);
}

bool held_valid_checked(const struct held *h)
{
	return hold_valid(h->range, 0, HMM_CHECK_ALL);
}

int held_byte(const struct held *h)
{
	unsigned char bytes[8];
	int ret = hold_read(h->range, 0, 0, bytes, sizeof(bytes));

	return ret ? ret : bytes[0];
}
