// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A plug-in that uses the library is unloaded after it let everything go. What is left of the
 * library must not be called when it is no longer there: the program's faults meet its own
 * handlers, and it forks.
 *
 * Not linked with the library: its path is the first argument. A second one says that the preload
 * object is there.
 */
#include <hmm/hmm.h>

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static sigjmp_buf landing;
static volatile char *volatile nowhere = (volatile char *)8;

static void own_handler(int sig)
{
	(void)sig;
	siglongjmp(landing, 1);
}

static void *need(void *lib, const char *name)
{
	void *symbol = dlsym(lib, name);

	if (!symbol) {
		printf("not ok %s: %s\n", name, dlerror());
		exit(1);
	}
	return symbol;
}

/* Whose handler the kernel has, whatever wrappers of libc's names say. */
static bool own_is_in_front(void)
{
	void *kernels[8] = { NULL };

	syscall(SYS_rt_sigaction, SIGSEGV, NULL, kernels, 8);
	return kernels[0] == (void *)own_handler;
}

/* A handler that is installed beside a device: with the preload object it is behind. */
static int install_beside(bool preloaded)
{
	signal(SIGSEGV, own_handler);
#ifdef __SANITIZE_THREAD__
	return 0; /* its own handler is always in front */
#endif
	if (own_is_in_front() == !preloaded)
		return 0;
	printf("not ok: the program's handler is %s\n", preloaded ? "in front" : "behind");
	return 1;
}

static int use(void *lib, bool preloaded)
{
	__typeof__(hmm_mm_attach) *attach = need(lib, "hmm_mm_attach");
	__typeof__(hmm_mm_detach) *detach = need(lib, "hmm_mm_detach");
	__typeof__(hmm_device_open) *open_device = need(lib, "hmm_device_open");
	__typeof__(hmm_device_destroy) *destroy_device = need(lib, "hmm_device_destroy");
	__typeof__(hmm_svm_create) *create = need(lib, "hmm_svm_create");
	__typeof__(hmm_svm_destroy) *destroy = need(lib, "hmm_svm_destroy");
	struct hmm_mm *mm;
	struct hmm_device *dev = NULL;
	struct hmm_svm *svm = NULL;
	int ret = attach(NULL, &mm);

	if (ret)
		return ret;
	ret = open_device(mm, "soft", 1, &dev);
	if (!ret)
		ret = create(mm, dev, NULL, &svm);
	if (!ret)
		ret = install_beside(preloaded);
	destroy(svm);
	destroy_device(dev);
	detach(mm);
	return ret;
}

static int forks(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	alarm(100);
	signal(SIGSEGV, own_handler);
	for (volatile int i = 0; i < 3; i++) {
		void *lib = dlopen(argc > 1 ? argv[1] : "", RTLD_NOW | RTLD_LOCAL);
		int ret;

		if (!lib) {
			printf("not ok dlopen: %s\n", dlerror());
			return 1;
		}
		ret = use(lib, argc > 2);
		dlclose(lib);
		if (ret) {
			printf("not ok use: %d\n", ret);
			return 1;
		}
		if (!sigsetjmp(landing, 1)) {
			*nowhere = 1;
			return 1;
		}
		if (forks()) {
			printf("not ok fork\n");
			return 1;
		}
	}
	printf("ok: the program's handler got its own faults\n");
	return 0;
}
