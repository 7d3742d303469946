// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "range/look.h"
#include "watch/region.h"
#include "space/space.h"
#include "kernel/vma.h"

int vma_look(struct hmm_mm *mm, uint64_t addr, struct vma_look *look)
{
	look->taken = regions_taken(mm);
	look->watched = mm->log || region_any(mm, addr, addr + 1) == 1;
	return vma_lookup_unnamed(mm_vmas(mm), addr, &look->vma);
}

bool vma_look_stands(struct hmm_mm *mm, const struct vma_look *look)
{
	return look->taken == regions_taken(mm);
}
