// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "watchd/bpf/sites.h"
#include "watchd/bpf/state.h"
#include "kernel/abi/watch.h"
#include "watch_object.h" /* the build's: where the compiled programs are */

/* The compiled programs. */
asm(".pushsection .rodata\n"
    ".balign 8\n"
    ".local watch_object, watch_object_end\n"
    "watch_object: .incbin \"" WATCH_OBJECT "\"\n"
    "watch_object_end:\n"
    ".popsection\n");
extern const char watch_object[] __attribute__((visibility("hidden")));
extern const char watch_object_end[] __attribute__((visibility("hidden")));

#define SITES (WATCH_SITE_NR + 1)
#define NAME_BYTES 64
#define NOTIFIER_START "__mmu_notifier_invalidate_range_start"
#define NOTIFIER_END "__mmu_notifier_invalidate_range_end"
#define MOST_LINKS (2 * SITES + 4)
/* Programs that this kernel does not take are left out, this many at most. */
#define TRIES 12

struct row {
	const char *function;
	int group;
	uint32_t kind;
	const char *parameters;
};

#define ROW(nr, form, function, group, kind, parameters)                                           \
	[nr] = { function, group, kind, parameters },
static const struct row rows[WATCH_SITE_NR] = { WATCH_SITES(ROW) };

enum use { SLOT_FREE, SLOT_SPARE, SLOT_WATCHED };

struct slot {
	enum use use;
	int log, page;
	size_t log_bytes;
};

struct watch_loader {
	unsigned int flags;
	struct bpf_object *object;
	struct btf *kernel;
	struct watch_state *state;
	struct watch_site sites[SITES];
	struct bpf_link *links[MOST_LINKS];
	size_t n_links;
	int spaces, owners, logs, pages, global;
	struct slot slots[WATCH_SPACES];
};

/* The program that libbpf could not load, which it names in what it prints only. */
static __thread char refused[NAME_BYTES];

static int say(enum libbpf_print_level level, const char *format, va_list arguments)
{
	static const char failed[] = "failed to load";
	char line[512], *name, *end;

	if (!format || level == LIBBPF_DEBUG)
		return 0;
	vsnprintf(line, sizeof(line), format, arguments);
	name = strstr(line, "prog '");
	if (!name || !strstr(line, failed))
		return 0;
	name += strlen("prog '");
	end = strchr(name, '\'');
	if (end && end - name < NAME_BYTES) {
		*end = 0;
		strcpy(refused, name);
	}
	return 0;
}

/* Whether a word of `a|b` is the name. */
static bool one_of(const char *names, size_t length, const char *name)
{
	size_t n = strlen(name);
	const char *at = names, *end = names + length, *bar;

	for (; at < end; at = bar + 1) {
		bar = memchr(at, '|', end - at);
		if (!bar)
			bar = end;
		if ((size_t)(bar - at) == n && !memcmp(at, name, n))
			return true;
	}
	return false;
}

