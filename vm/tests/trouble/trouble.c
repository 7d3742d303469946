// SPDX-License-Identifier: GPL-2.0
/*
 * trouble: a module that makes the kernel report what vm/run has to notice.
 * kind=warn  a WARN_ON, after which the kernel goes on
 * kind=oops  a store to a bad address
 * kind=none  nothing: the control
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

static char *kind = "none";
module_param(kind, charp, 0444);
MODULE_PARM_DESC(kind, "warn, oops or none");

static int __init trouble_init(void)
{
	if (!strcmp(kind, "warn"))
		WARN(1, "trouble was asked for\n");
	else if (!strcmp(kind, "oops"))
		WRITE_ONCE(*(volatile int *)16, 1);
	return 0;
}

static void __exit trouble_exit(void)
{
}

module_init(trouble_init);
module_exit(trouble_exit);
MODULE_DESCRIPTION("makes the kernel report a problem, on request");
MODULE_LICENSE("GPL");
