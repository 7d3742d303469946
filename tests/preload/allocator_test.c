// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * allocator_test NAME: threads allocate and free memory that is mirrored, with an allocator that
 * gives it back to the system under its locks and takes these in handlers of fork(), while the main
 * thread forks. With libhmm-preload.so each of its madvise() calls is a note.
 */
#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <hmm/hmm.h>

#define FORKS 200
#define LEAST 20 /* on a busy machine, in SLOW_S */
#define SLOW_S 60
#define BLOCK (256UL << 10)

static _Atomic bool stop;

static void *churn(void *arg)
{
	while (!atomic_load(&stop)) {
		void *p[8];

		for (int i = 0; i < 8; i++) {
			p[i] = malloc(BLOCK);
			memset(p[i], 1, 4096);
		}
		for (int i = 0; i < 8; i++)
			free(p[i]);
	}
	return arg;
}

/*
 * Runs after the library's handler and before the allocator's: others come to give memory back
 * meanwhile.
 */
static void let_others_run(void)
{
	usleep(2000);
}

static bool is_loaded(const char *name)
{
	char line[4096];
	FILE *f = fopen("/proc/self/maps", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, name);
	if (f)
		fclose(f);
	return found;
}

/* Of its memory, as the children use it, too. */
static int use_allocator(void)
{
	char *p = malloc(BLOCK);
	int got = p ? 0 : 1;

	if (p)
		memset(p, 2, BLOCK);
	free(p);
	return got;
}

int main(int argc, char **argv)
{
	struct hmm_mm_stats stats = { .size = sizeof(stats) };
	struct hmm_device *dev;
	struct hmm_svm *svm;
	struct hmm_mm *mm;
	pthread_t thread[2];
	time_t end;
	int forks;

	if (argc < 2 || !is_loaded(argv[1])) {
		printf("the allocator is not there: %s\n", argc < 2 ? "no name" : argv[1]);
		return 77;
	}
	alarm(100);
	assert(!pthread_atfork(let_others_run, NULL, NULL));
	assert(!hmm_mm_attach(NULL, &mm));
	assert(!hmm_device_open(mm, "null", 1, &dev));
	assert(!hmm_svm_create(mm, dev, NULL, &svm));
	for (int i = 0; i < 2; i++)
		assert(!pthread_create(&thread[i], NULL, churn, NULL));
	end = time(NULL) + SLOW_S;
	for (forks = 0; forks < LEAST || (forks < FORKS && time(NULL) < end); forks++) {
		char *p = malloc(2 * BLOCK);
		int status = 0;
		pid_t pid;

		assert(p);
		assert(hmm_svm_fault(svm, (uint64_t)(uintptr_t)p, 2 * BLOCK,
				     PROT_READ | PROT_WRITE) >= 0);
		pid = fork();
		if (!pid)
			_exit(use_allocator());
		assert(waitpid(pid, &status, 0) == pid && !status);
		free(p);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert(!hmm_mm_get_stats(mm, &stats));
	printf("%d forks, %llu discards\n", forks, (unsigned long long)stats.discards_pending);
	hmm_svm_destroy(svm);
	hmm_device_destroy(dev);
	hmm_mm_detach(mm);
	return 0;
}
