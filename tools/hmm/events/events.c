// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* hmm events: options, the program, the loop. */
#include "events.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../attach.h"
#include "../child.h"
#include "../command.h"
#include "../object.h"
#include "../options.h"
#include "../program.h"
#include "../run/session.h"

#define OBJECT "libhmm-events.so"
#define SETTLE_MS 10 /* until a record that was begun is written */
#define LOOK_MS 1000 /* until a space that has ended without a word is found */

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct asked {
	struct output out;
	struct filter filter;
	const char *output;
	const char *kinds;
	const char *min_size;
	bool follow;
	bool summary_only;
	bool lines_only;
	uint64_t log_size; /* KiB */
	uint64_t pid;
};

/* "64", "4K", "2M" */
static int parse_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *end;

	errno = 0;
	*bytes = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end & ~0x20) : NULL;
	if (errno || end == text || *text == '-' || (*end && (!unit || end[1])))
		return complain(EXIT_INPUT,
				"--min-size wants a size such as 4096, 64K or 2M, not "
				"'%s'",
				text);
	if (unit)
		*bytes <<= 10 * (unit - units + 1);
	return 0;
}

static const char *why_privileged(int error)
{
	return error == -ESRCH ? "it has no address space" : log_words(error);
}

/* Where the object listens for is in the environment of the program. 0 or an exit status. */
static int set_environment(const struct asked *asked, const char *name)
{
	char value[128], path[PATH_MAX];

	if (!object_find("/tools/hmm/events", OBJECT, path))
		return complain(EXIT_HOST,
				"%s is not installed: neither beside this command nor in "
				"%s",
				OBJECT, HMM_LIBDIR);
	if (strpbrk(path, ": "))
		return complain(EXIT_HOST,
				"'%s' cannot be preloaded: its name has a space or a colon", path);
	snprintf(value, sizeof(value), "%s %d %llu", name, asked->follow ? 0 : (int)getpid(),
		 (unsigned long long)asked->log_size << 10);
	if (setenv(EVENTS_VARIABLE, value, 1))
		return complain(EXIT_FAILED, "not enough memory");
	return program_preload(path);
}

static bool follow_all(struct watch *w)
{
	bool any = false;

	for (size_t i = 0; i < w->n_sources; i++) {
		struct source *s = &w->sources[i];

		if (s->ended)
			continue;
		any |= follow(w, s);
		if (s->ended)
			source_close(s);
	}
	return any;
}

/* Waits until there is something to do. True: a log says that it can be read. */
static bool wait_for_more(const struct watch *w, int listener, int signals, bool busy)
{
	struct pollfd fds[2 + MAX_SOURCES];
	bool readable = false;
	nfds_t n = 2;

	fds[0] = (struct pollfd){ .fd = signals, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = listener, .events = POLLIN };
	for (size_t i = 0; i < w->n_sources && !busy; i++)
		if (!w->sources[i].ended)
			fds[n++] = (struct pollfd){ .fd = w->sources[i].fds[0], .events = POLLIN };
	poll(fds, n, busy ? SETTLE_MS : n > 2 ? LOOK_MS : -1);
	for (nfds_t i = 2; i < n; i++)
		readable |= fds[i].revents & POLLIN;
	return readable;
}

static void loop(struct watch *w, struct child *child, int listener)
{
	bool ended = false, busy = false;

	while (!ended) {
		bool readable = wait_for_more(w, listener, child->signal_fd, busy);

		ended = child_signals(child);
		source_accept(w, listener);
		/* It has not come to its main(). What it does would go unseen. */
		if (w->no_log && !w->totals.spaces && !w->refused)
			w->refused = !ended && !kill(child->pid, SIGKILL);
		/* A record that is not finished: the log can be read, and gives nothing. */
		busy = !follow_all(w) && readable;
	}
	/* What was written until it ended. */
	while (follow_all(w))
		;
	close(child->signal_fd);
}

