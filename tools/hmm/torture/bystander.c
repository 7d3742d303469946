// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "../attach.h"
#include "bystander.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../../lib/kernel/abi/uffd.h"
#include "torture.h"

#define PLOT_PAGES 4
/*
 * A fork invalidates the devices' translations, so the bystander pauses: users must have some in
 * between.
 */
#define PAUSE_NS 20000000ULL

/* The bystander's own memory, mirrored by a space. */
struct plot {
	struct hmm_mm *mm;
	struct hmm_interval_notifier *ni;
	char *p;
	uint64_t pfns[PLOT_PAGES];
	struct hmm_range range;
};

static int ignore(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv, void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops), .invalidate = ignore };

static int plot_open(struct plot *o, struct hmm_mm *mm)
{
	const size_t bytes = PLOT_PAGES * HMM_PAGE_SIZE;
	uint64_t start;
	int ret;

	memset(o, 0, sizeof(*o));
	o->mm = mm;
	o->p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (o->p == MAP_FAILED)
		return -errno;
	start = (uint64_t)(uintptr_t)o->p;
	ret = hmm_interval_notifier_insert(mm, start, bytes, &ops, NULL, &o->ni);
	if (ret) {
		munmap(o->p, bytes);
		return ret;
	}
	o->range = (struct hmm_range){ .size = sizeof(o->range),
				       .notifier = o->ni,
				       .start = start,
				       .end = start + bytes,
				       .hmm_pfns = o->pfns,
				       .default_flags = HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	return 0;
}

static int plot_fault(struct plot *o)
{
	memset(o->pfns, 0, sizeof(o->pfns));
	return hmm_range_fault(&o->range, HMM_FOREVER);
}

static void plot_close(struct plot *o)
{
	hmm_interval_notifier_remove(o->ni);
	munmap(o->p, PLOT_PAGES * HMM_PAGE_SIZE);
}

static void expect(bool right, const char *what)
{
	if (!right)
		finding(FINDING_ERROR, "bystander: %s", what);
}

/* ---- cancelled, and interrupted ------------------------------------------------------------- */

struct faulter {
	struct plot plot;
	_Atomic bool stop;
	_Atomic unsigned int faults;
};

static void *fault_on(void *arg)
{
	struct faulter *f = arg;

	while (!atomic_load(&f->stop)) {
		plot_fault(&f->plot);
		atomic_fetch_add(&f->faults, 1);
	}
	return NULL;
}

static void cancel(struct torture *t)
{
	struct faulter f = { .faults = 0 };
	pthread_t thread;

	if (plot_open(&f.plot, t->mm) || pthread_create(&thread, NULL, fault_on, &f))
		return;
	while (!atomic_load(&f.faults))
		tort_pause(10000);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	plot_close(&f.plot);
}

static struct plot *_Atomic interrupted;

/*
 * Unmaps the page that the interrupted thread is faulting. There is no hole meanwhile: the library
 * might map memory of its own there, which would be lost with the plot.
 */
static void on_signal(int sig)
{
	const struct plot *o = atomic_load(&interrupted);
	int saved = errno;

	syscall(SYS_mmap, o->p, HMM_PAGE_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0L);
	errno = saved;
}

static void interrupt(struct torture *t)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct faulter f = { .faults = 0 };
	pthread_t thread;

	sigaction(SIGUSR2, &sa, NULL);
	if (plot_open(&f.plot, t->mm))
		return;
	atomic_store(&interrupted, &f.plot);
	if (!pthread_create(&thread, NULL, fault_on, &f)) {
		for (int i = 0; i < 20; i++) {
			pthread_kill(thread, SIGUSR2);
			tort_pause(200000);
		}
		atomic_store(&f.stop, true);
		pthread_join(thread, NULL);
	}
	plot_close(&f.plot);
}

/* ---- spaces that come and go ---------------------------------------------------------------- */

static void attach(struct torture *t)
{
	struct hmm_mm *mm;
	struct plot o;

	if (space_attach(&mm))
		return;
	if (!plot_open(&o, mm)) {
		plot_fault(&o);
		plot_close(&o);
	}
	hmm_mm_detach(mm);
}

/* ---- children ------------------------------------------------------------------------------- */

static void in_child(struct torture *t, int (*fn)(struct torture *t), const char *what)
{
	int status = 0;
	pid_t pid;

	pthread_mutex_lock(&t->latch.lock);
	pid = fork();
	if (!pid) {
		signal(SIGALRM, SIG_DFL);
		alarm(CHILD_LIMIT_S);
		_exit(fn(t));
	}
	pthread_mutex_unlock(&t->latch.lock);
	if (pid < 0)
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		finding(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? FINDING_HANG
									   : FINDING_ERROR,
			"bystander: a child that %s ended with status %#x", what,
			(unsigned int)status);
}

static struct plot *inherited;

static int let_go(struct torture *t)
{
	if (hmm_mm_barrier(t->mm, HMM_FOREVER) != -ESRCH)
		return 1;
	hmm_interval_notifier_remove(inherited->ni);
	hmm_mm_detach(t->mm);
	return 0;
}

static void clean_up(struct torture *t)
{
	struct plot o;

	if (plot_open(&o, t->mm))
		return;
	plot_fault(&o);
	inherited = &o;
	in_child(t, let_go, "lets go of what it inherited");
	plot_close(&o);
}

