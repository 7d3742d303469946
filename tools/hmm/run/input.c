// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Files as input: every way in which one cannot be mapped gets its own sentence. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../command.h"
#include "job.h"

static int check(const char *path, const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return complain(EXIT_INPUT, "'%s' is a directory", path);
	if (S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode))
		return complain(EXIT_INPUT, "'%s' is a pipe, which cannot be mapped; give a file",
				path);
	if (!S_ISREG(st->st_mode))
		return complain(EXIT_INPUT, "'%s' is a device, not a file", path);
	if (!st->st_size)
		return complain(EXIT_INPUT, "'%s' is empty", path);
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
	if (fstat(input->fd, &st)) {
		status = cannot(path, errno);
	} else if (!(status = check(path, &st))) {
		input->size = (size_t)st.st_size;
		/* Only what will be written is writable: a private writable mapping is charged for.
		 */
		input->base =
			mmap(NULL, input->size, PROT_READ | (use == INPUT_READ ? 0 : PROT_WRITE),
			     shared_writable ? MAP_SHARED : MAP_PRIVATE, input->fd, 0);
		if (input->base != MAP_FAILED)
			return 0;
		input->base = NULL;
		status = complain(EXIT_INPUT, "cannot map '%s': %s", path, strerror(errno));
	}
	input_close(input);
	return status;
}

void input_close(struct input *input)
{
	if (input->base)
		munmap(input->base, input->size);
	if (input->fd >= 0)
		close(input->fd);
	input->base = NULL;
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