/* The program's status unless that is 0 and something of ours failed. */
static int finish(struct watch *w, const struct asked *asked, char **argv, int status)
{
	const int shown = status_in_shell(status);
	const char *to = asked->output ?: "standard error";

	if (w->refused)
		return complain(EXIT_HOST, "'%s' is not run: no log can be had: %s", argv[0],
				log_words(w->no_log));
	if (w->out.summary)
		print_summary(w, argv[0], status);
	if (!w->out.error && (fflush(w->out.to) || ferror(w->out.to)))
		w->out.error = errno ?: EIO;
	if (w->out.error) {
		complain(EXIT_FAILED, "cannot write to %s: %s", to, strerror(w->out.error));
		return shown ?: EXIT_FAILED;
	}
	if (w->no_log)
		complain(EXIT_HOST, "a process was not watched: %s", log_words(w->no_log));
	else if (!w->totals.spaces)
		complain(EXIT_HOST, "'%s' ended before it could be watched", argv[0]);
	return w->totals.spaces ? shown : shown ?: EXIT_HOST;
}

static int run(struct watch *w, const struct asked *asked, const char *path, char **argv)
{
	struct child child;
	char name[64];
	int ret, listener = listener_open(name, sizeof(name));

	if (listener < 0)
		return complain(EXIT_FAILED, "cannot listen for the program: %s",
				strerror(-listener));
	ret = set_environment(asked, name);
	if (ret)
		return ret;
	w->began = now();
	ret = child_start(&child, path, argv);
	if (!ret)
		ret = child_executed(&child);
	if (ret)
		return program_not_executed(argv[0], ret);
	loop(w, &child, listener);
	close(listener);
	return finish(w, asked, argv, child.status);
}

/* A process that runs: until it ends, or an interrupt comes. */
static int watch_pid(struct watch *w, const struct asked *asked)
{
	struct child child = { .pid = 0 };
	char name[32], *argv[] = { name, NULL };
	int err, fd;

	snprintf(name, sizeof(name), "%llu", (unsigned long long)asked->pid);
	fd = (int)syscall(SYS_pidfd_open, (pid_t)asked->pid, 0);
	if (fd < 0)
		return complain(EXIT_INPUT, "no process %s: %s", name, strerror(errno));
	interrupts_catch();
	signal(SIGPIPE, SIG_IGN);
	w->began = now();
	err = source_open(w, (pid_t)asked->pid);
	if (err) {
		close(fd);
		return complain(EXIT_HOST,
				"process %s cannot be watched: %s; hmm-watchd hands a log to the "
				"process itself alone, when it starts: hmm events -- PROGRAM",
				name, why_privileged(err));
	}
	for (bool ended = false, busy = false; !ended && !interrupted() && !w->out.error;) {
		struct pollfd end = { .fd = fd, .events = POLLIN };
		bool readable = wait_for_more(w, -1, fd, busy);

		ended = poll(&end, 1, 0) > 0;
		busy = !follow_all(w) && readable;
	}
	while (!w->out.error && follow_all(w))
		;
	close(fd);
	err = finish(w, asked, argv, child.status);
	if (interrupted())
		interrupts_die();
	return err;
}

static int watch_program(struct watch *w, const struct asked *asked, char **argv)
{
	char path[PATH_MAX];
	const char *ignores;
	int status = program_resolve(argv[0], path);

	if (status)
		return status;
	ignores = program_ignores_preload(path);
	if (ignores)
		return complain(EXIT_HOST, "'%s' cannot be watched: %s", argv[0], ignores);
	return run(w, asked, path, argv);
}

