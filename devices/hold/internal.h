/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the files of the hold device share. */
#ifndef DEVICES_HOLD_INTERNAL_H
#define DEVICES_HOLD_INTERNAL_H

#include <liburing.h>
#include "hold.h"

struct hold_device {
	struct hmm_mm *mm;
	struct io_uring ring;
	bool pins;
	unsigned int max_pins;
	unsigned char *pin_used; /* one byte a buffer */
	int scratch[2];          /* a pipe for bytes between a page and the caller */
	hold_find_alias_fn find_alias;
	void *arg;
};

struct hold_range {
	struct hold_device *dev;
	struct hmm_interval_notifier *ni;
	uint64_t start;
	uint64_t stride;
	unsigned int n;
	_Atomic uint64_t callbacks;
	struct hold_page page[];
};

/* What each method does: takes hold of the page at page->addr, releases it, reads and writes it. */
struct hold_method_ops {
	int (*take)(struct hold_device *dev, struct hold_page *page, const struct hmm_vma *vma);
	void (*drop)(struct hold_device *dev, struct hold_page *page);
	int (*read)(struct hold_device *dev, struct hold_page *page, unsigned int offset, void *buf,
		    unsigned int len);
	int (*write)(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		     const void *buf, unsigned int len);
};

extern const struct hold_method_ops hold_pin_ops;
extern const struct hold_method_ops hold_ref_ops;
extern const struct hold_method_ops hold_alias_ops;

int hold_pin_init(struct hold_device *dev);
void hold_pin_exit(struct hold_device *dev);

#endif