static const struct btf_type *plain(const struct btf *btf, uint32_t id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

/* wanted: a word of a row's parameters, `length` long */
static bool parameter_is(const struct btf *btf, const struct btf_param *p, const char *wanted,
			 size_t length)
{
	const char *colon = memchr(wanted, ':', length);
	const char *name = btf__name_by_offset(btf, p->name_off), *is;
	const struct btf_type *t = plain(btf, p->type);

	if (length == 1 && *wanted == '-')
		return true;
	if (!t || !name || !one_of(wanted, colon ? (size_t)(colon - wanted) : length, name))
		return false;
	if (!colon)
		return btf_is_int(t);
	if (!btf_is_ptr(t))
		return false;
	t = plain(btf, t->type);
	if (!t || !btf_is_struct(t))
		return false;
	is = btf__name_by_offset(btf, t->name_off);
	length -= colon + 1 - wanted;
	return strlen(is) == length && !memcmp(is, colon + 1, length);
}

static bool parameters_are(const struct btf *btf, const struct btf_type *proto, const char *wanted)
{
	const struct btf_param *p = btf_params(proto);
	uint32_t i, n = btf_vlen(proto);

	for (i = 0; *wanted; i++) {
		size_t length = strcspn(wanted, " ");

		if (i == n || !parameter_is(btf, &p[i], wanted, length))
			return false;
		wanted += length;
		wanted += strspn(wanted, " ");
	}
	return true;
}

/* One pass: 0, -ENOENT, -ENOTUNIQ, or -EPROTO where the function has other parameters. */
static void find_functions(const struct btf *btf, struct watch_site *sites)
{
	uint32_t i, n = btf__type_cnt(btf);
	const struct btf_type *t;
	const char *name;
	size_t row;

	for (row = 0; row < WATCH_SITE_NR; row++)
		sites[row].error = -ENOENT;
	for (i = 1; i < n; i++) {
		t = btf__type_by_id(btf, i);
		if (!btf_is_func(t))
			continue;
		name = btf__name_by_offset(btf, t->name_off);
		for (row = 0; row < WATCH_SITE_NR; row++) {
			if (strcmp(name, rows[row].function))
				continue;
			if (sites[row].error != -ENOENT)
				sites[row].error = -ENOTUNIQ;
			else if (parameters_are(btf, btf__type_by_id(btf, t->type),
						rows[row].parameters))
				sites[row].error = 0;
			else
				sites[row].error = -EPROTO;
		}
	}
}

/* In a structure within it that has no name, too. */
static bool is_member(const struct btf *btf, uint32_t structure, const char *member)
{
	const struct btf_type *t = plain(btf, structure);
	const struct btf_member *m;
	const char *name;
	int i;

	if (!t || !btf_is_composite(t))
		return false;
	m = btf_members(t);
	for (i = 0; i < btf_vlen(t); i++) {
		name = btf__name_by_offset(btf, m[i].name_off);
		if (*name ? !strcmp(name, member) : is_member(btf, m[i].type, member))
			return true;
	}
	return false;
}

static bool has_member(const struct btf *btf, const char *structure, const char *member)
{
	int id = btf__find_by_name_kind(btf, structure, BTF_KIND_STRUCT);

	return id > 0 && is_member(btf, id, member);
}

/*
 * The kernel attaches to the first symbol of a name. Where another function has that name, too, it
 * may be the wrong one, or one of two that both matter.
 */
static void mark_namesakes(struct watch_site *sites)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	unsigned int seen[WATCH_SITE_NR] = { 0 };
	char line[512], name[256], type;
	size_t i;

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %c %255s", &type, name) != 2 || !strchr("tTwW", type))
			continue;
		for (i = 0; i < WATCH_SITE_NR; i++)
			seen[i] += !sites[i].error && !strcmp(sites[i].name, name);
	}
	fclose(f);
	for (i = 0; i < WATCH_SITE_NR; i++)
		if (seen[i] > 1)
			sites[i].error = -ENOTUNIQ;
}

static struct bpf_program *program(struct watch_loader *l, const char *format, size_t nr)
{
	char name[NAME_BYTES];

	snprintf(name, sizeof(name), format, nr);
	return bpf_object__find_program_by_name(l->object, name);
}

static bool has_function(const struct btf *btf, const char *name)
{
	return btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;
}

/* 0; why programs are not attached to what the kernel's notifiers are called by. */
static int notifier_error(const struct watch_loader *l, const int *errors)
{
	if (l->flags & WATCH_LOAD_FUNCTIONS)
		return -ENODATA;
	if (!has_function(l->kernel, NOTIFIER_START) || !has_function(l->kernel, NOTIFIER_END))
		return -ENOENT;
	/* It says whether they are called for a space. */
	if (!has_member(l->kernel, "mm_struct", "notifier_subscriptions"))
		return -EPROTO;
	return errors[WATCH_SITE_NOTIFIER];
}

static void choose_notifier(struct watch_loader *l, const int *errors)
{
	struct watch_site *site = &l->sites[WATCH_SITE_NOTIFIER];
	bool wanted;

	site->name = NOTIFIER_START;
	site->kind = WATCH_KIND_NR;
	site->error = notifier_error(l, errors);
	wanted = !site->error;
	bpf_program__set_autoload(program(l, "notifier_begin", 0), wanted);
	bpf_program__set_autoload(program(l, "notifier_end", 0), wanted);
}

