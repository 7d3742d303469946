// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Memory in one piece, for engines in software. */
#include "svm/svm.h"
#include "device/device.h"
#include "space/space.h"
#include "base/epoch.h"
#include "base/nocancel.h"
#include "base/number.h"

#include <errno.h>

/* What is missing moves there too, next to the rest if there is room; or all comes home. */
static int gather(struct hmm_svm *svm, uint64_t addr, uint64_t end, bool home)
{
	if (!home) {
		svm_migrate_span(svm, addr & ~(HMM_PAGE_SIZE - 1),
				 (end + HMM_PAGE_SIZE - 1) & ~(HMM_PAGE_SIZE - 1));
		return 0;
	}
	count(&svm->stats.gathered, 1);
	return svm_come_home(svm, addr, end);
}

int svm_gather(struct hmm_device *dev, uint64_t addr, uint64_t len, int prot, bool home)
{
	HMM_NO_CANCEL;
	struct hmm_svm *svm = atomic_load(&device_outermost(dev)->svm);
	struct svm_need need = { .in_place = true };
	int ret;

	if (epoch_inherited(dev->epoch))
		return -ESRCH;
	if (!svm || !svm->options.devmem)
		return -EFAULT;
	ret = gather(svm, addr, addr + len, home);
	if (!ret)
		ret = svm_fault_span(svm, addr, addr + len, prot, &need);
	return ret < 0 ? ret : 0;
}
