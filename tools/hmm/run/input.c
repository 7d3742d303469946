// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Files as input: every way in which one cannot be mapped gets its own sentence. What the kernel
 * makes up as it is read, as below /proc and /sys, has content but cannot be mapped: it is read
 * into a memfd, which stands in.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../apart.h"
#include "../command.h"
#include "job.h"

static int check(const char *path, const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return complain(EXIT_INPUT, "'%s' is a directory", path);
	if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode))
		return complain(EXIT_INPUT, "'%s' is a %s, which cannot be mapped; give a file",
				path, S_ISFIFO(st->st_mode) ? "pipe" : "socket");
	if (!S_ISREG(st->st_mode))
		return complain(EXIT_INPUT, "'%s' is a device, not a file", path);
	return 0;
}

static int cannot(const char *path, int error)
{
	if (error == ENOENT)
		return complain(EXIT_INPUT, "no such file '%s'", path);
	if (error == EACCES)
		return complain(EXIT_INPUT, "no permission to read '%s'", path);
	return complain(EXIT_INPUT, "cannot open '%s': %s", path, strerror(error));
}

#define PIECE (64UL << 10)
#define MADE_UP_MAX (1UL << 30)

/* 0 or -errno; -EFBIG: there is no end of it. */
static int copy_all(int from, int to, size_t *size)
{
	static char buffer[PIECE];
	ssize_t n;

	for (*size = 0; (n = read(from, buffer, sizeof(buffer))) > 0; *size += (size_t)n) {
		if (*size >= MADE_UP_MAX)
			return -EFBIG;
		for (ssize_t done = 0, more; done < n; done += more) {
			more = write(to, buffer + done, (size_t)(n - done));
			if (more < 0)
				return -errno;
		}
	}
	return n < 0 ? -errno : 0;
}

/* A memfd with the content takes the file's place. 0 or an exit status. */
static int read_in(struct input *input, enum input_use use)
{
	int memory = memfd_create("input", MFD_CLOEXEC);
	int ret = memory < 0 ? -errno : copy_all(input->fd, memory, &input->size);

	if (!ret && input->size && use != INPUT_WRITE) {
		close(input->fd);
		input->fd = memory;
		return 0;
	}
	if (memory >= 0)
		close(memory);
	if (ret == -EFBIG)
		return complain(EXIT_INPUT, "'%s' cannot be mapped, and reading it does not end",
				input->path);
	if (ret)
		return complain(EXIT_INPUT, "'%s' cannot be mapped, and reading it fails: %s",
				input->path, strerror(-ret));
	if (!input->size)
		return complain(EXIT_INPUT, "'%s' is empty", input->path);
	return complain(EXIT_INPUT, "'%s' cannot be mapped, so it cannot be sorted in place",
			input->path);
}

/* Reads the file into memory of the program's own. False: errno says why. */
static bool take_in(struct input *input)
{
	uint8_t *base = apart_map(input->size);
	size_t done = 0;
	ssize_t n = 0;

	if (!base)
		return false;
	while (done < input->size &&
	       (n = pread(input->fd, base + done, input->size - done, (off_t)done)) > 0)
		done += (size_t)n;
	input->base = base;
	input->apart = true;
	if (done == input->size)
		return true;
	/* It shrank, or cannot be read. */
	errno = n < 0 ? errno : EIO;
	return false;
}

/* Only what will be written is writable: a private writable mapping is charged for. */
static bool map(struct input *input, enum input_use use)
{
	void *base;

	if (use == INPUT_MEMORY)
		return take_in(input);
	base = mmap(NULL, input->size, PROT_READ | (use == INPUT_READ ? 0 : PROT_WRITE),
		    use == INPUT_WRITE ? MAP_SHARED : MAP_PRIVATE, input->fd, 0);

	if (base == MAP_FAILED)
		return false;
	input->base = base;
	return true;
}

/* An open file. 0 or an exit status. */
static int take(struct input *input, const struct stat *st, enum input_use use)
{
	int status = 0;

	input->size = (size_t)st->st_size;
	if (input->size && map(input, use))
		return 0;
	if (!input->size || errno == ENODEV)
		status = read_in(input, use);
	if (status || (input->size && map(input, use)))
		return status;
	return complain(EXIT_INPUT, "cannot map '%s': %s", input->path, strerror(errno));
}

int input_open(struct input *input, const char *path, enum input_use use)
{
	bool shared_writable = use == INPUT_WRITE;
	struct stat st;
	int status;

	*input = (struct input){ .path = path, .fd = -1 };
	if (!strcmp(path, "-"))
		return complain(EXIT_INPUT, "standard input cannot be mapped; give a file");
	/* Looked at before it is opened: opening a pipe may block, opening a device may act. */
	if (stat(path, &st))
		return cannot(path, errno);
	status = check(path, &st);
	if (status)
		return status;
	input->fd = open(path, (shared_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (input->fd < 0)
		return shared_writable && errno != ENOENT
			       ? complain(EXIT_INPUT, "cannot write to '%s': %s", path,
					  strerror(errno))
			       : cannot(path, errno);
	if (fstat(input->fd, &st))
		status = cannot(path, errno);
	else if (!(status = check(path, &st)))
		status = take(input, &st, use);
	if (status)
		input_close(input);
	return status;
}

void input_close(struct input *input)
{
	if (input->apart)
		apart_unmap(input->base, input->size);
	else if (input->base)
		munmap(input->base, input->size);
	if (input->fd >= 0)
		close(input->fd);
	input->base = NULL;
	input->apart = false;
	input->fd = -1;
}

int input_map_again(const struct input *input, uint8_t **base)
{
	void *p = mmap(NULL, input->size, PROT_READ, MAP_PRIVATE, input->fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*base = p;
	return 0;
}
