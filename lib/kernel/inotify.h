/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Watches of files. The process has one inotify instance, from the first watch until its last space
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
/* NULL: no watch can be had. */
struct file_watch *watch_add(int path_fd);
void watch_put(struct file_watch *w);
bool watch_works(const struct file_watch *w);
/*
 * A count that grows with each event of the watch, and of every watch, NULL included, when events
 * were lost. After watches_drain() it includes all events that were queued before.
 */
uint32_t watch_events(const struct file_watch *w);
void watches_drain(void);
/*
 * Does this kernel report that a hole was punched into a memfd? If not it looks like one of our own
 * faults for writing.
 */
bool watches_see_memfds(void);

#endif
