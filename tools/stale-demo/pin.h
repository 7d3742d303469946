/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Pins: what the stub device knows of each registration, a word of each page. That word is the
 * page's tag. It lies where no allocator keeps anything, and a scene that changes a mapping paints
 * one there that was never used before. A pin with another tag than the page is of a page that is
 * no longer mapped.
 *
 * pin_words() tells what the device sees now. With tags alone that is what was there when the
 * registration was made. With io_uring the registration is a registered buffer, and the device's
 * view is read through it.
 */
#ifndef TOOLS_STALE_DEMO_PIN_H
#define TOOLS_STALE_DEMO_PIN_H

#include "peer.h"

#define PAGE_BYTES 4096UL
#define TAG_OFFSET 2048UL
#define PIN_PAGES 64 /* most pages of a registration that are known */

struct pin {
	uint64_t id; /* 0: free */
	uint64_t addr;
	uint64_t pages;
	uint64_t tag[PIN_PAGES];
};

/* The tag of a page. */
static inline uint64_t *tag_of(char *page)
{
	return (uint64_t *)(void *)(page + TAG_OFFSET);
}

/* What a pin is, beside the tags. NULL: nothing. */
struct pin_device {
	int (*pin)(unsigned int slot, uint64_t addr, uint64_t length);
	void (*unpin)(unsigned int slot);
	/* The tag of the page at @addr, as the device sees it. */
	int (*read)(unsigned int slot, uint64_t addr, uint64_t *word);
};

#define PIN_SLOTS 4096

void pin_use_device(const struct pin_device *device);

/* Registrations that this thread has made. */
uint64_t pin_made(void);
/* How many there are now. */
uint64_t pin_count(void);
bool pin_alive(uint64_t id);

/*
 * The device's view of @pages pages from @addr on. -ENOENT: the registration has ended or does not
 * cover them, so nothing may be done with it.
 */
int pin_words(uint64_t id, uint64_t addr, unsigned int pages, uint64_t *words);

/* Called at the end of pin_make(), for what happens before the cache has the registration. */
extern void (*pin_hook)(void);

#endif
