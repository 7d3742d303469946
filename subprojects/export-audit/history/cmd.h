/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CMD_HISTORY_H
#define CMD_HISTORY_H

#include "base/command.h"

int cmd_history(const struct command *self, int argc, char **argv);

#endif
