// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads /proc/PID/smaps, for what maps does not say (huge pages, userfaultfd), and the pages. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <linux/magic.h>
#include <linux/stat.h>

#include "pages.h"
#include "space.h"

static enum hmm_vma_kind kind_of_file(const char *path)
{
	struct statfs fs;
	struct statx st;

	if (!strncmp(path, "/SYSV", 5))
		return HMM_VMA_SYSV;
	if (!strncmp(path, "/memfd:", 7) || !strncmp(path, "/dev/shm/", 9) ||
	    !strncmp(path, "/dev/zero", 9))
		return HMM_VMA_SHMEM;
	if (!strncmp(path, "/dev/", 5) || !strncmp(path, "anon_inode:", 11))
		return HMM_VMA_SPECIAL;
	if (!statfs(path, &fs) && fs.f_type == TMPFS_MAGIC)
		return HMM_VMA_SHMEM;
	if (!statx(AT_FDCWD, path, 0, STATX_TYPE, &st) && (st.stx_attributes & STATX_ATTR_DAX))
		return HMM_VMA_DAX;
	return HMM_VMA_FILE;
}

static enum hmm_vma_kind kind_of(const struct area *area)
{
	static const char *const memory[] = { "", "[heap]", "[stack]" };
	const char *name = area->name;

	for (size_t i = 0; i < sizeof(memory) / sizeof(memory[0]); i++)
		if (!strcmp(name, memory[i]))
			return HMM_VMA_ANON;
	if (!strncmp(name, "[anon_shmem", 11))
		return HMM_VMA_SHMEM;
	if (!strncmp(name, "[anon", 5))
		return HMM_VMA_ANON;
	return *name == '[' ? HMM_VMA_SPECIAL : kind_of_file(name);
}

/* VmFlags: two letters each. ht hugetlb; um, uw, ui: registered with a userfaultfd. */
static void take_flags(struct area *area, const char *line)
{
	for (const char *p = strchr(line, ':'); p && p[1]; p = strchr(p + 1, ' ')) {
		while (p[1] == ' ')
			p++;
		if (!strncmp(p + 1, "ht", 2))
			area->kind = HMM_VMA_HUGETLB;
		else if (!strncmp(p + 1, "um", 2) || !strncmp(p + 1, "uw", 2) ||
			 !strncmp(p + 1, "ui", 2))
			area->registered = true;
	}
}

static bool take_header(struct area *area, const char *line)
{
	unsigned long long start, end;
	int name = 0;

	memset(area, 0, sizeof(*area));
	if (sscanf(line, "%llx-%llx %4s %*x %*s %*u %n", &start, &end, area->prot, &name) < 3 ||
	    !name)
		return false;
	area->start = start;
	area->end = end;
	snprintf(area->name, sizeof(area->name), "%.*s", (int)strcspn(line + name, "\n"),
		 line + name);
	area->kind = kind_of(area);
	return true;
}

/* Pieces of one file or heap that lie side by side are one area: text, data, and so on. */
static bool joins(const struct area *a, const struct area *b)
{
	return a->end == b->start && a->kind == b->kind && *a->name && !strcmp(a->name, b->name);
}

static int append(struct space *space, const struct area *area)
{
	struct area *last = space->n ? &space->areas[space->n - 1] : NULL, *more;

	if (last && joins(last, area)) {
		last->end = area->end;
		for (int i = 0; i < 4; i++)
			last->prot[i] = last->prot[i] == area->prot[i] ? area->prot[i] : '?';
		last->registered |= area->registered;
		return 0;
	}
	more = reallocarray(space->areas, space->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	space->areas = more;
	space->areas[space->n++] = *area;
	return 0;
}

static int read_areas(struct space *space, FILE *smaps)
{
	struct area next, area = { 0 };
	char line[1024];
	int ret = 0;

	while (!ret && fgets(line, sizeof(line), smaps)) {
		if (!strncmp(line, "VmFlags:", 8)) {
			take_flags(&area, line);
		} else if (take_header(&next, line)) {
			if (area.end)
				ret = append(space, &area);
			area = next;
		}
	}
	if (!ret && area.end)
		ret = append(space, &area);
	return ret;
}

static int add_chunk(const struct hmm_svm_chunk *chunk, void *arg)
{
	struct space *space = arg;

	for (size_t i = 0; i < space->n; i++)
		area_add(&space->areas[i], chunk->start, chunk->end, offsetof(struct fill, device));
	return 0;
}

/* Of its own space the library knows better than names tell. */
static int take_kind(const struct hmm_vma *vma, void *arg)
{
	struct space *space = arg;

	for (size_t i = 0; i < space->n; i++)
		if (space->areas[i].start <= vma->start && vma->start < space->areas[i].end)
			space->areas[i].kind = vma->kind;
	return 0;
}

static void read_command(struct space *space)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)space->pid);
	f = fopen(path, "re");
	if (f && fgets(space->command, sizeof(space->command), f))
		space->command[strcspn(space->command, "\n")] = 0;
	if (f)
		fclose(f);
}

int space_read(struct space *space, pid_t pid, struct hmm_mm *mm, struct hmm_svm *svm)
{
	char path[64];
	FILE *smaps;
	int fd, ret;

	memset(space, 0, sizeof(*space));
	space->pid = pid;
	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	smaps = fopen(path, "re");
	if (!smaps)
		return errno == ENOENT ? -ESRCH : -errno;
	ret = read_areas(space, smaps);
	if (!ret && ferror(smaps))
		ret = -EACCES;
	fclose(smaps);
	if (ret) {
		space_free(space);
		return ret;
	}
	read_command(space);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	space->pages_hidden = fd < 0;
	for (size_t i = 0; i < space->n && fd >= 0; i++)
		if (space->areas[i].kind != HMM_VMA_SPECIAL && pages_read(fd, &space->areas[i]))
			space->pages_hidden = true;
	if (fd >= 0)
		close(fd);
	if (mm)
		hmm_vma_walk(mm, 0, UINT64_MAX, take_kind, space);
	if (svm)
		hmm_svm_walk(svm, 0, UINT64_MAX, add_chunk, space);
	return 0;
}

void space_free(struct space *space)
{
	free(space->areas);
	space->areas = NULL;
	space->n = 0;
}