static int close_everything(struct torture *t)
{
	struct hmm_mm *mm;
	struct plot o;
	uint64_t seq;
	int null;
	int err;

	if (space_attach(&mm))
		return 0;
	null = open("/dev/null", O_RDWR);
	if (null >= 0)
		dup2(null, 2); /* the library prints a line there */
	err = plot_open(&o, mm);
	if (!err)
		err = plot_fault(&o);
	if (err)
		return 100 - err; /* the status tells which */
	seq = o.range.notifier_seq;
	if (syscall(SYS_close_range, 3, ~0U, 0))
		return 0;
	munmap(o.p, HMM_PAGE_SIZE);
	if (!hmm_interval_stale(o.ni, seq))
		return 2;
	/* With a log the pump looks at the descriptors in a moment. */
	while (hmm_mm_barrier(mm, HMM_FOREVER) != -ESRCH)
		usleep(1000);
	/* The plot stays: what is in its hole by now may be the library's. */
	hmm_interval_notifier_remove(o.ni);
	hmm_mm_detach(mm);
	return 0;
}

static void close_descriptors(struct torture *t)
{
	in_child(t, close_everything, "closes every descriptor");
}

/* ---- a userfaultfd of the program's --------------------------------------------------------- */

static int foreign_open(const struct plot *o)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED };
	struct uffdio_register r = { .range = { o->range.start, o->range.end - o->range.start },
				     .mode = UFFDIO_REGISTER_MODE_WP };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0)
		return fd;
	if (!ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &r))
		return fd;
	close(fd);
	return -1;
}

/*
 * Events of memory that another userfaultfd has registered do not come to us, unless we have a log.
 * A page that was replaced must not be found the same.
 */
static void foreign(struct torture *t)
{
	struct iovec held;
	struct plot o;
	int fds[2];
	int fd;

	if (pipe2(fds, O_CLOEXEC))
		return;
	if (plot_open(&o, t->mm)) {
		close(fds[0]);
		close(fds[1]);
		return;
	}
	memset(o.p, 1, PLOT_PAGES * HMM_PAGE_SIZE);
	fd = foreign_open(&o);
	if (fd >= 0 && !plot_fault(&o)) {
		expect(t->log || o.pfns[0] & HMM_PFN_TRANSIENT, "what another watches is cached");
		/* The page is held, as by a device, or the same page could come back. */
		held = (struct iovec){ o.p, HMM_PAGE_SIZE };
		if (vmsplice(fds[1], &held, 1, 0) < 0)
			finding(FINDING_ERROR, "bystander: vmsplice: %s", strerror(errno));
		madvise(o.p, HMM_PAGE_SIZE, MADV_DONTNEED);
		o.p[0] = 2;
		if (!hmm_range_check(&o.range, HMM_CHECK_ALL))
			finding(FINDING_STALE, "bystander: a page of memory that another "
					       "userfaultfd watches was replaced, and accepted");
	}
	if (fd >= 0)
		close(fd);
	close(fds[0]);
	close(fds[1]);
	plot_close(&o);
}

/* ---- garbage -------------------------------------------------------------------------------- */

struct collecting {
	struct hmm_svm *svm;
	_Atomic bool stop;
};

static void *fault_and_unmap(void *arg)
{
	struct collecting *c = arg;

	while (!atomic_load(&c->stop)) {
		const size_t bytes = 16 * HMM_PAGE_SIZE;
		char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		if (p == MAP_FAILED)
			break;
		hmm_svm_fault(c->svm, (uint64_t)(uintptr_t)p, bytes, PROT_READ);
		munmap(p, bytes);
	}
	return NULL;
}

static void collect(struct torture *t)
{
	struct collecting c = { .stop = false };
	struct hmm_device *dev;
	pthread_t threads[2];
	unsigned int n = 0;

	if (hmm_device_open(t->mm, "null", 1, &dev))
		return;
	if (!hmm_svm_create(t->mm, dev, NULL, &c.svm)) {
		while (n < 2 && !pthread_create(&threads[n], NULL, fault_and_unmap, &c))
			n++;
		for (int i = 0; i < 50; i++)
			hmm_svm_collect(c.svm);
		atomic_store(&c.stop, true);
		while (n)
			pthread_join(threads[--n], NULL);
		hmm_svm_destroy(c.svm);
	}
	hmm_device_destroy(dev);
}

/* ---- all of them ---------------------------------------------------------------------------- */

static struct {
	const char *name;
	void (*run)(struct torture *t);
	_Atomic uint64_t times;
} kinds[] = {
	{ "cancelled faults", cancel, 0 },
	{ "handlers that unmap", interrupt, 0 },
	{ "attach and detach", attach, 0 },
	{ "children that clean up", clean_up, 0 },
	{ "closed descriptors", close_descriptors, 0 },
	{ "foreign userfaultfds", foreign, 0 },
	{ "collections", collect, 0 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void run_kind(struct torture *t, unsigned int i)
{
	beat(t, USERS + HOSTILES, kinds[i].name);
	pthread_mutex_lock(&t->latch.forking);
	kinds[i].run(t);
	pthread_mutex_unlock(&t->latch.forking);
}

void *bystander_once(void *arg)
{
	struct torture *t = arg;

	for (unsigned int i = 0; i < KINDS; i++)
		run_kind(t, i);
	beat(t, USERS + HOSTILES, NULL);
	return NULL;
}

void *bystander_main(void *arg)
{
	struct torture *t = arg;

	for (unsigned int i = 0; !atomic_load(&t->stop); i = (i + 1) % KINDS) {
		run_kind(t, i);
		atomic_fetch_add(&kinds[i].times, 1);
		tort_pause(PAUSE_NS);
	}
	beat(t, USERS + HOSTILES, NULL);
	return NULL;
}

const char *bystander_count(unsigned int i, uint64_t *times)
{
	if (i >= KINDS)
		return NULL;
	*times = atomic_load(&kinds[i].times);
	return kinds[i].name;
}
