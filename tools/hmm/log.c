// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "log.h"
#include "command.h"

#include <hmm/log.h>

#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>

static _Atomic unsigned int misuses;

/* What the library said last, for those who ask on the thread that it said it on. */
static _Thread_local char last[512];
static _Atomic bool quiet;

static struct iovec part(const char *s)
{
	return (struct iovec){ .iov_base = (void *)(uintptr_t)s, .iov_len = strlen(s) };
}

/* Maybe on the pump: no stdio. */
static void say(enum hmm_log_level level, const char *message, void *arg)
{
	const struct iovec line[] = {
		part("hmm "),
		part(command_name ? command_name : ""),
		part(level == HMM_LOG_MISUSE ? ": misuse: " : ": "),
		part(message),
		part("\n"),
	};

	if (level == HMM_LOG_MISUSE)
		atomic_fetch_add(&misuses, 1);
	strncpy(last, message, sizeof(last) - 1);
	if (!atomic_load(&quiet) && writev(2, line, sizeof(line) / sizeof(line[0])) < 0)
		return;
}

void log_quiet(bool on)
{
	atomic_store(&quiet, on);
}

void log_begin(void)
{
	hmm_log_set(say, NULL);
}

int log_end(int status)
{
	hmm_log_set(NULL, NULL);
	return status == EXIT_DONE && atomic_load(&misuses) ? EXIT_FINDING : status;
}

const char *log_said(void)
{
	return *last ? last : NULL;
}
