/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * deliver: tells the peer of changes, from a thread of its own. The pump may wait for no lock of
 * the peer's, as an unmapping thread that holds the lock waits for the pump. So the pump's callback
 * only puts the record on a list. The deliverer takes it from there, and may wait.
 *
 * The deliverer is never joined and blocks all signals. A forked child has none.
 */
#ifndef MONITOR_DELIVER_H
#define MONITOR_DELIVER_H

#include <stdbool.h>
#include <stdint.h>

struct record;

/* Makes the thread, once. 0; -errno. */
int deliver_start(void);

/* Hands a record over. Legal in callbacks: no lock, no allocation, at most one futex(2). */
void deliver_push(struct record *r);

/*
 * Waits until every record that was handed over before the call has been delivered. False:
 * timeout_ns passed. Not to be called with a lock that monitor.deliver() takes.
 */
bool deliver_wait(uint64_t timeout_ns);

#endif
