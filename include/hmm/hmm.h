/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Everything. */
#ifndef HMM_HMM_H
#define HMM_HMM_H
#include <hmm/version.h>
#include <hmm/types.h>
#include <hmm/log.h>
#include <hmm/memory.h>
#include <hmm/mm.h>
#include <hmm/coherence.h>
#include <hmm/notifier.h>
#include <hmm/engine.h>
#include <hmm/former.h>
#include <hmm/guard.h>
#include <hmm/range.h>
#include <hmm/devmem.h>
#include <hmm/migrate.h>
#include <hmm/migrate_vma.h>
#include <hmm/sealed.h>
#include <hmm/ptable.h>
#include <hmm/persist.h>
#include <hmm/regcache.h>
#include <hmm/device.h>
#include <hmm/software.h>
#include <hmm/svm.h>
#endif
