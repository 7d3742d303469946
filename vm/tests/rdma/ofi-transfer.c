// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ofi-transfer [--changes LIST] [--rounds N] [--bytes N]: two endpoints of libfabric in one process
 * send each other messages that the provider registers (verbs;ofi_rxm, rendezvous). One end's
 * buffer comes and goes (change.h), the other's stays. In even rounds the changing buffer is sent
 * from, in odd ones received into. Prints a line a change: how many messages had arrived with other
 * data than was sent. Exit status 0 when all went.
 */
#include "change.h"

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIMIT_S 40

struct side {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_av *av;
	struct fid_cq *cq;
	struct fid_ep *ep;
	fi_addr_t peer;
	unsigned done;
};

static void check(const char *what, long ret)
{
	if (ret)
		die("%s: %s", what, fi_strerror((int)-ret));
}

static struct fi_info *find_provider(void)
{
	struct fi_info *hints = fi_allocinfo(), *info;

	if (!hints)
		die("no memory");
	hints->caps = FI_MSG;
	hints->ep_attr->type = FI_EP_RDM;
	hints->domain_attr->mr_mode = FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	hints->fabric_attr->prov_name = strdup("verbs;ofi_rxm");
	check("fi_getinfo",
	      fi_getinfo(FI_VERSION(1, 14), "10.0.0.1", NULL, FI_SOURCE, hints, &info));
	fi_freeinfo(hints);
	return info;
}

static void open_side(struct side *side)
{
	struct fi_av_attr av_attr = { .type = FI_AV_TABLE };
	struct fi_cq_attr cq_attr = { .format = FI_CQ_FORMAT_CONTEXT, .size = 64 };

	side->info = find_provider();
	check("fi_fabric", fi_fabric(side->info->fabric_attr, &side->fabric, NULL));
	check("fi_domain", fi_domain(side->fabric, side->info, &side->domain, NULL));
	check("fi_av_open", fi_av_open(side->domain, &av_attr, &side->av, NULL));
	check("fi_cq_open", fi_cq_open(side->domain, &cq_attr, &side->cq, NULL));
	check("fi_endpoint", fi_endpoint(side->domain, side->info, &side->ep, NULL));
	check("fi_ep_bind", fi_ep_bind(side->ep, &side->av->fid, 0));
	check("fi_ep_bind", fi_ep_bind(side->ep, &side->cq->fid, FI_TRANSMIT | FI_RECV));
	check("fi_enable", fi_enable(side->ep));
}

static void close_side(struct side *side)
{
	check("fi_close of the endpoint", fi_close(&side->ep->fid));
	check("fi_close of the queue", fi_close(&side->cq->fid));
	check("fi_close of the addresses", fi_close(&side->av->fid));
	check("fi_close of the domain", fi_close(&side->domain->fid));
	check("fi_close of the fabric", fi_close(&side->fabric->fid));
	fi_freeinfo(side->info);
}

static void introduce(struct side *side, struct side *peer)
{
	char name[256];
	size_t len = sizeof(name);

	check("fi_getname", fi_getname(&peer->ep->fid, name, &len));
	if (fi_av_insert(side->av, name, 1, &side->peer, 0, NULL) != 1)
		die("fi_av_insert failed");
}

static void progress(struct side *side)
{
	struct fi_cq_entry entry;
	struct fi_cq_err_entry error = { 0 };
	ssize_t n = fi_cq_read(side->cq, &entry, 1);

	if (n == 1) {
		side->done++;
	} else if (n == -FI_EAVAIL) {
		fi_cq_readerr(side->cq, &error, 0);
		die("a transfer failed: %s", fi_strerror(error.err));
	} else if (n != -FI_EAGAIN) {
		die("fi_cq_read: %s", fi_strerror((int)-n));
	}
}

static void progress_both(struct side *one, struct side *other, time_t limit)
{
	progress(one);
	progress(other);
	if (time(NULL) > limit)
		die("a transfer does not end");
}

static void transfer(struct side *from, const struct buffer *source, struct side *to,
		     const struct buffer *target)
{
	time_t limit = time(NULL) + LIMIT_S;
	ssize_t ret;

	from->done = to->done = 0;
	while ((ret = fi_recv(to->ep, target->addr, target->len, NULL, to->peer, NULL)) ==
	       -FI_EAGAIN)
		progress_both(from, to, limit);
	check("fi_recv", ret);
	while ((ret = fi_send(from->ep, source->addr, source->len, NULL, from->peer, NULL)) ==
	       -FI_EAGAIN)
		progress_both(from, to, limit);
	check("fi_send", ret);
	while (!from->done || !to->done)
		progress_both(from, to, limit);
}

/* Whether the message arrived as it was sent. */
static bool one_round(struct side sides[2], const struct change *change, struct buffer *changing,
		      struct buffer *lasting, unsigned round)
{
	const struct buffer *source = round & 1 ? lasting : changing;
	const struct buffer *target = round & 1 ? changing : lasting;

	if (source == lasting)
		buffer_fill(source, round);
	if (change_is_due(round))
		change->remap(changing);
	if (source == changing)
		buffer_fill(source, round);
	transfer(&sides[round & 1], source, &sides[!(round & 1)], target);
	return !buffer_differs(target, round);
}

static void try_change(struct side sides[2], const struct change *change, size_t len,
		       unsigned rounds)
{
	struct buffer changing = { .len = len }, lasting = { .len = len };
	unsigned round, wrong = 0;

	changes[0].make(&lasting);
	change->make(&changing);
	for (round = 0; round < rounds; round++)
		wrong += !one_round(sides, change, &changing, &lasting, round);
	change->drop(&changing);
	changes[0].drop(&lasting);
	printf("%s: %u of %u wrong\n", change->name, wrong, rounds);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *wanted = "all";
	const struct change *change;
	struct side sides[2] = { 0 };
	size_t len = 256 << 10;
	unsigned rounds = 3 * CHANGE_USES;
	int i;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--changes"))
			wanted = argv[i + 1];
		else if (!strcmp(argv[i], "--rounds"))
			rounds = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (!strcmp(argv[i], "--bytes"))
			len = strtoul(argv[i + 1], NULL, 10);
		else
			die("unknown option %s", argv[i]);
	}
	open_side(&sides[0]);
	open_side(&sides[1]);
	introduce(&sides[0], &sides[1]);
	introduce(&sides[1], &sides[0]);
	for (change = changes; change->name; change++)
		if (change_is_wanted(change, wanted))
			try_change(sides, change, len, rounds);
	close_side(&sides[0]);
	close_side(&sides[1]);
	return 0;
}
