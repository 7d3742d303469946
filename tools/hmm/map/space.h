/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* An address space as a picture shows it: areas in order of address, each cut into cells. */
#ifndef TOOLS_HMM_MAP_SPACE_H
#define TOOLS_HMM_MAP_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <hmm/hmm.h>

#define CELLS 64 /* an area is cut into so many, whatever its size */

/* Bytes, of the whole area or of a cell. */
struct fill {
	uint64_t present; /* mapped, huge or not */
	uint64_t huge;    /* ... as huge pages */
	uint64_t swapped;
	uint64_t mirrored; /* registered with a userfaultfd, present or not */
	uint64_t device;   /* the device holds */
};

struct area {
	uint64_t start;
	uint64_t end;
	enum hmm_vma_kind kind;
	char prot[5]; /* as in /proc/PID/maps, '?' where its parts differ */
	char *name;   /* of the file or the kernel; "" for none */
	struct fill sum;
	struct fill cells[CELLS];
};

struct span {
	uint64_t start;
	uint64_t end;
};

struct space {
	pid_t pid;
	char command[64];
	struct area *areas;
	size_t n;
	struct span *spans; /* the registered mappings, in order of address */
	size_t n_spans;
	bool pages_hidden; /* no permission to see which pages are present */
};

/* 0 or -errno; -ESRCH: no such process. mm and svm: NULL, or a mirror of this very process. */
int space_read(struct space *space, pid_t pid, struct hmm_mm *mm, struct hmm_svm *svm);
void space_free(struct space *space);

/*
 * Nothing to see there: inaccessible, the kernel's own, or a thread's stack; and no device has
 * anything of it.
 */
bool area_is_quiet(const struct space *space, size_t i);
/* "a file (deleted)": the name for people, or the kind. Returns out. */
const char *area_name(char *out, size_t size, const struct area *area);

void space_print(const struct space *space);
/* 0 or -errno */
int space_svg(const struct space *space, const char *path);

#endif
