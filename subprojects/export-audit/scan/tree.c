// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Lists the files of a tree, then lets threads read and scan them. */
#include "scan/tree.h"
#include "text/kind.h"
#include "text/scan.h"
#include "text/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_LIMIT 64

struct walk {
	struct tree *tree;
	uint32_t cap;
	char path[4096];
};

struct work {
	struct tree *tree;
	int root;
	size_t prefix; /* of paths, which the root knows nothing of */
	atomic_uint next;
	atomic_uint unreadable;
	atomic_ullong bytes;
	atomic_int err;
};

static int keep(struct walk *w)
{
	struct tree *t = w->tree;

	if (t->n_files == w->cap) {
		uint32_t cap = w->cap ? w->cap * 2 : 65536;
		struct source_file *files = realloc(t->files, cap * sizeof(*files));

		if (!files)
			return -ENOMEM;
		t->files = files;
		w->cap = cap;
	}
	t->files[t->n_files] = (struct source_file){ .path = strdup(w->path) };
	return t->files[t->n_files].path ? (t->n_files++, 0) : -ENOMEM;
}

static int walk(struct walk *w, int fd, size_t len, int depth);

static int walk_entry(struct walk *w, int dir, const struct dirent *d, size_t len, int depth)
{
	size_t n = strlen(d->d_name);
	unsigned char type = d->d_type;
	struct stat st;
	int fd;

	if (*d->d_name == '.' || len + n + 2 > sizeof(w->path))
		return 0;
	memcpy(w->path + len, d->d_name, n + 1);
	if (type == DT_UNKNOWN && !fstatat(dir, d->d_name, &st, AT_SYMLINK_NOFOLLOW))
		type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
	if (type == DT_REG)
		return blob_kind(w->path) == BLOB_SKIP ? 0 : keep(w);
	if (type != DT_DIR || depth >= DEPTH_LIMIT)
		return 0;
	memcpy(w->path + len + n, "/", 2);
	/* folders like "Documentation/" have no file that is read: do not open them */
	if (strcmp(w->path, "tools/") && strcmp(w->path, "scripts/") && depth == 0) {
		memcpy(w->path + len + n + 1, "x.c", 4);
		if (blob_kind(w->path) == BLOB_SKIP)
			return 0;
		w->path[len + n + 1] = 0;
	}
	fd = openat(dir, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		w->tree->n_unreadable++;
		return 0;
	}
	return walk(w, fd, len + n + 1, depth + 1);
}

static int walk(struct walk *w, int fd, size_t len, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *d;
	int err = 0;

	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (!err && (d = readdir(dir)))
		err = walk_entry(w, fd, d, len, depth);
	closedir(dir);
	return err;
}

