// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The provider that registers nothing: a log (log.h) tells of every change. It has no descriptor of
 * which events are read, and no caller waits for it.
 */
#include "provider/provider.h"

#include <string.h>

static int bpf_in_flight(const struct provider *p)
{
	(void)p;
	return 0;
}

static int bpf_read(struct provider *p, struct provider_event *events, int max)
{
	(void)p;
	(void)events;
	(void)max;
	return 0;
}

static int bpf_read_raw(int fd, struct provider_event *events, int max)
{
	(void)fd;
	(void)events;
	(void)max;
	return 0;
}

static void bpf_close(struct provider *p)
{
	(void)p;
}

static const struct provider_ops bpf_ops = {
	.name = "bpf",
	.in_flight = bpf_in_flight,
	.read = bpf_read,
	.read_raw = bpf_read_raw,
	.close = bpf_close,
};

void provider_bpf_open(struct provider *p)
{
	memset(p, 0, sizeof(*p));
	p->ops = &bpf_ops;
	p->fd = p->spare = p->model = OWNFD_NONE;
}
