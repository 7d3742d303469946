// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Reads the sources of a project; folders with a build in them are left out. */
#include "own/own.h"
#include "text/scan.h"
#include "text/scanner.h"
#include "text/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_LIMIT 32
#define FILE_LIMIT (16 << 20)

struct walk {
	const struct own_request *q;
	struct own *o;
	struct blob_scanner *scanner;
	char path[4096];
	bool other; /* a folder of consumers: its headers are not the library's */
};

static enum blob_kind kind_of(const char *name)
{
	static const struct {
		const char *suffix;
		enum blob_kind kind;
	} kinds[] = { { ".c", BLOB_C },        { ".cc", BLOB_C },      { ".cpp", BLOB_C },
		      { ".cxx", BLOB_C },      { ".h", BLOB_HEADER },  { ".hh", BLOB_HEADER },
		      { ".hpp", BLOB_HEADER }, { ".inc", BLOB_HEADER } };
	const char *dot = strrchr(name, '.');

	for (size_t i = 0; dot && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(dot, kinds[i].suffix))
			return kinds[i].kind;
	return BLOB_SKIP;
}

static bool below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n && folder[n - 1] == '/')
		n--;
	return !n || (!strncmp(path, folder, n) && (path[n] == '/' || !path[n]));
}

static int keep(struct walk *w, enum blob_kind kind, const char *text, size_t len)
{
	struct own *o = w->o;
	struct source_file *f;
	struct blob *b;
	int err = blob_scan(w->scanner, kind, text, len, &b);

	if (err)
		return err;
	f = realloc(o->files, (o->n_files + 1) * sizeof(*f));
	if (f)
		o->files = f;
	if (!f || !(f[o->n_files].path = strdup(w->path))) {
		free(b);
		return -ENOMEM;
	}
	f[o->n_files].blob = b;
	if (kind == BLOB_HEADER && !w->other && below(w->path, w->q->headers))
		err = own_declarations(text, len, o->n_files, &o->declared);
	if (!err && !w->other)
		err = own_versioned(text, len, o->n_files, &o->versioned);
	o->n_files++;
	return err;
}

static int file(struct walk *w, int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err = 0;
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return 0;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size < FILE_LIMIT) {
		text = malloc((size_t)st.st_size + 1);
		n = text ? read(fd, text, (size_t)st.st_size) : -1;
		err = !text ? -ENOMEM : n >= 0 ? keep(w, kind_of(name), text, (size_t)n) : 0;
		free(text);
	}
	close(fd);
	return err;
}

static int folder(struct walk *w, int fd, size_t len, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	struct stat st;
	int err = 0, sub;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	/* a build folder: its files were generated */
	if (!faccessat(fd, "build.ninja", F_OK, 0) || !faccessat(fd, "CMakeCache.txt", F_OK, 0)) {
		closedir(dir);
		return 0;
	}
	while (!err && (d = readdir(dir))) {
		size_t n = strlen(d->d_name);

		if (*d->d_name == '.' || len + n + 2 > sizeof(w->path) ||
		    fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		memcpy(w->path + len, d->d_name, n + 1);
		if (S_ISREG(st.st_mode) && kind_of(d->d_name) != BLOB_SKIP)
			err = file(w, fd, d->d_name);
		if (!S_ISDIR(st.st_mode) || depth >= DEPTH_LIMIT)
			continue;
		sub = openat(fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		memcpy(w->path + len + n, "/", 2);
		if (sub >= 0)
			err = folder(w, sub, len + n + 1, depth + 1);
	}
	closedir(dir);
	return err;
}

/* LEN: of the name that files of this folder begin with. */
static int tree(struct walk *w, const char *root, size_t len)
{
	int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : folder(w, fd, len, 0);
}

static int others(struct walk *w, const char **failed)
{
	int err = 0;

	w->other = true;
	for (uint32_t i = 0; !err && i < w->q->n_consumers; i++) {
		int n = snprintf(w->path, sizeof(w->path) / 2, "%s/", w->q->consumers[i]);

		*failed = w->q->consumers[i];
		err = n >= (int)sizeof(w->path) / 2 ? -ENAMETOOLONG : tree(w, *failed, (size_t)n);
	}
	return err;
}

int own_read(const struct own_request *q, struct own *o, const char **failed)
{
	struct walk w = { .q = q, .o = o };
	int err = blob_scanner_new(&w.scanner);

	*failed = q->root;
	if (!err)
		err = tree(&w, q->root, 0);
	o->first_other = o->n_files;
	if (!err)
		err = others(&w, failed);
	blob_scanner_free(w.scanner);
	return err;
}
