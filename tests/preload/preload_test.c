// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * With the preload object what no event shows is synchronous: a notifier over the range has been
 * called when the call returns. Run without it ("bare") the same calls must leave the notifier
 * alone, so that the test proves the object and not something else.
 */
#include <hmm/hmm.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096UL
#define PAGES 4UL

static _Atomic int calls;

static int count(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	(void)ni;
	(void)inv;
	(void)priv;
	calls++;
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { sizeof(ops), count, NULL };

static struct hmm_mm *mm;
static int expected; /* at least one call with the object, none without */
static int failed;

static void check(const char *what, int ret)
{
	bool good = ret == 0 && (expected ? calls > 0 : calls == 0);

	printf("%s %s: rc %d, %d invalidations\n", good ? "ok" : "not ok", what, ret, calls);
	failed |= !good;
	calls = 0;
}

static struct hmm_interval_notifier *watch(void *p)
{
	struct hmm_interval_notifier *ni;
	struct hmm_range r = { .size = sizeof(r),
			       .start = (uintptr_t)p,
			       .end = (uintptr_t)p + PAGES * PAGE,
			       .default_flags = HMM_PFN_REQ_FAULT };
	static uint64_t pfns[PAGES];
	int err = hmm_interval_notifier_insert(mm, (uintptr_t)p, PAGES * PAGE, &ops, NULL, &ni);

	memset(pfns, 0, sizeof(pfns));
	r.notifier = ni;
	r.hmm_pfns = pfns;
	if (!err)
		err = hmm_range_fault(&r, HMM_FOREVER);
	if (err) {
		fprintf(stderr, "preload_test: watch: %s\n", strerror(-err));
		exit(1);
	}
	calls = 0;
	return ni;
}

static void anonymous(void)
{
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	struct hmm_interval_notifier *ni = watch(p);

	check("mprotect", mprotect(p, PAGE, PROT_READ));
	check("pkey_mprotect", pkey_mprotect(p, PAGE, PROT_READ, -1));
	if (mprotect(p + 1, PAGE, PROT_READ) != -1 || errno != EINVAL || calls) {
		printf("not ok a call that fails tells nothing and keeps errno\n");
		failed = 1;
	}
	hmm_interval_notifier_remove(ni);
	munmap(p, PAGES * PAGE);
}

static void file(void)
{
	int fd = memfd_create("preload", MFD_CLOEXEC);
	struct hmm_interval_notifier *ni;
	char *p;

	if (ftruncate(fd, (off_t)(PAGES * PAGE)))
		exit(1);
	p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ni = watch(p);
	check("fallocate", fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	hmm_interval_notifier_remove(ni);
	ni = watch(p); /* what was told is forgotten until it is faulted again */
	check("ftruncate", ftruncate(fd, (off_t)PAGE));
	hmm_interval_notifier_remove(ni);
	munmap(p, PAGES * PAGE);
	close(fd);
}

static void written_back(void)
{
	char path[] = "preload-XXXXXX";
	int fd = mkstemp(path);
	struct hmm_interval_notifier *ni;
	char *p;

	unlink(path);
	if (fd < 0 || ftruncate(fd, (off_t)(PAGES * PAGE)))
		exit(1);
	p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ni = watch(p);
	check("fsync", fsync(fd));
	check("fdatasync", fdatasync(fd));
	check("sync_file_range", sync_file_range(fd, 0, (off_t)PAGE, SYNC_FILE_RANGE_WRITE));
	check("syncfs", syncfs(fd));
	check("msync", msync(p, PAGE, MS_SYNC));
	hmm_interval_notifier_remove(ni);
	munmap(p, PAGES * PAGE);
	close(fd);
}

static void sysv(void)
{
	int id = shmget(IPC_PRIVATE, PAGES * PAGE, IPC_CREAT | 0600);
	struct hmm_interval_notifier *ni;
	void *p = shmat(id, NULL, 0);

	shmctl(id, IPC_RMID, NULL);
	ni = watch(p);
	check("shmdt", shmdt(p));
	hmm_interval_notifier_remove(ni);
}

static char *discarded;

/*
 * As an allocator does, whose handler was installed before any of ours: it runs first in the child.
 */
static void discard_in_child(void)
{
	if (discarded)
		madvise(discarded, PAGE, MADV_DONTNEED);
}

/* Nothing in a child may take a lock that the parent held. */
static void child(void)
{
	int status = 0;
	pid_t pid;

	discarded = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (!pid) {
		mprotect(discarded, PAGE, PROT_READ);
		_exit(0);
	}
	for (int ms = 0; waitpid(pid, &status, WNOHANG) == 0; ms++) {
		if (ms == 20000) {
			printf("not ok a child discards before our handler ran\n");
			failed = 1;
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		usleep(1000);
	}
	calls = 0;
	munmap(discarded, PAGE);
	discarded = NULL;
}

int main(int argc, char **argv)
{
	int err = pthread_atfork(NULL, NULL, discard_in_child);

	err = err ? -err : hmm_mm_attach(NULL, &mm);

	expected = argc < 2 || strcmp(argv[1], "bare");
	if (err) {
		printf("SKIP: attach: %s\n", strerror(-err));
		return 77;
	}
	anonymous();
	file();
	written_back();
	sysv();
	child();
	hmm_mm_detach(mm);
	return failed;
}
