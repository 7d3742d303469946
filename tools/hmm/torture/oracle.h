/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * oracle: what a device may see. Every content of a page carries a stamp, larger than all before it
 * on that page. Two rules are checked, and nothing else is taken on trust:
 *
 * 1. Inside an engine section, a read that begins after a removing call has *returned* never shows
 * what that call removed (page.done).
 * 2. A validated use that begins after a change was *seen to have taken effect* by any thread is
 * refused, even while the call that made it is still blocked (page.effect).
 *
 * In both, when no operation is under way from before the use to after it (epoch), exactly the
 * current stamp must be seen: no younger, no zero page, no other page's.
 */
#ifndef TOOLS_HMM_TORTURE_ORACLE_H
#define TOOLS_HMM_TORTURE_ORACLE_H

#include "slot.h"

/* A page: word 0 the stamp, words 1..7 written by devices, words 8..511 follow from the stamp. */
#define DEVICE_WORD 1
#define DEVICE_WORDS 7
#define PATTERN_WORD 8
#define PAGE_WORDS 512

uint64_t oracle_word(const struct slot *slot, unsigned int page, uint64_t stamp);
uint64_t oracle_pattern(uint64_t word, unsigned int i);
void oracle_fill(uint64_t *mem, uint64_t word);

/* An operation: begin gives its stamp; pages [lo, hi) lost their content; were seen to; have a new
 * one. */
uint64_t oracle_begin(struct slot *slot);
void oracle_removed(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
void oracle_seen(struct slot *slot, unsigned int page, uint64_t stamp);
/* Store the new content through the slot's address, or only say that it is there. */
void oracle_stamp(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
void oracle_stamped(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
/* For the peer, which cannot know that the removing call has returned. */
void oracle_stamp_seen(struct slot *slot, unsigned int lo, unsigned int hi, uint64_t stamp);
void oracle_end(struct slot *slot);

enum verdict {
	VERDICT_OK,
	VERDICT_STALE,
	VERDICT_WRONG,
};

/* Taken before the use (before its validation; in a section before the access). */
struct oracle_view {
	uint64_t epoch;
	uint64_t floor;
};
void oracle_look(const struct slot *slot, unsigned int page, bool validated,
		 struct oracle_view *view);
/* Was nothing under way from the look to now? */
bool oracle_stable(const struct slot *slot, const struct oracle_view *view);
/* What was read: the stamp word, or with words > PATTERN_WORD the page's first words. */
enum verdict oracle_judge(const struct slot *slot, unsigned int page,
			  const struct oracle_view *view, const uint64_t *words, unsigned int n,
			  char *why, unsigned int why_len);

#endif
