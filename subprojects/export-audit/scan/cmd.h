/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CMD_SCAN_H
#define CMD_SCAN_H

#include "base/command.h"

int cmd_scan(const struct command *self, int argc, char **argv);

#endif
