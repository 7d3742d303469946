// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Changes of shared memory and of a library's data. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>
#include "stage.h"

/* A shared mapping of a new memfd, cached. NULL with the outcome. */
static char *begin_shared(struct stage *s, int *fd, enum outcome *outcome)
{
	char *at = stage_place();

	*outcome = OUTCOME_OK;
	*fd = memfd_create("stale-demo", MFD_CLOEXEC);
	if (*fd < 0 || ftruncate(*fd, BUFFER_BYTES) ||
	    mmap(at, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, *fd,
		 0) != at) {
		*outcome = stage_failed(s, "memfd");
		return NULL;
	}
	paint(at, BUFFER_PAGES);
	warm(s, at, BUFFER_PAGES);
	return at;
}

static enum outcome run_punch(struct stage *s)
{
	enum outcome outcome;
	int fd;
	char *at = begin_shared(s, &fd, &outcome);

	if (!at)
		return outcome;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, BUFFER_BYTES))
		return stage_failed(s, "FALLOC_FL_PUNCH_HOLE");
	return look(s, at);
}

static enum outcome run_truncate(struct stage *s)
{
	enum outcome outcome;
	int fd;
	char *at = begin_shared(s, &fd, &outcome);

	if (!at)
		return outcome;
	if (ftruncate(fd, 0) || ftruncate(fd, BUFFER_BYTES))
		return stage_failed(s, "ftruncate");
	return look(s, at);
}

/* A new System V segment at the address; it goes with its last mapping. */
static bool attach(char *at, int flags)
{
	int id = shmget(IPC_PRIVATE, BUFFER_BYTES, IPC_CREAT | 0600);
	void *got;

	if (id < 0)
		return false;
	got = shmat(id, at, flags);
	shmctl(id, IPC_RMID, NULL);
	return got == at;
}

static enum outcome run_shmdt(struct stage *s)
{
	char *at = stage_place();

	if (!attach(at, 0))
		return stage_failed(s, "shmat");
	paint(at, BUFFER_PAGES);
	warm(s, at, BUFFER_PAGES);
	if (shmdt(at) || !attach(at, 0))
		return stage_failed(s, "shmdt");
	return look(s, at);
}

static struct {
	struct stage *stage;
	char *at;
	bool done;
} replaced;

static void *use_others(void *arg)
{
	struct stage *s = replaced.stage;

	for (int i = 0; i < 4; i++) {
		char *other = stage_place();

		if (!attach(other, 0))
			continue;
		paint(other, BUFFER_PAGES);
		use_of(s, s->second, other, BUFFER_PAGES);
	}
	paint(replaced.at, BUFFER_PAGES);
	use_of(s, s->second, replaced.at, BUFFER_PAGES);
	return arg;
}

/*
 * Long after, so that a list of mappings that are looked after may have dropped the old one, as no
 * event told of its end.
 */
static void replace_segment(void)
{
	pthread_t thread;

	if (replaced.done)
		return;
	replaced.done = true;
	if (shmdt(replaced.at) || !attach(replaced.at, 0))
		return;
	usleep(1200000);
	if (!pthread_create(&thread, NULL, use_others, NULL))
		pthread_join(thread, NULL);
}

static enum outcome run_shm_registering(struct stage *s)
{
	char *at = stage_place();

	if (s->peer->open(&s->second))
		return stage_skip(s, "no second cache");
	if (!attach(at, 0))
		return stage_failed(s, "shmat");
	paint(at, BUFFER_PAGES);
	replaced.stage = s;
	replaced.at = at;
	pin_hook = replace_segment;
	use(s, at, BUFFER_PAGES);
	pin_hook = NULL;
	for (int i = 0; i < 3; i++)
		use(s, at, BUFFER_PAGES);
	return verdict(s);
}

static enum outcome run_shm_remap(struct stage *s)
{
	char *at = stage_map();

	if (!at)
		return stage_failed(s, "mmap");
	warm(s, at, BUFFER_PAGES);
	if (!attach(at, SHM_REMAP))
		return stage_failed(s, "shmat");
	return look(s, at);
}

/* Beside this executable; it has static data. */
static void *open_library(char **data)
{
	char path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
	void *library;

	if (n <= 0)
		return NULL;
	path[n] = 0;
	strcpy(strrchr(path, '/') + 1, "stale-demo-bss.so");
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	*data = library ? dlsym(library, "stale_demo_bss") : NULL;
	return *data ? library : NULL;
}

static enum outcome run_dlclose(struct stage *s)
{
	char *at, *again;
	void *library = open_library(&at);

	if (!library)
		return stage_skip(s, dlerror());
	paint(at, BUFFER_PAGES);
	warm(s, at, BUFFER_PAGES);
	dlclose(library);
	library = open_library(&again);
	if (!library)
		return stage_skip(s, dlerror());
	if (again != at)
		return stage_skip(s, "the library came to another address");
	return look(s, at);
}

const struct scene file_scenes[] = {
	{ "punch-hole", "memfd, shared: FALLOC_FL_PUNCH_HOLE, touch", run_punch, SCENE_ROW },
	{ "ftruncate", "memfd, shared: ftruncate to 0 and back, touch", run_truncate, SCENE_ROW },
	{ "shmdt", "shmdt, shmat of another segment there", run_shmdt, SCENE_ROW },
	{ "shm-registering", "another segment comes while the first is registered",
	  run_shm_registering, SCENE_ROW },
	{ "shm-remap", "shmat(SHM_REMAP) over anonymous memory", run_shm_remap,
	  SCENE_ROW | SCENE_NO_EVENT },
	{ "dlclose", "dlclose, dlopen: .bss of the library", run_dlclose, SCENE_ROW },
	{ NULL, NULL, NULL, 0 },
};
