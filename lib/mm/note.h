/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Notes: what the program tells about what it does. */
#ifndef LIB_MM_NOTE_H
#define LIB_MM_NOTE_H

/*
 * A space was attached: tells the preload object, if there is one, which functions of the library
 * to call.
 */
void notes_begin(void);
/* memory_debug.c: the same for libhmm-debug.so, with LIBHMM_DEBUG. */
void memory_debug_begin(void);

#endif
