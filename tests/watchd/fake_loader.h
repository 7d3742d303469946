/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* What a test and the loader without BPF share. tests/watchd/service.py has the same. */
#ifndef TESTS_WATCHD_FAKE_LOADER_H
#define TESTS_WATCHD_FAKE_LOADER_H

#include <stdint.h>

struct fake {
	int32_t load_error;
	int32_t open_error;
	int32_t global_writable;
	int32_t execd; /* this process has another space by now */
	/* what was done */
	int32_t opens;
	int32_t closes;
	int32_t unloads;
	int32_t last_pid;
	int32_t spares;
	int32_t fewer;      /* no program is attached at the first function */
	int32_t space_logs; /* as many logs as a process may have; 0: any number */
	int32_t last_flags; /* of watch_open() */
};

#endif
