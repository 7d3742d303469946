// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/limits.h"

#include <errno.h>
#include <stdlib.h>

int accounts_init(struct accounts *accounts, const struct limits *limits)
{
	*accounts = (struct accounts){ .limits = *limits };
	accounts->users = calloc(limits->spaces, sizeof(*accounts->users));
	return accounts->users ? 0 : -ENOMEM;
}

void accounts_fini(struct accounts *accounts)
{
	free(accounts->users);
	accounts->users = NULL;
}

static struct user *find(const struct accounts *accounts, uid_t uid)
{
	for (size_t i = 0; i < accounts->limits.spaces; i++) {
		struct user *user = &accounts->users[i];

		if (user->spaces && user->uid == uid)
			return user;
	}
	return NULL;
}

static struct user *find_free(const struct accounts *accounts)
{
	for (size_t i = 0; i < accounts->limits.spaces; i++) {
		if (!accounts->users[i].spaces)
			return &accounts->users[i];
	}
	return NULL;
}

int accounts_enter(struct accounts *accounts, uid_t uid)
{
	struct user *user = find(accounts, uid);

	if (user && user->spaces >= accounts->limits.user_spaces)
		return -EDQUOT;
	if (!user && !accounts->limits.user_spaces)
		return -EDQUOT;
	if (accounts->spaces >= accounts->limits.spaces)
		return -ENOSPC;
	if (!user) {
		/* there is one: each user in the table has a connection at least */
		user = find_free(accounts);
		*user = (struct user){ .uid = uid };
	}
	user->spaces++;
	accounts->spaces++;
	return 0;
}

int accounts_take(struct accounts *accounts, uid_t uid, uint64_t log_bytes)
{
	struct user *user = find(accounts, uid);

	if (user->log_bytes + log_bytes > accounts->limits.user_log_bytes)
		return -EDQUOT;
	if (accounts->log_bytes + log_bytes > accounts->limits.total_log_bytes)
		return -ENOSPC;
	user->log_bytes += log_bytes;
	accounts->log_bytes += log_bytes;
	return 0;
}

void accounts_leave(struct accounts *accounts, uid_t uid, uint64_t log_bytes)
{
	struct user *user = find(accounts, uid);

	user->log_bytes -= log_bytes;
	accounts->log_bytes -= log_bytes;
	user->spaces--;
	accounts->spaces--;
}
