// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "peers.h"

const struct peer *const peers[] = {
	&peer_none, &peer_once, &peer_hmm, &peer_hmm_strict, NULL,
};
