// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "watchd/peers.h"
#include "watchd/clock.h"
#include "watchd/say.h"
#include "watchd/talk.h"
#include "kernel/abi/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* How often the global page is looked at while anybody is watched. */
#define LOOK_MS 1000
/* The shortest time between two looks at every peer. */
#define SWEEP_NS 1000000000ULL

#define FDS_NONE ((struct watch_fds){ -1, -1, -1, -1 })

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_fds(struct watch_fds *fds)
{
	close_fd(&fds->log);
	close_fd(&fds->space);
	close_fd(&fds->global);
	close_fd(&fds->links);
}

/* ---- begin and end --------------------------------------------------------------------------- */

int peers_init(struct peers *peers, const struct limits *limits, uint64_t patience_ns)
{
	int err = accounts_init(&peers->accounts, limits);

	if (err)
		return err;
	peers->patience_ns = patience_ns;
	peers->peer = calloc(limits->spaces, sizeof(*peers->peer));
	peers->epoll = epoll_create1(EPOLL_CLOEXEC);
	err = !peers->peer ? -ENOMEM : peers->epoll < 0 ? -errno : 0;
	if (err)
		peers_fini(peers);
	return err;
}

static void drop(struct peers *peers, struct peer *peer)
{
	if (peer->has_space)
		watch_close(peers->loader, peer->space);
	close_fds(&peer->fds);
	close_fd(&peer->conn);
	close_fd(&peer->identity.pidfd);
	accounts_leave(&peers->accounts, peer->identity.uid, peer->log_bytes);
	peer->state = PEER_FREE;
	peers->n--;
}

void peers_fini(struct peers *peers)
{
	const size_t n = peers->n;

	for (size_t i = 0; peers->peer && i < peers->accounts.limits.spaces; i++) {
		struct peer *peer = &peers->peer[i];

		if (peer->state == PEER_WATCHED)
			peer->has_space = false;
		if (peer->state != PEER_FREE)
			drop(peers, peer);
	}
	if (peers->global)
		munmap((void *)peers->global, WATCH_PAGE);
	if (peers->loader && !n)
		watch_unload(peers->loader);
	close_fd(&peers->epoll);
	free(peers->peer);
	peers->peer = NULL;
	accounts_fini(&peers->accounts);
}

static uint64_t word_on(const struct peers *peers)
{
	return __atomic_load_n(&peers->global->word, __ATOMIC_ACQUIRE) / WATCH_ON;
}

