/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* copying: a device with memory of its own, which copies pages in and out, fails and hangs. */
#ifndef TESTS_COPYING_H
#define TESTS_COPYING_H

#include "base/futex.h"

#include <hmm/devmem.h>

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct copying {
	char *memory; /* never migrates */
	uint64_t bytes;
	_Atomic bool fail_in;
	_Atomic bool fail_out;
	_Atomic uint64_t bad;     /* offset + 1 of a page that is never copied out */
	_Atomic uint64_t kept;    /* so many bytes at the front are kept */
	_Atomic uint32_t hold_in; /* futex: callbacks hang until it is 0 */
	_Atomic uint32_t hold_out;
	_Atomic uint32_t held; /* is there a callback that was held? */
	_Atomic uint64_t delay_ns;
	_Atomic uint32_t calls_in;
	_Atomic uint32_t calls_out;
};

/* held: until the callback is done. */
static inline void copying_hold(struct copying *c, _Atomic uint32_t *word)
{
	const struct timespec ts = { 0, (long)c->delay_ns };

	if (c->delay_ns)
		nanosleep(&ts, NULL);
	c->held += *word;
	while (*word)
		futex_wait(word, 1, HMM_FOREVER);
}

static inline void copying_release(_Atomic uint32_t *word)
{
	*word = 0;
	futex_wake(word);
}

static inline int copying_in(struct hmm_devmem *d, uint64_t offset, const void *from,
			     uint64_t bytes, void *c_void)
{
	struct copying *c = c_void;
	int ret = -1;

	(void)d;
	c->calls_in++;
	copying_hold(c, &c->hold_in);
	if (!c->fail_in) {
		memcpy(c->memory + offset, from, bytes);
		ret = 0;
	}
	c->held = 0;
	return ret;
}

/* What the device has given back it has no more. */
static inline int copying_out(struct hmm_devmem *d, uint64_t offset, void *to, uint64_t bytes,
			      void *c_void)
{
	struct copying *c = c_void;
	int ret = -1;

	(void)d;
	c->calls_out++;
	copying_hold(c, &c->hold_out);
	if (offset < c->kept)
		return -EACCES;
	if (!c->fail_out && !(c->bad > offset && c->bad <= offset + bytes)) {
		memcpy(to, c->memory + offset, bytes);
		memset(c->memory + offset, 0xa5, bytes);
		ret = 0;
	}
	c->held = 0;
	return ret;
}

static inline bool copying_open(struct copying *c, uint64_t bytes)
{
	memset(c, 0, sizeof(*c));
	c->bytes = bytes;
	c->memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return c->memory != MAP_FAILED;
}

static inline void copying_close(struct copying *c)
{
	munmap(c->memory, c->bytes);
	c->memory = NULL;
}

#endif