/* Decides which rows this kernel has, and names their functions to libbpf. errors: by row. */
static int choose_rows(struct watch_loader *l, const int *errors)
{
	size_t i;
	int err;

	for (i = 0; i < WATCH_SITE_NR; i++) {
		l->sites[i].name = rows[i].function;
		l->sites[i].kind = rows[i].kind;
		l->sites[i].error = -ENODATA;
	}
	if (!(l->flags & WATCH_LOAD_ANCHORED)) {
		find_functions(l->kernel, l->sites);
		mark_namesakes(l->sites);
	}
	for (i = 0; i < WATCH_SITE_NR; i++) {
		struct bpf_program *begin = program(l, "begin_%zu", i);
		struct bpf_program *end = program(l, "end_%zu", i);

		if (!l->sites[i].error)
			l->sites[i].error = errors[i];
		bpf_program__set_autoload(begin, !l->sites[i].error);
		bpf_program__set_autoload(end, !l->sites[i].error);
		if (l->sites[i].error)
			continue;
		err = bpf_program__set_attach_target(begin, 0, rows[i].function);
		if (!err)
			err = bpf_program__set_attach_target(end, 0, rows[i].function);
		if (err)
			return err;
	}
	choose_notifier(l, errors);
	return 0;
}

static int number(const char *path, long otherwise)
{
	FILE *f = fopen(path, "re");
	long n = otherwise;

	if (!f)
		return otherwise;
	if (fscanf(f, "%ld", &n) != 1)
		n = otherwise;
	fclose(f);
	return n;
}

static void open_object(struct watch_loader *l)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "hmm_watch");

	l->object = bpf_object__open_mem(watch_object, watch_object_end - watch_object, &options);
}

static int find_maps(struct watch_loader *l)
{
	int state = bpf_object__find_map_fd_by_name(l->object, ".data.state");
	void *p = MAP_FAILED;

	if (state >= 0)
		p = mmap(NULL, sizeof(*l->state), PROT_READ | PROT_WRITE, MAP_SHARED, state, 0);
	if (p == MAP_FAILED)
		return -errno;
	l->state = p;
	l->spaces = bpf_object__find_map_fd_by_name(l->object, "spaces");
	l->owners = bpf_object__find_map_fd_by_name(l->object, "owners");
	l->logs = bpf_object__find_map_fd_by_name(l->object, "logs");
	l->pages = bpf_object__find_map_fd_by_name(l->object, "pages");
	l->global = bpf_object__find_map_fd_by_name(l->object, "global");
	if (l->spaces < 0 || l->owners < 0 || l->logs < 0 || l->pages < 0 || l->global < 0)
		return -EINVAL;
	/* From here on the programs alone write to it, and no holder of a descriptor. */
	return bpf_map_freeze(l->global);
}

/* The site of a program that was refused, by its name; SITES: it is of no site. */
static size_t site_of_refused(void)
{
	size_t nr;

	if (!strncmp(refused, "notifier_", strlen("notifier_")))
		return WATCH_SITE_NOTIFIER;
	if (sscanf(refused, "begin_%zu", &nr) == 1 || sscanf(refused, "end_%zu", &nr) == 1)
		return nr < WATCH_SITE_NR ? nr : SITES;
	return SITES;
}

/* Loads; without those programs that this kernel refuses. */
static int load_object(struct watch_loader *l)
{
	int errors[SITES] = { 0 };
	int err, try;
	size_t i;

	for (try = 0; try < TRIES; try++) {
		open_object(l);
		if (!l->object)
			return -errno;
		err = choose_rows(l, errors);
		refused[0] = 0;
		if (!err)
			err = bpf_object__load(l->object);
		if (!err)
			return find_maps(l);
		i = site_of_refused();
		if (err == -EPERM || i == SITES)
			return err;
		errors[i] = err;
		bpf_object__close(l->object);
		l->object = NULL;
	}
	return err;
}

static int attach(struct watch_loader *l, const char *format, size_t nr)
{
	struct bpf_program *p = program(l, format, nr);
	struct bpf_link *link = p ? bpf_program__attach(p) : NULL;

	if (!link)
		return p ? -errno : -ENOENT;
	l->links[l->n_links++] = link;
	return 0;
}

static void detach_to(struct watch_loader *l, size_t n)
{
	while (l->n_links > n)
		bpf_link__destroy(l->links[--l->n_links]);
}

