// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * mpi-transfer [--changes LIST] [--rounds N] [--bytes N]: two ranks of MPI send each other
 * messages. Rank 0's buffer comes and goes (change.h), rank 1's stays. In even rounds rank 0 sends,
 * in odd ones rank 1. Rank 0 prints a line a change: how many messages had arrived with other data
 * than was sent. Exit status 0 when all went.
 */
#include "change.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether the message arrived as it was sent; known to the rank that received it. */
static bool one_round(int rank, const struct buffer *buffer, unsigned round)
{
	if ((round & 1) == (unsigned)rank) {
		buffer_fill(buffer, round);
		MPI_Send(buffer->addr, (int)buffer->len, MPI_BYTE, !rank, 0, MPI_COMM_WORLD);
		return true;
	}
	MPI_Recv(buffer->addr, (int)buffer->len, MPI_BYTE, !rank, 0, MPI_COMM_WORLD,
		 MPI_STATUS_IGNORE);
	return !buffer_differs(buffer, round);
}

static void try_change(int rank, const struct change *change, size_t len, unsigned rounds)
{
	const struct change *own = rank ? &changes[0] : change;
	struct buffer buffer = { .len = len };
	unsigned round, wrong = 0, all = 0;

	own->make(&buffer);
	for (round = 0; round < rounds; round++) {
		if (!rank && change_is_due(round))
			own->remap(&buffer);
		wrong += !one_round(rank, &buffer, round);
	}
	own->drop(&buffer);
	MPI_Allreduce(&wrong, &all, 1, MPI_UNSIGNED, MPI_SUM, MPI_COMM_WORLD);
	if (!rank) {
		printf("%s: %u of %u wrong\n", change->name, all, rounds);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	const char *wanted = "all";
	const struct change *change;
	size_t len = 256 << 10;
	unsigned rounds = 3 * CHANGE_USES;
	int i, rank, ranks;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	MPI_Comm_size(MPI_COMM_WORLD, &ranks);
	if (ranks != 2)
		die("this takes two ranks");
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
	for (change = changes; change->name; change++)
		if (change_is_wanted(change, wanted))
			try_change(rank, change, len, rounds);
	MPI_Finalize();
	return 0;
}
