/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Messages of the library, put together without the heap and without stdio. */
#ifndef LIB_BASE_LOG_H
#define LIB_BASE_LOG_H

#include <stddef.h>
#include <hmm/log.h>

/* A line that is put together. Text that does not fit is left out. */
struct text {
	size_t n;
	char s[1024];
};

void text_add(struct text *t, const char *s);
void text_decimal(struct text *t, uint64_t number);
void text_hex(struct text *t, uint64_t number);

/* Remembers which file standard error is. */
void log_init(void);
/* Prints the line. Allocates nothing, does not touch errno, is no point of cancellation. */
void log_say(enum hmm_log_level level, const char *message);
/* Is this thread in the program's function for messages? */
bool log_is_saying(void);
/* In a forked child: no thread is in that function. */
void log_forked(void);

#endif
