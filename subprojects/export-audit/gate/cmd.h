/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef CMD_GATE_H
#define CMD_GATE_H

#include "base/command.h"

int cmd_gate(const struct command *self, int argc, char **argv);

#endif
