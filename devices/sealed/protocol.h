/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What the program and the holder say to each other: one message, one answer of the same form.
 * Pages go through the window, memory that both have. Each clears it when it has read it.
 */
#ifndef DEVICES_SEALED_PROTOCOL_H
#define DEVICES_SEALED_PROTOCOL_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WINDOW_BYTES (256UL << 10)
/* The holder's descriptors. */
#define HOLDER_SOCKET 0
#define HOLDER_WINDOW 1

enum {
	SEALED_OPEN,  /* bytes, value: SEALED_* below. Answer: offset: the holder's process */
	SEALED_IN,    /* offset, bytes: from the window */
	SEALED_OUT,   /* offset, bytes: to the window; what was there is cleared */
	SEALED_CLEAR, /* offset, bytes */
	SEALED_JOB,   /* + enum hmm_sealed_job: offset, bytes, value. Answer: value */
};

/* What is opened. */
#define SEALED_SECRET (1U << 0) /* of memfd_secret() */
#define SEALED_NEVER (1U << 1)  /* nothing is told of what is there */

struct sealed_message {
	uint32_t op;
	int32_t err;
	uint64_t offset;
	uint64_t bytes;
	uint64_t value;
};

static inline int sealed_secret(void)
{
#ifdef SYS_memfd_secret
	const long nr = SYS_memfd_secret;
#else
	const long nr = 447;
#endif
	return (int)syscall(nr, 0);
}

#endif