static void attach_site(struct watch_loader *l, size_t nr)
{
	size_t before = l->n_links;
	int err;

	/* the end first: an end without a beginning does no harm */
	err = attach(l, "end_%zu", nr);
	if (!err)
		err = attach(l, "begin_%zu", nr);
	if (err)
		detach_to(l, before);
	l->sites[nr].error = err;
	l->sites[nr].attached = !err;
}

static void attach_notifier(struct watch_loader *l)
{
	struct watch_site *site = &l->sites[WATCH_SITE_NOTIFIER];
	size_t before = l->n_links;
	int err;

	err = attach(l, "notifier_end", 0);
	if (!err)
		err = attach(l, "notifier_begin", 0);
	if (err)
		detach_to(l, before);
	site->error = err;
	site->attached = !err;
}

/*
 * Newer kernels forbid migration in the program that runs at a switch, too: finds what a thread has
 * there that is in no program. Most threads are in none.
 */
static void measure_switches(struct watch_loader *l)
{
	int i;

	l->state->switch_base = UINT32_MAX;
	for (i = 0; i < 20; i++)
		usleep(1000);
	__atomic_store_n(&l->state->switch_armed, 1, __ATOMIC_SEQ_CST);
}

/* What the kernel has refused a row of the group, another one sees, which came later. */
static void stands_for(struct watch_loader *l, size_t nr)
{
	for (size_t i = 0; i < nr && rows[nr].group; i++) {
		if (rows[i].group == rows[nr].group && l->sites[i].error != -ENOENT)
			l->sites[i].error = -EALREADY;
	}
}

static int attach_all(struct watch_loader *l)
{
	unsigned int taken = 0;
	bool any = false;
	size_t i;
	int err;

	err = attach(l, "switched", 0);
	if (err)
		return err;
	measure_switches(l);
	err = attach(l, "space_ends", 0);
	if (!err)
		err = attach(l, "switched_off", 0);
	if (err)
		return err;
	/* from here on switched_off() sees it */
	if (!number("/proc/sys/kernel/ftrace_enabled", 1))
		return -EOPNOTSUPP;
	if (!l->sites[WATCH_SITE_NOTIFIER].error)
		attach_notifier(l);
	l->state->notifiers = l->sites[WATCH_SITE_NOTIFIER].attached;
	if (l->flags & WATCH_LOAD_ANCHORED)
		return l->state->notifiers ? 0 : -EOPNOTSUPP;
	for (i = 0; i < WATCH_SITE_NR; i++) {
		const unsigned int group = rows[i].group ? 1U << rows[i].group : 0;

		/* Of a group the first that this kernel lets a program be at. */
		if (!l->sites[i].error && taken & group)
			l->sites[i].error = -EALREADY;
		if (l->sites[i].error)
			continue;
		attach_site(l, i);
		if (!l->sites[i].attached)
			continue;
		stands_for(l, i);
		taken |= group;
		any = true;
	}
	l->state->functions = any;
	return any ? 0 : -EOPNOTSUPP;
}

static int load(struct watch_loader *l)
{
	int err;

	libbpf_set_print(say);
	l->kernel = btf__load_vmlinux_btf();
	if (!l->kernel)
		return -EOPNOTSUPP;
	/* without it a program that was skipped would go unnoticed */
	if (!has_member(l->kernel, "task_struct", "migration_disabled"))
		return -EOPNOTSUPP;
	err = load_object(l);
	if (err)
		return err == -EACCES ? -EPERM : err;
	l->state->page_size = sysconf(_SC_PAGESIZE);
	l->state->huge_size = number("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", 2 << 20);
	l->state->giant_size = 1 << 30;
	return attach_all(l);
}

/* Lets go of everything but what other descriptors hold. */
static void let_go(struct watch_loader *l)
{
	size_t i;

	detach_to(l, 0);
	for (i = 0; i < WATCH_SPACES; i++) {
		if (l->slots[i].use == SLOT_FREE)
			continue;
		close(l->slots[i].log);
		close(l->slots[i].page);
	}
	if (l->state)
		munmap(l->state, sizeof(*l->state));
	bpf_object__close(l->object);
	btf__free(l->kernel);
	free(l);
}

int watch_load(unsigned int flags, struct watch_loader **loader)
{
	struct watch_loader *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->flags = flags;
	err = load(l);
	if (err) {
		let_go(l);
		return err;
	}
	*loader = l;
	return 0;
}