static int watch_either(const struct asked *asked, char **argv)
{
	static struct watch w;
	int status;

	w.out = asked->out;
	w.filter = asked->filter;
	w.log_bytes = asked->log_size << 10;
	w.out.to = asked->output ? fopen(asked->output, "we") : stderr;
	if (!w.out.to)
		return complain(EXIT_INPUT, "cannot write '%s': %s", asked->output,
				strerror(errno));
	w.all_tasks = who_sees_all();
	status = asked->pid ? watch_pid(&w, asked) : watch_program(&w, asked, argv);
	for (size_t i = 0; i < w.n_sources; i++)
		if (!w.sources[i].ended)
			source_close(&w.sources[i]);
	for (int by = 0; by < BY_NR; by++)
		table_free(&w.totals.by[by]);
	if (asked->output)
		fclose(w.out.to);
	return status;
}

/* What the options say beyond single values. 0 or an exit status. */
static int understand(struct asked *asked)
{
	if (asked->summary_only && asked->lines_only)
		return complain(EXIT_INPUT, "--summary and --no-summary exclude each other");
	asked->out.live = !asked->summary_only;
	asked->out.summary = !asked->lines_only;
	if (asked->kinds && !kinds_parse(asked->kinds, &asked->filter.kinds))
		return EXIT_INPUT;
	if (asked->log_size & (asked->log_size - 1))
		return complain(EXIT_INPUT, "--log-size wants a power of two, not %llu",
				(unsigned long long)asked->log_size);
	return asked->min_size ? parse_size(asked->min_size, &asked->filter.min_size) : 0;
}

int cmd_events(int argc, char **argv)
{
	static struct asked a = { .out.rows = 10 };
	const struct option_row rows[] = {
		{ "summary", 'c', OPTION_FLAG, NULL, "the sums alone, when the program has ended",
		  &a.summary_only },
		{ "no-summary", 'n', OPTION_FLAG, NULL, "the events alone", &a.lines_only },
		{ "kind", 'k', OPTION_STRING, "LIST", "only these kinds, with commas between them",
		  &a.kinds },
		{ "min-size", 's', OPTION_STRING, "SIZE",
		  "only of ranges at least this large: 4096, 64K, 2M", &a.min_size },
		{ "mapping", 'm', OPTION_STRING, "TEXT", "only where the mapping's name holds TEXT",
		  &a.filter.mapping },
		{ "follow", 'f', OPTION_FLAG, NULL, "watch what it starts, too", &a.follow },
		{ "rows", 'r', OPTION_NUMBER, "N", "rows of each table of the summary, 0 all (10)",
		  &a.out.rows, 0, TABLE_MAX },
		{ "log-size", 0, OPTION_NUMBER, "KIB", "the log in the kernel, a power of two",
		  &a.log_size, 4, 1 << 16 },
		{ "json", 'j', OPTION_FLAG, NULL, "a JSON object a line", &a.out.json },
		{ "output", 'o', OPTION_STRING, "FILE", "write to FILE, not to standard error",
		  &a.output },
		{ "pid", 'p', OPTION_NUMBER, "PID",
		  "a process that runs, until it ends (privileged)", &a.pid, 1, INT_MAX },
		{ NULL },
	};
	const struct option_table table = {
		.synopsis = "[OPTION]... [--] PROGRAM [ARGUMENT]...\n"
			    "       hmm events [OPTION]... --pid PID",
		.summary = "Runs a program and prints what becomes invalid in its address space, "
			   "as the kernel\ntells its own drivers",
		.rows = rows,
		.more = "Kinds: unmap, clear, protect, protect-page, fork, move, soft-dirty, "
			"migrate, exclusive.\n"
			"A running program (--pid) cannot be watched: a log of its memory is "
			"handed "
			"to that\nprogram alone, when it starts.\n"
			"The exit status is the program's; 126 it cannot be executed, 127 there is "
			"none.\n",
		.operands_last = true,
	};
	int status, first = options_parse(&table, argc, argv, &status);

	if (first == OPTIONS_EXIT)
		return status;
	if (a.pid && first < argc)
		return complain(EXIT_INPUT, "--pid or a PROGRAM, not both");
	if (!a.pid && first == argc)
		return complain(EXIT_INPUT, "which PROGRAM?");
	status = understand(&a);
	return status ? status : watch_either(&a, argv + first);
}
