/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What goes to people: colours if the stream is a terminal, sizes and times in words. */
#ifndef TOOLS_HMM_TERM_H
#define TOOLS_HMM_TERM_H

#include <stdint.h>
#include <stdio.h>

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN };

/* The sequence that switches to a colour, "" where the stream is no terminal or NO_COLOR is set. */
const char *colour(FILE *stream, enum colour c);

/* Columns of the terminal, 80 where there is none. */
int columns(FILE *stream);

/* "1.5 MiB", "820 ms", "3.2 GB/s". Each returns text, which has room for WORDS bytes. */
#define WORDS 32
const char *bytes_in_words(char *text, uint64_t bytes);
const char *seconds_in_words(char *text, double seconds);
const char *rate_in_words(char *text, double bytes_per_second);

#endif
