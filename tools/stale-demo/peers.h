/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Every peer; an executable lists those that it has in its peers[]. */
#ifndef TOOLS_STALE_DEMO_PEERS_H
#define TOOLS_STALE_DEMO_PEERS_H

#include "peer.h"

extern const struct peer peer_none, peer_once;
extern const struct peer peer_hmm, peer_hmm_strict;

#endif
