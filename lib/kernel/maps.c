// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* VMA look-ups on kernels without PROCMAP_QUERY: reads maps from the first line on. */
#include "kernel/vma.h"
#include "base/lines.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Copies the name, in which the kernel writes a newline as \012. */
static void copy_name(char *to, const char *from)
{
	size_t n = 0;

	while (*from == ' ')
		from++;
	while (*from && n < PATH_MAX - 1) {
		if (!strncmp(from, "\\012", 4)) {
			to[n++] = '\n';
			from += 4;
		} else {
			to[n++] = *from++;
		}
	}
	to[n] = 0;
}

/* "start-end rwxs offset major:minor inode      name" */
static void parse(char *p, struct vma_raw *raw)
{
	struct hmm_vma *vma = &raw->vma;

	memset(vma, 0, sizeof(*vma));
	vma->start = lines_hex(&p);
	p++;
	vma->end = lines_hex(&p);
	p++;
	if (strlen(p) < 5) {
		raw->path[0] = 0;
		return;
	}
	vma->prot = (p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) |
		    (p[2] == 'x' ? PROT_EXEC : 0);
	vma->shared = p[3] == 's';
	p += 5;
	vma->offset = lines_hex(&p);
	p += *p != 0;
	vma->dev_major = (uint32_t)lines_hex(&p);
	p += *p != 0;
	vma->dev_minor = (uint32_t)lines_hex(&p);
	p += *p != 0;
	vma->inode = lines_decimal(&p);
	vma->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	copy_name(raw->path, p);
}

int vma_maps_lookup(int maps_fd, uint64_t addr, struct vma_raw *raw)
{
	struct lines lines;
	char *line;

	lines_init(&lines, maps_fd);
	while ((line = lines_next(&lines))) {
		char *p = line;

		/*
		 * skips [vsyscall], which lies in the kernel's half: PROCMAP_QUERY leaves it out,
		 * too
		 */
		if (lines_hex(&p) >> 63 || *p != '-')
			continue;
		p++;
		if (lines_hex(&p) <= addr)
			continue;
		parse(line, raw);
		return 0;
	}
	/* A file that cannot be read does not say that nothing is mapped. */
	return lines.err ? lines.err : -ENOENT;
}
