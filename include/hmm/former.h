/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * Names of before the first release, for programs that were written then. They mean what they
 * meant, and go with 1.0.
 */
#ifndef HMM_FORMER_H
#define HMM_FORMER_H

#include <hmm/device.h>
#include <hmm/engine.h>
#include <hmm/guard.h>
#include <hmm/notifier.h>
#include <hmm/range.h>

/**
 * hmm_interval_valid() - the opposite of hmm_interval_stale()
 * @ni: the notifier
 * @seq: its sequence
 *
 * Context: as hmm_interval_stale().
 * Return: true: the translation is true. False: fault again.
 * Since: 0.1.
 */
static inline bool hmm_interval_valid(struct hmm_interval_notifier *ni, uint64_t seq)
{
	return !hmm_interval_stale(ni, seq);
}

/**
 * define hmm_range_valid - hmm_range_check()
 * Since: 0.1.
 */
#define hmm_range_valid hmm_range_check

/**
 * define hmm_engine_commit_begin - hmm_mm_commit_begin()
 * Since: 0.1.
 */
#define hmm_engine_commit_begin hmm_mm_commit_begin

/**
 * define hmm_engine_commit_end - hmm_mm_commit_end()
 * Since: 0.1.
 */
#define hmm_engine_commit_end hmm_mm_commit_end

/**
 * define hmm_device_faults_pending - hmm_device_serve_faults()
 * Since: 0.1.
 */
#define hmm_device_faults_pending hmm_device_serve_faults

/**
 * define hmm_device_lost - hmm_device_restore()
 * Since: 0.1.
 */
#define hmm_device_lost hmm_device_restore

/**
 * define hmm_device_sigaction - hmm_guard_sigaction()
 * Since: 0.1.
 */
#define hmm_device_sigaction hmm_guard_sigaction

#endif
