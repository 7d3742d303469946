// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * HOLD_ALIAS: the translation is (object, offset), reached through a second mapping of the object.
 * It follows what happens to the object (truncate, punch) but not what happens to the address:
 * after a munmap and mmap of something else it still shows the old object.
 *
 * A truncated object is not there any more: the access is guarded.
 */
#include <errno.h>
#include <string.h>
#include "internal.h"

static int alias_take(struct hold_device *dev, struct hold_page *page, const struct hmm_vma *vma)
{
	if (!dev->find_alias || !vma)
		return -EOPNOTSUPP;
	page->alias = dev->find_alias(vma, vma->offset + (page->addr - vma->start), dev->arg);
	return page->alias ? 0 : -EOPNOTSUPP;
}

static void alias_drop(struct hold_device *dev, struct hold_page *page)
{
	page->alias = NULL;
}

/*
 * Copies word by word: a stamp that another thread writes meanwhile is old or new, never half of
 * each.
 */
static int alias_read(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		      void *buf, unsigned int len)
{
	const char *src = page->alias + offset;
	char *dst = buf;
	unsigned int i;
	uint64_t word;

	for (i = 0; i + 8 <= len; i += 8) {
		int ret = hmm_load_nofault(src + i, 8, &word);

		if (ret)
			return ret;
		memcpy(dst + i, &word, 8);
	}
	return hmm_copy_from_nofault(dst + i, src + i, len - i, NULL);
}

static int alias_write(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		       const void *buf, unsigned int len)
{
	char *dst = page->alias + offset;
	const char *src = buf;
	unsigned int i;
	uint64_t word;

	for (i = 0; i + 8 <= len; i += 8) {
		int ret;

		memcpy(&word, src + i, 8);
		ret = hmm_store_nofault(dst + i, 8, word);
		if (ret)
			return ret;
	}
	return hmm_copy_to_nofault(dst + i, src + i, len - i, NULL);
}

const struct hold_method_ops hold_alias_ops = { alias_take, alias_drop, alias_read, alias_write };
