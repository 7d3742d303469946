// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Sends buffers that come and go from one process to another, and looks what arrived. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES (1 << 20)
#define ROUNDS 50

static char *map(void)
{
	return mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int wrong(const char *data, int round)
{
	for (int i = 0; i < BYTES; i += 4096)
		if (data[i] != (char)(round + 1))
			return 1;
	return 0;
}

int main(int argc, char **argv)
{
	int rank;
	int bad = 0;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	for (int round = 0; round < ROUNDS; round++) {
		char *data = map();

		if (data == MAP_FAILED)
			MPI_Abort(MPI_COMM_WORLD, 2);
		if (rank == 0) {
			memset(data, round + 1, BYTES);
			MPI_Send(data, BYTES, MPI_BYTE, 1, round, MPI_COMM_WORLD);
		} else if (rank == 1) {
			MPI_Recv(data, BYTES, MPI_BYTE, 0, round, MPI_COMM_WORLD,
				 MPI_STATUS_IGNORE);
			bad += wrong(data, round);
		}
		munmap(data, BYTES);
	}
	printf("rank %d: %d wrong\n", rank, bad);
	MPI_Finalize();
	return bad != 0;
}
