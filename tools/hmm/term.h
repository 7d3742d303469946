/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * What goes to people: colours and glyphs that the terminal and the locale can show, lines as
 * wide as it is, names without control characters, sizes and times in words.
 */
#ifndef TOOLS_HMM_TERM_H
#define TOOLS_HMM_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Learns the locale. Before this only ASCII is written. */
void term_init(void);

/* The text for a locale of UTF-8, or the one in ASCII. */
const char *glyph(const char *utf8, const char *ascii);
#define ELLIPSIS glyph("\u2026", "...")

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN };

/*
 * The sequence that switches to a colour, "" where the stream is no terminal that can, or
 * NO_COLOR is set.
 */
const char *colour(FILE *stream, enum colour c);

/* A terminal on which a line can be written over: not TERM=dumb. */
bool can_redraw(FILE *stream);

/* COLUMNS, or the terminal's columns; 0, no limit, where the stream is no terminal. */
int columns(FILE *stream);

/*
 * Writes words to standard output, broken at spaces to fit its columns. The first begins behind
 * what was written, @at columns; a further line begins with @indent spaces. No newline at the
 * end.
 */
void put_words(int at, int indent, const char *text);

/* As put_words() with a newline at the end, from the line's start. */
void put_paragraph(int indent, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A name as it can be shown: control characters, and what the locale cannot show, as \ooo.
 * Returns out, which has room for size bytes; what does not fit is left out at the front, so that
 * the end is there.
 */
const char *printable(char *out, size_t size, const char *name);

/* Columns of a printable text. */
int text_columns(const char *text);

/*
 * What of a printable text, a path perhaps, fits; dots stand for what is left out: folders at the
 * front, or the middle of a file's name. The end is always there. Returns out, which has room for
 * 4 bytes a column.
 */
const char *shorten(char *out, size_t size, const char *text, int room, const char *dots);

/* The character at *s, or -1 for bytes that are no UTF-8, of which it takes one; moves *s on. */
int32_t next_character(const char **s);

/* "1.5 MiB", "820 ms", "3.2 GB/s". Each returns text, which has room for WORDS bytes. */
#define WORDS 32
const char *bytes_in_words(char *text, uint64_t bytes);
const char *seconds_in_words(char *text, double seconds);
const char *rate_in_words(char *text, double bytes_per_second);

#endif
