// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "base/nocancel.h"

_Thread_local unsigned int inside_library;
