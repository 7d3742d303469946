/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CMD_OWN_H
#define CMD_OWN_H

#include "base/command.h"

int cmd_own(const struct command *self, int argc, char **argv);

#endif
