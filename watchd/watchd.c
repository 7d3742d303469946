// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * hmm-watchd: loads the tracing programs, and gives each process that asks the log of its own
 * address space. protocol.h has what is said; SECURITY.md says who may learn what.
 */
#include "watchd/clock.h"
#include "watchd/listen.h"
#include "watchd/options.h"
#include "watchd/peers.h"
#include "watchd/sandbox.h"
#include "watchd/say.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* Exit statuses, as those of hmm. */
#define CANNOT 3
#define FAILED 4

enum { KEY_LISTENER, KEY_SIGNAL };

struct service {
	struct peers peers;
	int listener;
	int signals;
	bool deaf; /* the listener is not polled: no descriptor was left */
	uint64_t idle_ns;
	uint64_t busy_ns; /* when somebody was connected last */
};

static int add(struct service *s, int fd, uint64_t key)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = key };

	return epoll_ctl(s->peers.epoll, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int take_signals(struct service *s)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return s->signals < 0 ? -errno : add(s, s->signals, KEY_SIGNAL);
}

static void be_deaf(struct service *s, bool deaf)
{
	struct epoll_event event = { .events = deaf ? 0 : EPOLLIN, .data.u64 = KEY_LISTENER };

	if (s->deaf == deaf)
		return;
	s->deaf = deaf;
	epoll_ctl(s->peers.epoll, EPOLL_CTL_MOD, s->listener, &event);
}

/* A few, then those that are connected have their turn. */
static void accept_some(struct service *s)
{
	for (int i = 0; i < 16; i++) {
		const int conn = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (conn >= 0) {
			peers_accept(&s->peers, conn);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			say_seldom(LOG_WARNING, "cannot accept: %s", strerror(errno));
			be_deaf(s, true);
		}
		return;
	}
}

/* False: it is time to end. */
static bool serve_once(struct service *s)
{
	struct epoll_event events[64];
	const int tick_ms = peers_tick(&s->peers);
	const bool may_end = s->idle_ns && !s->peers.n;
	/* The kernel takes tens of ms over a spare log: not while a process waits for a reply. */
	const bool spare = s->peers.wants_spare && !s->peers.talks;
	const int wait_ms = spare ? 0 : s->deaf || may_end ? 1000 : tick_ms;
	const int n = epoll_wait(s->peers.epoll, events, 64, wait_ms);
	bool accepts = false;

	if (!n && spare)
		peers_spare(&s->peers);
	be_deaf(s, false);
	if (s->peers.n || n > 0)
		s->busy_ns = now_ns();
	for (int i = 0; i < n; i++) {
		if (events[i].data.u64 == KEY_SIGNAL)
			return false;
		if (events[i].data.u64 == KEY_LISTENER)
			accepts = true;
		else
			peers_event(&s->peers, events[i].data.u64);
	}
	/* Last: a place that an event of these has freed is not used for another before. */
	if (accepts)
		accept_some(s);
	return !may_end || s->peers.n || now_ns() - s->busy_ns < s->idle_ns;
}

/* ---- begin ----------------------------------------------------------------------------------- */

static const char *words(int err)
{
	switch (err) {
	case -EPERM:
		return "no privilege (CAP_BPF, CAP_PERFMON), or the kernel refuses tracing "
		       "programs";
	case -EOPNOTSUPP:
		return "this kernel has no BTF, or none of the functions that change memory";
	}
	return strerror(-err);
}

static int load(struct service *s, const struct options *options)
{
	const unsigned int flags = options->anchored ? WATCH_LOAD_ANCHORED : 0;
	const struct watch_site *sites;
	size_t n, attached = 0;
	int err = watch_load(flags, &s->peers.loader);

	if (err)
		return err;
	err = peers_try(&s->peers);
	if (err) {
		watch_unload(s->peers.loader);
		s->peers.loader = NULL;
		return err;
	}
	peers_spare(&s->peers);
	n = watch_sites(s->peers.loader, &sites);
	for (size_t i = 0; i < n; i++)
		attached += sites[i].attached;
	say(LOG_INFO, "programs are attached at %zu of %zu functions", attached, n);
	return 0;
}

static int open_listener(const struct options *options)
{
	if (listen_activated())
		return listen_take();
	return listen_at(options->socket);
}

static int complain(const char *what, int err)
{
	say(LOG_ERR, "%s: %s", what, words(err));
	return FAILED;
}

static int begin(struct service *s, const struct options *options)
{
	int err;

	s->listener = open_listener(options);
	if (s->listener < 0)
		return complain(listen_activated() ? "systemd's socket" : options->socket,
				s->listener);
	err = sandbox_drop(options->user);
	if (err)
		return complain("cannot give up privilege", err);
	err = peers_init(&s->peers, &options->limits, options->patience_ms * 1000000);
	if (err)
		return complain("cannot begin", err);
	err = load(s, options);
	listen_ready();
	if (err) {
		complain("cannot load", err);
		if (options->foreground)
			return CANNOT;
		/* else a process that asks is told why, and does not wait for nothing */
		s->peers.load_error = err;
	}
	err = take_signals(s);
	if (!err)
		err = add(s, s->listener, KEY_LISTENER);
	if (err)
		return complain("cannot begin", err);
	err = sandbox_enter();
	if (err)
		return complain("cannot enter the sandbox", err);
	if (s->peers.loader)
		say(LOG_INFO, "ready");
	return 0;
}

int main(int argc, char **argv)
{
	struct service s = { .peers.epoll = -1, .listener = -1, .signals = -1 };
	struct options options;
	int ret = options_parse(argc, argv, &options);

	if (ret >= 0)
		return ret;
	if (!options.foreground && !listen_activated()) {
		fputs("hmm-watchd: neither --foreground, nor started by systemd with a socket\n",
		      stderr);
		return 2;
	}
	s.idle_ns = options.idle_ms * 1000000;
	s.busy_ns = now_ns();
	ret = begin(&s, &options);
	if (!ret) {
		while (serve_once(&s))
			;
	}
	peers_fini(&s.peers);
	if (s.signals >= 0)
		close(s.signals);
	if (s.listener >= 0)
		close(s.listener);
	return ret;
}
