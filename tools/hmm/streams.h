/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Standard input, output and error: there from the start, and what could not be written is found
 * at the end.
 */
#ifndef TOOLS_HMM_STREAMS_H
#define TOOLS_HMM_STREAMS_H

/*
 * A standard descriptor that the caller has closed is taken, so that no file that is opened later
 * gets its number, and with it what is meant for people.
 */
void streams_begin(void);

/*
 * Writes what is left. Complains if standard output took not all; then EXIT_FAILED in the place
 * of EXIT_DONE.
 */
int streams_end(int status);

#endif
