// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A plug-in that uses libfabric, as a transport of Open MPI is one. */
#include <rdma/fabric.h>
#include <rdma/fi_errno.h>

int plugin_ask(void);

int plugin_ask(void)
{
	struct fi_info *info = NULL;
	int err = fi_getinfo(FI_VERSION(1, 14), NULL, NULL, 0, NULL, &info);

	if (!err)
		fi_freeinfo(info);
	return err == -FI_ENODATA ? 0 : err;
}
