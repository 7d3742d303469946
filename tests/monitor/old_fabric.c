// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What libhmm-ofi.so sees of a libfabric that is too old to import a monitor. */
#include <stddef.h>
#include <stdint.h>
#include <rdma/fabric.h>

__attribute__((visibility("default"))) int fi_getinfo(uint32_t version, const char *node,
						      const char *service, uint64_t flags,
						      const struct fi_info *hints,
						      struct fi_info **info)
{
	(void)version;
	(void)node;
	(void)service;
	(void)flags;
	(void)hints;
	*info = NULL;
	return 0;
}

__attribute__((visibility("default"))) uint32_t fi_version(void)
{
	return FI_VERSION(1, 13);
}

/* It is a plug-in at the same time. By a pointer, as a compiler may put the function in here. */
static int (*volatile getinfo)(uint32_t version, const char *node, const char *service,
			       uint64_t flags, const struct fi_info *hints,
			       struct fi_info **info) = fi_getinfo;

__attribute__((visibility("default"))) int plugin_ask(void)
{
	struct fi_info *info;

	return getinfo(FI_VERSION(1, 13), NULL, NULL, 0, NULL, &info);
}
