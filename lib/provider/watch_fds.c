// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * What a descriptor is says the kernel in /proc/thread-self/fdinfo. A process without privilege may
 * not ask by bpf(2).
 */
#include "provider/watch_fds.h"
#include "kernel/abi/watch.h"
#include "base/number.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct facts {
	uint64_t type;
	uint64_t value_size;
	uint64_t max_entries;
	uint64_t flags;
	uint64_t frozen;
};

static bool number_of(const char *text, const char *name, uint64_t *value)
{
	const char *at = strstr(text, name);

	if (at)
		*value = strtoull(at + strlen(name), NULL, 0);
	return at;
}

/* 0; -EPROTO: it is no map of BPF. */
static int ask(int fd, struct facts *facts)
{
	char text[2048] = "/proc/thread-self/fdinfo/";
	ssize_t ret;
	int info, err;

	*put_number(text + strlen(text), (uint64_t)fd, 10) = 0;
	info = open(text, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	ret = read(info, text, sizeof(text) - 1);
	err = ret < 0 ? -errno : 0;
	close(info);
	if (err)
		return err;
	text[ret] = 0;
	*facts = (struct facts){ 0 };
	if (!number_of(text, "\nmap_type:", &facts->type) ||
	    !number_of(text, "\nvalue_size:", &facts->value_size) ||
	    !number_of(text, "\nmax_entries:", &facts->max_entries) ||
	    !number_of(text, "\nmap_flags:", &facts->flags))
		return -EPROTO;
	number_of(text, "\nfrozen:", &facts->frozen);
	return 0;
}

static bool is_memfd(int fd, size_t bytes)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	return seals >= 0 && (seals & F_SEAL_SHRINK) && !fstat(fd, &st) &&
	       st.st_size >= (off_t)bytes;
}

static int check_log(int fd, size_t bytes)
{
	struct facts facts;
	int err;

	/* its two pages, and the data, which a map has twice in a row */
	if (is_memfd(fd, 2 * (size_t)getpagesize() + 2 * bytes))
		return 0;
	err = ask(fd, &facts);
	if (err)
		return err;
	return facts.type == BPF_MAP_TYPE_RINGBUF && facts.max_entries == bytes ? 0 : -EPROTO;
}

static int check_page(int fd, size_t bytes, bool frozen)
{
	struct facts facts;
	int err;

	if (is_memfd(fd, WATCH_PAGE))
		return 0;
	err = ask(fd, &facts);
	if (err)
		return err;
	if (facts.type != BPF_MAP_TYPE_ARRAY || !(facts.flags & BPF_F_MMAPABLE))
		return -EPROTO;
	return facts.value_size >= bytes && (facts.frozen || !frozen) ? 0 : -EPROTO;
}

static int check_links(int fd)
{
	socklen_t size = sizeof(int);
	int domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != AF_UNIX ? -EPROTO
											  : 0;
}

int watch_fds_check(const struct watch_fds *fds, size_t log_bytes)
{
	int err = check_log(fds->log, log_bytes);

	if (!err)
		err = check_page(fds->space, sizeof(struct watch_space), false);
	if (!err)
		err = check_page(fds->global, sizeof(struct watch_global), true);
	return err ? err : check_links(fds->links);
}