static int by_path(const void *a, const void *b)
{
	const struct source_file *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Reads the whole file; the buffer grows and is used again. */
static ssize_t read_file(int root, const char *path, char **buf, size_t *cap)
{
	int fd = openat(root, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	size_t n = 0;
	ssize_t got = -1;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > (256 << 20)) {
		close(fd);
		return -EFBIG;
	}
	if ((size_t)st.st_size + 1 > *cap) {
		char *grown = realloc(*buf, (size_t)st.st_size + 1);

		if (!grown) {
			close(fd);
			return -ENOMEM;
		}
		*buf = grown;
		*cap = (size_t)st.st_size + 1;
	}
	while (n < *cap && (got = read(fd, *buf + n, *cap - n)) > 0)
		n += (size_t)got;
	close(fd);
	return got < 0 ? -EIO : (ssize_t)n;
}

static void *worker(void *arg)
{
	struct work *w = arg;
	struct tree *t = w->tree;
	struct blob_scanner *s = NULL;
	char *buf = NULL;
	size_t cap = 0;
	int err = blob_scanner_new(&s);

	while (!err && !atomic_load(&w->err)) {
		uint32_t i = atomic_fetch_add(&w->next, 1);
		struct blob *b = NULL;
		ssize_t n;

		if (i >= t->n_files)
			break;
		n = read_file(w->root, t->files[i].path + w->prefix, &buf, &cap);
		if (n == -ENOMEM) {
			err = -ENOMEM;
		} else if (n < 0) {
			atomic_fetch_add(&w->unreadable, 1);
		} else {
			err = blob_scan(s, blob_kind(t->files[i].path), buf, (size_t)n, &b);
			t->files[i].blob = b;
			atomic_fetch_add(&w->bytes, (unsigned long long)n);
		}
	}
	if (err)
		atomic_store(&w->err, err);
	free(buf);
	blob_scanner_free(s);
	return NULL;
}

static int scan_all(struct tree *t, int root, size_t prefix, unsigned int threads)
{
	struct work w = { .tree = t, .root = root, .prefix = prefix };
	pthread_t ids[16];
	unsigned int n = 0;
	uint32_t kept = 0;

	threads = threads < 1 ? 1 : threads > 16 ? 16 : threads;
	while (n + 1 < threads && !pthread_create(&ids[n], NULL, worker, &w))
		n++;
	worker(&w);
	while (n)
		pthread_join(ids[--n], NULL);
	for (uint32_t i = 0; i < t->n_files; i++) {
		if (t->files[i].blob)
			t->files[kept++] = t->files[i];
		else
			free((char *)t->files[i].path);
	}
	t->n_files = kept;
	t->n_unreadable += w.unreadable;
	t->bytes = w.bytes;
	return w.err;
}

/* A kernel, or modules of their own. */
static bool has_makefile(int fd)
{
	static const char *const names[] = { "Makefile", "Kbuild", "Makefile.am", "Makefile.in",
					     "Kbuild.in" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!faccessat(fd, names[i], R_OK, 0))
			return true;
	return false;
}

static int join(struct tree *t, struct tree *more)
{
	struct source_file *files =
		realloc(t->files, (t->n_files + more->n_files + 1ull) * sizeof(*files));

	if (!files)
		return -ENOMEM;
	t->files = files;
	if (more->n_files)
		memcpy(files + t->n_files, more->files, more->n_files * sizeof(*files));
	t->n_files += more->n_files;
	t->n_unreadable += more->n_unreadable;
	t->bytes += more->bytes;
	more->n_files = 0;
	return 0;
}

static int scan_root(struct tree *to, const char *root, const char *prefix, unsigned int threads)
{
	struct walk w = { .tree = calloc(1, sizeof(*w.tree)) };
	int err = 0, fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), again = -1;

	if (fd < 0)
		err = -errno;
	else if (!has_makefile(fd))
		err = -EINVAL;
	else
		again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && (again < 0 || !w.tree))
		err = -ENOMEM;
	if (!err) {
		strcpy(w.path, prefix);
		err = walk(&w, again, strlen(prefix), 0);
	}
	if (!err) {
		if (w.tree->n_files)
			qsort(w.tree->files, w.tree->n_files, sizeof(*w.tree->files), by_path);
		err = scan_all(w.tree, fd, strlen(prefix), threads);
	}
	if (!err)
		err = join(to, w.tree);
	if (fd >= 0)
		close(fd);
	tree_free(w.tree);
	return err;
}

/* "+NAME/" */
static int prefix_of(const char *root, char *prefix, size_t size)
{
	size_t n = strlen(root);
	const char *name;

	while (n && root[n - 1] == '/')
		n--;
	name = memrchr(root, '/', n);
	name = name ? name + 1 : root;
	n -= (size_t)(name - root);
	return (size_t)snprintf(prefix, size, "+%.*s/", (int)n, name) >= size ? -ENAMETOOLONG : 0;
}

static bool is_taken(const struct tree *t, const char *prefix)
{
	for (uint32_t i = 0; i < t->n_files; i++)
		if (!strncmp(t->files[i].path, prefix, strlen(prefix)))
			return true;
	return false;
}

int tree_scan(const char *root, const char *const *others, size_t n_others, unsigned int threads,
	      struct tree **out, const char **failed)
{
	struct tree *t = calloc(1, sizeof(*t));
	char prefix[512];
	int err = t ? 0 : -ENOMEM;

	*failed = root;
	if (!err)
		err = scan_root(t, root, "", threads);
	for (size_t i = 0; !err && i < n_others; i++) {
		*failed = others[i];
		err = prefix_of(others[i], prefix, sizeof(prefix));
		if (!err && is_taken(t, prefix))
			err = -EEXIST;
		if (!err)
			err = scan_root(t, others[i], prefix, threads);
	}
	if (err) {
		tree_free(t);
		return err;
	}
	if (t->n_files)
		qsort(t->files, t->n_files, sizeof(*t->files), by_path);
	*out = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->n_files; i++) {
		free((char *)t->files[i].path);
		free((struct blob *)t->files[i].blob);
	}
	free(t->files);
	free(t);
}