static int map_global(struct peers *peers, int fd)
{
	void *page = mmap(NULL, WATCH_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page != MAP_FAILED) {
		munmap(page, WATCH_PAGE);
		return -EPERM;
	}
	page = mmap(NULL, WATCH_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	peers->global = page;
	peers->on = word_on(peers);
	return 0;
}

int peers_try(struct peers *peers)
{
	struct watch_fds fds = FDS_NONE;
	uint32_t space;
	int err = watch_open(peers->loader, getpid(), WATCH_LOG_BYTES, &fds, &space);

	if (err)
		return err;
	err = watch_is(peers->loader, getpid(), space) == 1 ? 0 : -ESRCH;
	if (!err)
		err = map_global(peers, fds.global);
	peers->wants_spare = !err;
	watch_close(peers->loader, space);
	close_fds(&fds);
	return err;
}

static uint64_t log_bytes_for(const struct peers *peers, uint64_t asked)
{
	const uint64_t most = peers->accounts.limits.log_bytes;
	uint64_t bytes = asked ? asked : WATCH_LOG_BYTES;

	if (bytes < (uint64_t)getpagesize())
		bytes = (uint64_t)getpagesize();
	return bytes < most ? bytes : most;
}

void peers_spare(struct peers *peers)
{
	peers->wants_spare = false;
	/* Without it a process waits longer; it is told when it asks if there is no memory. */
	watch_spare(peers->loader, log_bytes_for(peers, 0));
}

/* ---- a space --------------------------------------------------------------------------------- */

/*
 * The process may end at any time, and another one get its number. It had not ended after
 * watch_open() if it has not ended now, so what was opened was of this process.
 */
static int open_space(struct peers *peers, struct peer *peer)
{
	int err = watch_open(peers->loader, peer->identity.pid, peer->log_bytes, &peer->fds,
			     &peer->space);

	if (err)
		return err == -ETOOMANYREFS ? -ENOSPC : err;
	peer->has_space = true;
	peers->wants_spare = true;
	return identity_lives(&peer->identity) ? 0 : -ESRCH;
}

/* Has the process, which is alive, still the space that is watched? */
static bool has_space_yet(const struct peers *peers, const struct peer *peer)
{
	return watch_is(peers->loader, peer->identity.pid, peer->space) == 1 &&
	       identity_lives(&peer->identity);
}

/*
 * A space that ends takes itself off the kernel's table. That program may have been skipped, as the
 * global word says then; and what a process left behind counts against its user.
 */
static void sweep(struct peers *peers)
{
	peers->swept_ns = now_ns();
	for (size_t i = 0; i < peers->accounts.limits.spaces; i++) {
		struct peer *peer = &peers->peer[i];

		if (peer->state == PEER_WATCHED && !has_space_yet(peers, peer))
			drop(peers, peer);
	}
}

static int enter(struct peers *peers, uid_t uid)
{
	int err = accounts_enter(&peers->accounts, uid);

	if (err && now_ns() - peers->swept_ns > SWEEP_NS) {
		sweep(peers);
		err = accounts_enter(&peers->accounts, uid);
	}
	return err;
}

/* ---- the conversation ------------------------------------------------------------------------ */

static int on_hello(struct peers *peers, struct peer *peer, const struct heard *heard)
{
	const struct watchd_hello *hello = &heard->message.hello;
	const uint64_t asked = hello->log_bytes;
	const int version = talk_version(heard);
	uint64_t bytes;
	int err;

	if (version < 0)
		return version;
	peer->version = (unsigned int)version;
	if (heard->sender != peer->identity.pid)
		return -EACCES;
	if (hello->flags || (asked & (asked - 1)))
		return -EINVAL;
	if (!peers->loader)
		return peers->load_error;
	bytes = log_bytes_for(peers, asked);
	err = accounts_take(&peers->accounts, peer->identity.uid, bytes);
	if (err)
		return err;
	peer->log_bytes = bytes;
	err = open_space(peers, peer);
	if (err)
		return err;
	if (getrandom(peer->nonce, sizeof(peer->nonce), 0) != sizeof(peer->nonce))
		return -EIO;
	peer->state = PEER_MINE;
	return talk_challenge(peer->conn, peer->version, peer->nonce);
}

static int on_mine(struct peers *peers, struct peer *peer, const struct heard *heard)
{
	const struct watchd_mine *mine = &heard->message.mine;
	int err;

	if (heard->size < sizeof(*mine) || mine->head.magic != WATCHD_MAGIC ||
	    mine->head.type != WATCHD_MINE || mine->head.version != peer->version)
		return -EINVAL;
	if (heard->sender != peer->identity.pid || !heard->had_fd ||
	    memcmp(mine->nonce, peer->nonce, sizeof(peer->nonce)) || !has_space_yet(peers, peer))
		return -EACCES;
	peer->state = PEER_WATCHED;
	err = talk_give(peer->conn, peer->version, peers->loader, &peer->fds, peer->log_bytes);
	close_fds(&peer->fds);
	return err;
}

static void say_refusal(const struct identity *identity, int error)
{
	say_seldom(LOG_INFO, "process %d of user %u: %s", (int)identity->pid,
		   (unsigned int)identity->uid, strerror(-error));
}

static void refuse(struct peers *peers, struct peer *peer, int error)
{
	if (error != -ECONNRESET) {
		say_refusal(&peer->identity, error);
		talk_refuse(peer->conn, peer->version, error);
	}
	drop(peers, peer);
}

static void on_message(struct peers *peers, struct peer *peer)
{
	struct heard heard;
	int err = talk_hear(peer->conn, &heard);

	if (err == -EAGAIN)
		return;
	if (!err && peer->state == PEER_HELLO)
		err = on_hello(peers, peer, &heard);
	else if (!err && peer->state == PEER_MINE)
		err = on_mine(peers, peer, &heard);
	else if (!err)
		err = -ECONNRESET; /* a peer that is watched says nothing */
	if (err)
		refuse(peers, peer, err);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Of a peer's connection, and of its process. The caller has other keys below it. */
static uint64_t key_of(const struct peers *peers, const struct peer *peer, bool process)
{
	return PEERS_KEY + 2 * (uint64_t)(peer - peers->peer) + process;
}

static int listen_to(struct peers *peers, struct peer *peer)
{
	struct epoll_event conn = { .events = EPOLLIN, .data.u64 = key_of(peers, peer, false) };
	struct epoll_event process = { .events = EPOLLIN, .data.u64 = key_of(peers, peer, true) };

	if (epoll_ctl(peers->epoll, EPOLL_CTL_ADD, peer->conn, &conn) ||
	    epoll_ctl(peers->epoll, EPOLL_CTL_ADD, peer->identity.pidfd, &process))
		return -errno;
	return 0;
}

static struct peer *find_free(struct peers *peers)
{
	struct peer *peer = peers->peer;

	while (peer->state != PEER_FREE)
		peer++;
	return peer;
}

/* What can be said before there is a place: all is in order, and the user has entered. */
static int greet(struct peers *peers, int conn, struct identity *identity)
{
	int err = identity_of(conn, identity);

	if (!err)
		err = enter(peers, identity->uid);
	if (err)
		return err;
	err = identity_pin(conn, identity);
	if (!err)
		err = talk_prepare(conn);
	if (err) {
		accounts_leave(&peers->accounts, identity->uid, 0);
		close_fd(&identity->pidfd);
	}
	return err;
}

void peers_accept(struct peers *peers, int conn)
{
	struct identity identity = { .pidfd = -1 };
	struct peer *peer;
	int err = greet(peers, conn, &identity);

	if (err) {
		say_refusal(&identity, err);
		talk_refuse(conn, WATCHD_VERSION_MAX, err);
		close(conn);
		return;
	}
	/* There is one: each has entered. */
	peer = find_free(peers);
	*peer = (struct peer){ .state = PEER_HELLO,
			       .conn = conn,
			       .identity = identity,
			       .deadline_ns = now_ns() + peers->patience_ns,
			       .version = WATCHD_VERSION_MAX,
			       .fds = FDS_NONE };
	peers->n++;
	err = listen_to(peers, peer);
	if (err)
		refuse(peers, peer, err);
}

void peers_event(struct peers *peers, uint64_t key)
{
	struct peer *peer = &peers->peer[(key - PEERS_KEY) / 2];
	const bool process = (key - PEERS_KEY) % 2;

	/* It may have been dropped by an event that came with this one. */
	if (peer->state == PEER_FREE)
		return;
	if (process)
		drop(peers, peer);
	else
		on_message(peers, peer);
}

int peers_tick(struct peers *peers)
{
	const uint64_t now = now_ns();
	uint64_t next = now + LOOK_MS * 1000000ULL;

	peers->talks = false;
	for (size_t i = 0; i < peers->accounts.limits.spaces; i++) {
		struct peer *peer = &peers->peer[i];

		if (peer->state != PEER_HELLO && peer->state != PEER_MINE)
			continue;
		if (peer->deadline_ns <= now) {
			refuse(peers, peer, -ETIME);
			continue;
		}
		peers->talks = true;
		if (peer->deadline_ns < next)
			next = peer->deadline_ns;
	}
	if (!peers->n)
		return -1;
	if (peers->global && word_on(peers) != peers->on) {
		peers->on = word_on(peers);
		sweep(peers);
	}
	return (int)((next - now) / 1000000) + 1;
}
