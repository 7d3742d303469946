/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * version: of the header that a program is built with, and of the library that it runs with.
 */
#ifndef HMM_VERSION_H
#define HMM_VERSION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * flags HMM_VERSION_* - the version of this header, part by part
 * @HMM_VERSION_MAJOR: the first part
 * @HMM_VERSION_MINOR: the second
 * @HMM_VERSION_MICRO: the third
 *
 * Since: 0.1.
 */
#define HMM_VERSION_MAJOR 0
#define HMM_VERSION_MINOR 1
#define HMM_VERSION_MICRO 0

/**
 * define HMM_VERSION_NUMBER - a version as a number that can be compared
 * @major: below 256, as the others
 * @minor: the second part
 * @micro: the third
 * Since: 0.1.
 */
#define HMM_VERSION_NUMBER(major, minor, micro) ((major) << 16 | (minor) << 8 | (micro))

/**
 * define HMM_VERSION - the version of this header as a number
 * Since: 0.1.
 */
#define HMM_VERSION HMM_VERSION_NUMBER(HMM_VERSION_MAJOR, HMM_VERSION_MINOR, HMM_VERSION_MICRO)

/**
 * define HMM_VERSION_CHECK - is this header of that version, or of a later one? For #if
 * @major: as of HMM_VERSION_NUMBER()
 * @minor: likewise
 * @micro: likewise
 * Since: 0.1.
 */
#define HMM_VERSION_CHECK(major, minor, micro)                                                     \
	(HMM_VERSION >= HMM_VERSION_NUMBER(major, minor, micro))

/**
 * hmm_version() - the version of the library that runs
 *
 * Compared with HMM_VERSION_NUMBER(): a program that is built with this header may run with an
 * older library, or with a newer one. See hmm(7) for what that means for structures.
 * Context: any.
 * Return: as HMM_VERSION.
 * Since: 0.1.
 */
uint32_t hmm_version(void);

#ifdef __cplusplus
}
#endif
#endif
