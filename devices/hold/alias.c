// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * HOLD_ALIAS: the translation is (object, offset), reached through a second mapping of the object.
 * It follows what happens to the object (truncate, punch) but not what happens to the address:
 * after a munmap and mmap of something else it still shows the old object.
 *
 * If the object was truncated an access raises SIGBUS. The handler is the whole process's. It
 * recognises the accesses of this file by a thread-local pointer, and calls the handler that was
 * installed before for all others.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include "internal.h"

static __thread sigjmp_buf *guard __attribute__((tls_model("initial-exec")));
static struct sigaction previous;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	if (guard)
		siglongjmp(*guard, 1);
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(sig, info, context);
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(sig);
	} else {
		/* the access is repeated and kills the process, as it should */
		signal(sig, SIG_DFL);
	}
}

static void install(void)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGBUS, &sa, &previous);
}

int hold_alias_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	return -pthread_once(&once, install);
}

static int alias_take(struct hold_device *dev, struct hold_page *page, const struct hmm_vma *vma)
{
	if (!dev->find_alias || !vma)
		return -EOPNOTSUPP;
	page->alias = dev->find_alias(vma, vma->offset + (page->addr - vma->start), dev->arg);
	return page->alias ? 0 : -EOPNOTSUPP;
}

static void alias_drop(struct hold_device *dev, struct hold_page *page)
{
	page->alias = NULL;
}

/*
 * Copies word by word: a stamp that another thread writes meanwhile is old or new, never half of
 * each.
 */
static __attribute__((noinline)) void copy_words(char *dst, const char *src, unsigned int len)
{
	unsigned int i;

	for (i = 0; i + 8 <= len; i += 8) {
		uint64_t w = __atomic_load_n((const uint64_t *)(src + i), __ATOMIC_RELAXED);

		__atomic_store_n((uint64_t *)(dst + i), w, __ATOMIC_RELAXED);
	}
	memcpy(dst + i, src + i, len - i);
}

static int guarded_copy(char *dst, const char *src, unsigned int len)
{
	sigjmp_buf here;

	if (sigsetjmp(here, 0)) {
		guard = NULL;
		return -EFAULT;
	}
	guard = &here;
	atomic_signal_fence(memory_order_seq_cst);
	copy_words(dst, src, len);
	atomic_signal_fence(memory_order_seq_cst);
	guard = NULL;
	return 0;
}

static int alias_read(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		      void *buf, unsigned int len)
{
	return guarded_copy(buf, page->alias + offset, len);
}

static int alias_write(struct hold_device *dev, struct hold_page *page, unsigned int offset,
		       const void *buf, unsigned int len)
{
	return guarded_copy(page->alias + offset, buf, len);
}

const struct hold_method_ops hold_alias_ops = { alias_take, alias_drop, alias_read, alias_write };
