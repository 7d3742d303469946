// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * A filesystem whose server does not answer any more delays only threads that fault its files. The
 * server of this test counts what it is asked, and falls silent.
 */
#include "common/mirror.h"

#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

struct shared {
	_Atomic int silent;
	_Atomic int asked; /* since it fell silent */
};

static struct shared *shared;
static char top[32];

union reply {
	struct fuse_init_out init;
	struct fuse_entry_out entry;
	struct fuse_attr_out attr;
	struct fuse_open_out open;
	struct fuse_statfs_out statfs;
	char data[4 * PAGE];
};

static void fill_attr(struct fuse_attr *attr, uint64_t node)
{
	attr->ino = node;
	attr->nlink = 1;
	attr->mode = node == 1 ? S_IFDIR | 0755 : S_IFREG | 0644;
	attr->size = 4 * PAGE;
}

/* The size of the reply; -1 none is expected; -ENOSYS */
static int answer(const struct fuse_in_header *in, const void *arg, union reply *r)
{
	const struct fuse_init_in *init = arg;
	const struct fuse_read_in *read = arg;

	memset(r, 0, sizeof(*r));
	switch (in->opcode) {
	case FUSE_INIT:
		r->init.major = FUSE_KERNEL_VERSION;
		r->init.minor = init->minor < 31 ? init->minor : 31;
		r->init.max_write = PAGE;
		return sizeof(r->init);
	case FUSE_LOOKUP:
		r->entry.nodeid = 2;
		fill_attr(&r->entry.attr, 2);
		return sizeof(r->entry);
	case FUSE_GETATTR:
		fill_attr(&r->attr.attr, in->nodeid);
		return sizeof(r->attr);
	case FUSE_OPEN:
		return sizeof(r->open);
	case FUSE_READ:
		memset(r->data, 'f', sizeof(r->data));
		return read->size < sizeof(r->data) ? (int)read->size : (int)sizeof(r->data);
	case FUSE_STATFS:
		return sizeof(r->statfs);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		return -1;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
		return 0;
	default:
		return -ENOSYS;
	}
}

static void serve(int fd)
{
	static char buf[1 << 18];
	static struct {
		struct fuse_out_header head;
		union reply body;
	} out;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) >= 0 || errno == EINTR || errno == ENOENT) {
		const struct fuse_in_header *in = (const struct fuse_in_header *)buf;
		int size;

		if (n < (ssize_t)sizeof(*in))
			continue;
		if (shared->silent)
			shared->asked++;
		/* not for ever, so that a test which fails ends */
		for (int i = 0; i < 5000 && shared->silent; i++)
			usleep(1000);
		size = answer(in, in + 1, &out.body);
		if (size == -1)
			continue;
		out.head.unique = in->unique;
		out.head.error = size < 0 ? size : 0;
		out.head.len = (uint32_t)(sizeof(out.head) + (size > 0 ? (size_t)size : 0));
		if (write(fd, &out, out.head.len) < 0)
			continue;
	}
	_exit(0);
}

static bool start(pid_t *server)
{
	char options[64];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	strcpy(top, "/tmp/hmm-server-XXXXXX");
	if (fd < 0 || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    !mkdtemp(top))
		return false;
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("fuse", top, "fuse", 0, options)) {
		rmdir(top);
		return false;
	}
	*server = fork_tied();
	if (!*server)
		serve(fd);
	close(fd);
	return true;
}

/*
 * Known or new, a file of it is not asked after; other memory is mirrored meanwhile, and unmapped.
 */
static void a_silent_server_is_asked_nothing(void **state)
{
	char path[64];
	struct mirror m;
	char *p, *q;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "%s/f", top);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	p = map_fd(4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	assert_int_equal(p[0], 'f');
	mirror_open(&m, 0);
	shared->silent = 1;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(fault(&m, p, 4, REQ_READ), 0);
		assert_true(transient(&m, 0));
		assert_int_equal(hmm_range_check(&m.range, HMM_CHECK_ALL), 0);
	}
	assert_true(hmm_mm_check_files(m.mm) >= 0);
	/* looked for among the program's descriptors, of which one is of that filesystem */
	q = map_fd(PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(fault(&m, q, 1, REQ_WRITE), 0);
	munmap(q, PAGE);
	q = map_fd(PAGE, RW, MAP_SHARED, make_memfd(PAGE, 0), 0);
	assert_int_equal(fault(&m, q, 1, REQ_WRITE), 0);
	munmap(q, PAGE);
	assert_int_equal(hmm_mm_barrier(m.mm, HMM_FOREVER), 0);
	assert_int_equal(shared->asked, 0);
	shared->silent = 0;
	mirror_close(&m);
	munmap(p, 4 * PAGE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_silent_server_is_asked_nothing),
	};
	pid_t server;
	int failed;

	shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!start(&server)) {
		puts("no FUSE, or no mount namespace here");
		return 77;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	shared->silent = 0;
	umount2(top, MNT_DETACH);
	rmdir(top);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return failed;
}
