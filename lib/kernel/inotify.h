/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Watches of files. One inotify instance for the process, from the first watch until the last space
 * goes.
 */
#ifndef LIB_KERNEL_INOTIFY_H
#define LIB_KERNEL_INOTIFY_H

#include <stdbool.h>
#include <stdint.h>

struct file_watch;

void watches_get(void);
void watches_put(void);
void watches_in_child(void);
/* NULL: none is to be had. */
struct file_watch *watch_add(int path_fd);
void watch_put(struct file_watch *w);
bool watch_works(const struct file_watch *w);
/*
 * Grows with each event; of NULL too, when none can be told apart. A thread that drains sees what
 * was queued before.
 */
uint32_t watch_events(const struct file_watch *w);
void watches_drain(void);
/* Is a hole punched in a memfd told apart from our own faults for writing? */
bool watches_see_memfds(void);

#endif
