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

#include "../term.h"
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

/*
 * VmFlags: two letters each. ht hugetlb; um, uw, ui: registered with a userfaultfd, which is
 * returned.
 */
static bool take_flags(struct area *area, const char *line)
{
	bool registered = false;

	for (const char *p = strchr(line, ':'); p && p[1]; p = strchr(p + 1, ' ')) {
		while (p[1] == ' ')
			p++;
		if (!strncmp(p + 1, "ht", 2))
			area->kind = HMM_VMA_HUGETLB;
		else if (!strncmp(p + 1, "um", 2) || !strncmp(p + 1, "uw", 2) ||
			 !strncmp(p + 1, "ui", 2))
			registered = true;
	}
	return registered;
}

/* 1 if it is one; then the name is the caller's. 0; -ENOMEM. */
static int take_header(struct area *area, const char *line)
{
	unsigned long long start, end;
	int name = 0;

	memset(area, 0, sizeof(*area));
	if (sscanf(line, "%llx-%llx %4s %*x %*s %*u %n", &start, &end, area->prot, &name) < 3 ||
	    !name)
		return 0;
	area->start = start;
	area->end = end;
	area->name = strndup(line + name, strcspn(line + name, "\n"));
	if (!area->name)
		return -ENOMEM;
	area->kind = kind_of(area);
	return 1;
}

/* Pieces of one file or heap that lie side by side are one area: text, data, and so on. */
static bool joins(const struct area *a, const struct area *b)
{
	return a->end == b->start && a->kind == b->kind && *a->name && !strcmp(a->name, b->name);
}

static int append(struct space *space, struct area *area)
{
	struct area *last = space->n ? &space->areas[space->n - 1] : NULL, *more;

	if (last && joins(last, area)) {
		last->end = area->end;
		for (int i = 0; i < 4; i++)
			last->prot[i] = last->prot[i] == area->prot[i] ? area->prot[i] : '?';
		free(area->name);
		area->name = NULL;
		return 0;
	}
	more = reallocarray(space->areas, space->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	space->areas = more;
	space->areas[space->n++] = *area;
	area->name = NULL;
	return 0;
}

static int append_span(struct space *space, const struct area *area)
{
	struct span *more = reallocarray(space->spans, space->n_spans + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	space->spans = more;
	space->spans[space->n_spans++] = (struct span){ area->start, area->end };
	return 0;
}

/* The kernel ends each mapping with its flags. */
static int read_areas(struct space *space, FILE *smaps)
{
	struct area area = { 0 };
	char *line = NULL;
	size_t size = 0;
	int ret = 0;

	while (ret >= 0 && getline(&line, &size, smaps) > 0) {
		if (!area.name) {
			ret = take_header(&area, line);
		} else if (!strncmp(line, "VmFlags:", 8)) {
			ret = take_flags(&area, line) ? append_span(space, &area) : 0;
			if (!ret)
				ret = append(space, &area);
		}
	}
	free(area.name);
	free(line);
	return ret < 0 ? ret : 0;
}

static void mark_mirrored(struct space *space)
{
	size_t i = 0;

	for (size_t n = 0; n < space->n_spans; n++) {
		const struct span *span = &space->spans[n];

		while (i < space->n && space->areas[i].end <= span->start)
			i++;
		if (i < space->n)
			area_add(&space->areas[i], span->start, span->end,
				 offsetof(struct fill, mirrored));
	}
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

#define GUARD_MAX (64UL << 20) /* more in front of a stack is no guard */

/*
 * Of another thread: glibc gives it a guard, and it writes little of it. Where the kernel gives
 * huge pages to all who do not ask, the little is one or two of these.
 */
static bool is_stack(const struct space *space, size_t i)
{
	const struct area *a = &space->areas[i], *guard = i ? a - 1 : NULL;

	if (strstr(a->name, "stack"))
		return true;
	return a->kind == HMM_VMA_ANON && !*a->name && guard && guard->end == a->start &&
	       !strncmp(guard->prot, "---", 3) && guard->end - guard->start <= GUARD_MAX &&
	       a->sum.present - a->sum.huge <= (a->end - a->start) / 8 &&
	       a->sum.huge <= (a->end - a->start) / 2;
}

bool area_is_quiet(const struct space *space, size_t i)
{
	const struct area *a = &space->areas[i];

	if (a->sum.mirrored || a->sum.device)
		return false;
	return !strncmp(a->prot, "---", 3) || a->kind == HMM_VMA_SPECIAL || is_stack(space, i);
}

const char *area_name(char *out, size_t size, const struct area *area)
{
	return printable(out, size, *area->name ? area->name : hmm_vma_kind_name(area->kind));
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
	if (!smaps) /* -ENOENT: is it the process that is not there, or /proc? */
		return errno == ENOENT && !access("/proc/self/maps", F_OK) ? -ESRCH : -errno;
	ret = read_areas(space, smaps);
	if (!ret && ferror(smaps))
		ret = -EACCES;
	fclose(smaps);
	if (ret) {
		space_free(space);
		return ret;
	}
	mark_mirrored(space);
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
	for (size_t i = 0; i < space->n; i++)
		free(space->areas[i].name);
	free(space->areas);
	free(space->spans);
	space->spans = NULL;
	space->areas = NULL;
	space->n = 0;
}
