// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <hmm/version.h>

uint32_t hmm_version(void)
{
	return HMM_VERSION;
}
