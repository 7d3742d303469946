/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What the program tells about itself. */
#ifndef LIB_MM_NOTE_H
#define LIB_MM_NOTE_H

/* A space is attached: the preload object, if there is one, learns whom to tell. */
void notes_begin(void);
/* memory_debug.c: the same for libhmm-debug.so, with debug. */
void memory_debug_begin(void);

#endif
