// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What /proc/self/mountinfo says of a superblock or a mount. */
#include "kernel/mounts.h"
#include "base/deadline.h"
#include "base/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static bool has_option(const char *options, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = options; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, name, len) && (!p[len] || p[len] == ',' || p[len] == ' '))
			return true;
	}
	return false;
}

/* Compares the name up to a dot or a space, as in "fuse.sshfs". */
static bool is_remote(const char *type)
{
	static const char *const remote[] = { "nfs",    "nfs4",    "cifs",  "smb3",     "smbfs",
					      "fuse",   "fuseblk", "9p",    "virtiofs", "ceph",
					      "afs",    "coda",    "ocfs2", "gfs2",     "lustre",
					      "vboxsf", "orangefs" };
	const size_t len = strcspn(type, ". ");

	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++) {
		if (strlen(remote[i]) == len && !strncmp(type, remote[i], len))
			return true;
	}
	return false;
}

/* "id parent major:minor root mountpoint options [optional ...] - type source super-options" */
static bool parse(char *line, uint64_t *id, struct mount_facts *facts)
{
	char *p = line;
	char *type;
	char *super;

	*id = lines_decimal(&p);
	p += *p != 0;
	lines_decimal(&p);
	p += *p != 0;
	memset(facts, 0, sizeof(*facts));
	facts->dev_major = (uint32_t)lines_decimal(&p);
	p += *p != 0;
	facts->dev_minor = (uint32_t)lines_decimal(&p);
	type = strstr(p, " - ");
	if (!type)
		return false;
	type += 3;
	super = strchr(type, ' ');
	super = super ? strchr(super + 1, ' ') : NULL;
	facts->is_tmpfs = !strncmp(type, "tmpfs ", 6) || !strncmp(type, "devtmpfs ", 9);
	facts->is_remote = is_remote(type);
	facts->is_hugetlbfs = !strncmp(type, "hugetlbfs ", 10);
	facts->dax_always =
		super && (has_option(super + 1, "dax=always") || has_option(super + 1, "dax"));
	return true;
}

static int find(bool by_id, uint64_t mnt_id, uint32_t dev_major, uint32_t dev_minor,
		struct mount_facts *facts)
{
	struct lines lines;
	struct mount_facts f;
	uint64_t id;
	int err = -ENOENT;
	char *line;
	int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	lines_init(&lines, fd);
	while (err && (line = lines_next(&lines))) {
		if (!parse(line, &id, &f))
			continue;
		if (by_id ? id != mnt_id : f.dev_major != dev_major || f.dev_minor != dev_minor)
			continue;
		*facts = f;
		err = 0;
	}
	close(fd);
	return err;
}

int mounts_find_device(uint32_t dev_major, uint32_t dev_minor, struct mount_facts *facts)
{
	return find(false, 0, dev_major, dev_minor, facts);
}

int mounts_find_id(uint64_t mnt_id, struct mount_facts *facts)
{
	return find(true, mnt_id, 0, 0, facts);
}

/* Answers, a word each: the device, the second in which it was asked, and whether it is remote. */
static _Atomic uint64_t answers[16];

bool mounts_is_remote(uint32_t dev_major, uint32_t dev_minor)
{
	const uint64_t dev = dev_major << 20 ^ dev_minor;
	_Atomic uint64_t *answer = &answers[(dev ^ dev >> 20) % 16];
	const uint64_t key = (dev & 0xffffffff) << 32 | (clock_ns() / 1000000000 & 0x7fffffff) << 1;
	const uint64_t known = atomic_load(answer);
	struct mount_facts facts;
	bool remote;

	if ((known & ~1ULL) == key)
		return known & 1;
	remote = !mounts_find_device(dev_major, dev_minor, &facts) && facts.is_remote;
	atomic_store(answer, key | remote);
	return remote;
}