static int command(struct watch_loader *l, struct watch_command *c)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = c, .ctx_size_in = sizeof(*c));
	int err = bpf_prog_test_run_opts(bpf_program__fd(program(l, "watch_command", 0)), &run);

	return err ? err : (int)run.retval;
}

void watch_unload(struct watch_loader *l)
{
	struct watch_command detach = { .detach = 1 };
	uint32_t i;

	command(l, &detach);
	for (i = 0; i < WATCH_SPACES; i++)
		if (l->slots[i].use == SLOT_WATCHED)
			watch_close(l, i);
	let_go(l);
}

size_t watch_sites(const struct watch_loader *l, const struct watch_site **sites)
{
	*sites = l->sites;
	return SITES;
}

uint64_t watch_misses(const struct watch_loader *l)
{
	struct bpf_prog_info info;
	struct bpf_program *p;
	uint64_t n = 0;

	bpf_object__for_each_program(p, l->object)
	{
		uint32_t bytes = sizeof(info);

		memset(&info, 0, sizeof(info));
		if (bpf_program__fd(p) >= 0 &&
		    !bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &bytes))
			n += info.recursion_misses;
	}
	return n;
}

/* Takes a slot out of the tables; waits until no program looks at it any more. */
static void empty_slot(struct watch_loader *l, uint32_t i)
{
	struct slot *s = &l->slots[i];

	bpf_map_delete_elem(l->logs, &i);
	bpf_map_delete_elem(l->pages, &i);
	close(s->log);
	close(s->page);
	*s = (struct slot){ .use = SLOT_FREE };
}

static int fill_slot(struct watch_loader *l, uint32_t i, size_t log_bytes)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	struct slot *s = &l->slots[i];
	int err;

	s->log = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "hmm_log", 0, 0, log_bytes, NULL);
	if (s->log < 0)
		return s->log;
	s->page = bpf_map_create(BPF_MAP_TYPE_ARRAY, "hmm_space", 4, WATCH_PAGE, 1, &options);
	if (s->page < 0) {
		err = s->page;
		close(s->log);
		return err;
	}
	s->use = SLOT_SPARE;
	s->log_bytes = log_bytes;
	err = bpf_map_freeze(s->page);
	if (!err)
		err = bpf_map_update_elem(l->logs, &i, &s->log, BPF_ANY);
	if (!err)
		err = bpf_map_update_elem(l->pages, &i, &s->page, BPF_ANY);
	if (err)
		empty_slot(l, i);
	return err;
}

static int find_slot(struct watch_loader *l, size_t log_bytes, uint32_t *found)
{
	uint32_t i, spare = WATCH_SPACES, empty = WATCH_SPACES;

	for (i = 0; i < WATCH_SPACES; i++) {
		if (l->slots[i].use == SLOT_SPARE) {
			if (l->slots[i].log_bytes == log_bytes) {
				*found = i;
				return 0;
			}
			spare = i;
		} else if (l->slots[i].use == SLOT_FREE && empty == WATCH_SPACES) {
			empty = i;
		}
	}
	if (empty == WATCH_SPACES) {
		if (spare == WATCH_SPACES)
			return -ENOSPC;
		empty_slot(l, spare);
		empty = spare;
	}
	*found = empty;
	return fill_slot(l, empty, log_bytes);
}

int watch_spare(struct watch_loader *l, size_t log_bytes)
{
	uint32_t slot;

	return find_slot(l, log_bytes, &slot);
}

/* Runs the program that looks for the process's address space; asks: and does not enter it. */
static int look(struct watch_loader *l, pid_t pid, uint32_t slot, bool asks)
{
	union bpf_iter_link_info which = { .task.pid = pid };
	LIBBPF_OPTS(bpf_iter_attach_opts, options, .link_info = &which,
		    .link_info_len = sizeof(which));
	struct bpf_link *link;
	char byte;
	int fd;

	l->state->open_slot = slot;
	l->state->open_asks = asks;
	__atomic_store_n(&l->state->open_result, 0, __ATOMIC_SEQ_CST);
	link = bpf_program__attach_iter(program(l, "watch_task", 0), &options);
	if (!link)
		return errno == ENOENT ? -ESRCH : -errno;
	fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	if (fd < 0)
		return fd;
	while (read(fd, &byte, 1) > 0)
		;
	close(fd);
	switch (l->state->open_result) {
	case 0:
		return -ESRCH;
	case 1:
		return 0;
	default:
		return l->state->open_result;
	}
}

