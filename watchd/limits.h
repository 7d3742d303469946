/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* How much each user, and all together, may have watched. */
#ifndef WATCHD_LIMITS_H
#define WATCHD_LIMITS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct limits {
	size_t spaces;      /* connections of all users */
	size_t user_spaces; /* of one user */
	uint64_t log_bytes; /* the largest log */
	uint64_t user_log_bytes;
	uint64_t total_log_bytes;
};

#define LIMITS_DEFAULT ((struct limits){ 1024, 256, 8ULL << 20, 128ULL << 20, 512ULL << 20 })

struct user {
	uid_t uid;
	size_t spaces; /* 0: the entry is free */
	uint64_t log_bytes;
};

struct accounts {
	struct limits limits;
	struct user *users; /* limits.spaces of them */
	size_t spaces;
	uint64_t log_bytes;
};

/* 0; -ENOMEM. */
int accounts_init(struct accounts *accounts, const struct limits *limits);
void accounts_fini(struct accounts *accounts);

/* Counts a connection. 0; -EDQUOT: the user has as many as one may have; -ENOSPC: all have. */
int accounts_enter(struct accounts *accounts, uid_t uid);
/* Counts a log of a user that has entered. Errors the same. */
int accounts_take(struct accounts *accounts, uid_t uid, uint64_t log_bytes);
/* Ends both; log_bytes: what was taken. */
void accounts_leave(struct accounts *accounts, uid_t uid, uint64_t log_bytes);

#endif
