// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * An MPI program whose messages come from buffers that come and go, at the same address, by raw
 * system calls. Each receiver checks what it gets.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mpi.h>

#define BUF (1UL << 20)
#define WORDS (BUF / 8)
#define ROUNDS 200

static uint64_t *map_at(void *at)
{
	void *p = mmap(at, BUF, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

	if (p == MAP_FAILED)
		MPI_Abort(MPI_COMM_WORLD, 1);
	return p;
}

static void check(const uint64_t *buf, uint64_t round)
{
	for (uint64_t i = 0; i < WORDS; i++)
		if (buf[i] != (round << 32 | i)) {
			fprintf(stderr, "round %lu: wrong data at %lu\n", (unsigned long)round,
				(unsigned long)i * 8);
			MPI_Abort(MPI_COMM_WORLD, 1);
		}
}

int main(int argc, char **argv)
{
	uint64_t *buf;
	int rank;

	MPI_Init(&argc, &argv);
	MPI_Comm_rank(MPI_COMM_WORLD, &rank);
	buf = map_at(NULL);
	for (uint64_t round = 0; round < ROUNDS; round++) {
		if (rank == (int)(round % 2)) {
			for (uint64_t i = 0; i < WORDS; i++)
				buf[i] = round << 32 | i;
			MPI_Send(buf, (int)BUF, MPI_BYTE, !rank, 0, MPI_COMM_WORLD);
		} else {
			MPI_Recv(buf, (int)BUF, MPI_BYTE, !rank, 0, MPI_COMM_WORLD,
				 MPI_STATUS_IGNORE);
			check(buf, round);
		}
		syscall(SYS_munmap, buf, BUF);
		buf = map_at(buf);
	}
	MPI_Finalize();
	if (!rank)
		printf("%d messages are right\n", ROUNDS);
	return 0;
}