/* A socket in whose queue the descriptors of all links are. */
static int keep_links(const struct watch_loader *l)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int) * MOST_LINKS)];
	} control = { 0 };
	char byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes };
	int pair[2], fds[MOST_LINKS], err = 0;
	size_t i;

	for (i = 0; i < l->n_links; i++)
		fds[i] = bpf_link__fd(l->links[i]);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int) * l->n_links);
	memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * l->n_links);
	message.msg_controllen = CMSG_SPACE(sizeof(int) * l->n_links);
	if (sendmsg(pair[0], &message, MSG_NOSIGNAL) != 1)
		err = -errno;
	close(pair[0]);
	if (!err)
		return pair[1];
	close(pair[1]);
	return err;
}

static int copy_of(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static void close_fds(struct watch_fds *fds)
{
	int each[] = { fds->log, fds->space, fds->global, fds->links };
	size_t i;

	for (i = 0; i < sizeof(each) / sizeof(*each); i++)
		if (each[i] >= 0)
			close(each[i]);
}

static int make_fds(const struct watch_loader *l, uint32_t slot, struct watch_fds *fds)
{
	int err = 0;

	fds->log = copy_of(l->slots[slot].log);
	fds->space = copy_of(l->slots[slot].page);
	fds->global = copy_of(l->global);
	fds->links = keep_links(l);
	if (fds->log < 0)
		err = fds->log;
	else if (fds->space < 0)
		err = fds->space;
	else if (fds->global < 0)
		err = fds->global;
	else if (fds->links < 0)
		err = fds->links;
	if (err)
		close_fds(fds);
	return err;
}

int watch_open(struct watch_loader *l, pid_t pid, size_t log_bytes, unsigned int flags,
	       struct watch_fds *fds, uint32_t *space)
{
	uint32_t slot;
	int err;

	if (pid <= 0 || log_bytes < (size_t)sysconf(_SC_PAGESIZE) || log_bytes > (1 << 30) ||
	    (log_bytes & (log_bytes - 1)))
		return -EINVAL;
	err = find_slot(l, log_bytes, &slot);
	if (err)
		return err;
	err = make_fds(l, slot, fds);
	if (err)
		return err;
	l->state->open_functions = !!(flags & WATCH_OPEN_FUNCTIONS);
	l->state->open_anyway = !!(flags & WATCH_OPEN_ANYWAY);
	err = look(l, pid, slot, false);
	if (err) {
		close_fds(fds);
		/* it was in the tables for a moment: the next must not read what is in it */
		empty_slot(l, slot);
		return err;
	}
	l->slots[slot].use = SLOT_WATCHED;
	*space = slot;
	return 0;
}

int watch_is(struct watch_loader *l, pid_t pid, uint32_t space)
{
	int err;

	if (space >= WATCH_SPACES || l->slots[space].use != SLOT_WATCHED)
		return -EINVAL;
	err = look(l, pid, space, true);
	if (err == -ENOENT || err == -ESRCH)
		return 0;
	return err ? err : 1;
}

void watch_close(struct watch_loader *l, uint32_t space)
{
	struct watch_command c = { .slot = space };

	if (space >= WATCH_SPACES || l->slots[space].use != SLOT_WATCHED)
		return;
	command(l, &c);
	empty_slot(l, space);
}

/*
 * The descriptors alone keep the programs and the maps, so that the process has no more of them
 * than those that it was given.
 */
__attribute__((visibility("default"))) int watch_open_self(unsigned int flags, size_t log_bytes,
							   struct watch_fds *fds,
							   const struct watch_site **sites,
							   size_t *n)
{
	static struct watch_site kept[SITES];
	struct watch_loader *l;
	uint32_t space;
	int err;

	err = watch_load(flags, &l);
	if (err)
		return err;
	err = watch_open(l, getpid(), log_bytes, 0, fds, &space);
	if (!err) {
		memcpy(kept, l->sites, sizeof(kept));
		*sites = kept;
		*n = SITES;
	}
	let_go(l);
	return err;
}
