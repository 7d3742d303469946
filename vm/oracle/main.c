// SPDX-License-Identifier: GPL-2.0
/*
 * uhmm_oracle: ground truth for tests of libhmm. A character device for tests alone: never load it
 * where strangers log in.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "oracle.h"

static int uhmm_open(struct inode *inode, struct file *file)
{
	struct uhmm_file *uf = kzalloc(sizeof(*uf), GFP_KERNEL);

	if (!uf)
		return -ENOMEM;
	mutex_init(&uf->ioctl_lock);
	file->private_data = uf;
	return 0;
}

static int uhmm_release(struct inode *inode, struct file *file)
{
	struct uhmm_file *uf = file->private_data;

	uhmm_mirror_destroy(uf->mirror);
	kfree(uf);
	return 0;
}

static int uhmm_do_range(struct uhmm_file *uf, void __user *uarg)
{
	struct uhmm_oracle_range arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	ret = uhmm_range(&arg);
	if (!ret && copy_to_user(uarg, &arg, sizeof(arg)))
		ret = -EFAULT;
	return ret;
}

static int uhmm_do_mirror(struct uhmm_file *uf, void __user *uarg)
{
	struct uhmm_oracle_mirror arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	if (uf->mirror)
		return -EBUSY;
	return uhmm_mirror_create(&arg, &uf->mirror);
}

static int uhmm_do_log(struct uhmm_file *uf, void __user *uarg)
{
	struct uhmm_oracle_log arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	ret = uhmm_mirror_log(uf->mirror, &arg);
	if (!ret && copy_to_user(uarg, &arg, sizeof(arg)))
		ret = -EFAULT;
	return ret;
}

static int uhmm_do_access(struct uhmm_file *uf, void __user *uarg)
{
	struct uhmm_oracle_access arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	ret = uhmm_access(uf->mirror, &arg);
	if (!ret && copy_to_user(uarg, &arg, sizeof(arg)))
		ret = -EFAULT;
	return ret;
}

static int uhmm_do_held(struct uhmm_file *uf, void __user *uarg)
{
	struct uhmm_oracle_held arg;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	return uhmm_mirror_held(uf->mirror, &arg);
}

static int uhmm_do_stamp(struct uhmm_file *uf, void __user *uarg)
{
	u64 addr;

	if (copy_from_user(&addr, uarg, sizeof(addr)))
		return -EFAULT;
	return uhmm_mirror_stamp(uf->mirror, addr);
}

static int uhmm_do_migrate(void __user *uarg)
{
	struct uhmm_oracle_migrate arg;
	int ret;

	if (copy_from_user(&arg, uarg, sizeof(arg)))
		return -EFAULT;
	ret = uhmm_migrate(&arg);
	if (!ret && copy_to_user(uarg, &arg, sizeof(arg)))
		ret = -EFAULT;
	return ret;
}

/* Calls that need this file's mirror; it belongs to the address space that made it. */
static int uhmm_mirror_ioctl(struct uhmm_file *uf, unsigned int cmd, void __user *uarg)
{
	if (!uf->mirror)
		return -EINVAL;
	if (uf->mirror->notifier.mm != current->mm)
		return -EPERM;
	switch (cmd) {
	case UHMM_ORACLE_UNMIRROR:
		uhmm_mirror_destroy(uf->mirror);
		uf->mirror = NULL;
		return 0;
	case UHMM_ORACLE_LOG:
		return uhmm_do_log(uf, uarg);
	case UHMM_ORACLE_ACCESS:
		return uhmm_do_access(uf, uarg);
	case UHMM_ORACLE_HELD:
		return uhmm_do_held(uf, uarg);
	case UHMM_ORACLE_STAMP:
		return uhmm_do_stamp(uf, uarg);
	}
	return -ENOTTY;
}

static long uhmm_ioctl(struct file *file, unsigned int cmd, unsigned long uarg)
{
	struct uhmm_file *uf = file->private_data;
	void __user *p = (void __user *)uarg;
	long ret;

	mutex_lock(&uf->ioctl_lock);
	switch (cmd) {
	case UHMM_ORACLE_GET_VERSION:
		ret = put_user((u32)UHMM_ORACLE_VERSION, (u32 __user *)p);
		break;
	case UHMM_ORACLE_RANGE:
		ret = uhmm_do_range(uf, p);
		break;
	case UHMM_ORACLE_MIRROR:
		ret = uhmm_do_mirror(uf, p);
		break;
	case UHMM_ORACLE_MIGRATE:
		ret = uhmm_do_migrate(p);
		break;
	default:
		ret = uhmm_mirror_ioctl(uf, cmd, p);
	}
	mutex_unlock(&uf->ioctl_lock);
	return ret;
}

static const struct file_operations uhmm_fops = {
	.owner = THIS_MODULE,
	.open = uhmm_open,
	.release = uhmm_release,
	.unlocked_ioctl = uhmm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

/*
 * Open to all: the tests run without privilege too, and a caller learns of its own address space
 * only.
 */
static struct miscdevice uhmm_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "uhmm_oracle",
	.fops = &uhmm_fops,
	.mode = 0666,
};

module_misc_device(uhmm_misc);

MODULE_DESCRIPTION("Ground truth for tests of libhmm");
MODULE_LICENSE("GPL");
