// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The steps of a scene, their acknowledgements, and the turn. */
#include "scene.h"
#include "torture.h"

#define STEP_TICKS 1000 /* a single device fault may take as long */
#define EVERYBODY ((1U << USERS) - 1)

void scene_init(struct torture *t)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&t->scene.turn, &attr);
	pthread_rwlockattr_destroy(&attr);
	atomic_store(&t->scene.step, STEP_FREE);
}

void scene_exit(struct torture *t)
{
	pthread_rwlock_destroy(&t->scene.turn);
}

void scene_wait_turn(struct torture *t)
{
	pthread_rwlock_rdlock(&t->scene.turn);
}

void scene_end_turn(struct torture *t)
{
	pthread_rwlock_unlock(&t->scene.turn);
}

void scene_begin(struct torture *t, unsigned int slot, unsigned int page)
{
	pthread_rwlock_wrlock(&t->scene.turn);
	atomic_store(&t->scene.slot, slot);
	atomic_store(&t->scene.page, page);
	atomic_store(&t->scene.held, 0);
}

void scene_start(struct torture *t, enum step step)
{
	uint32_t number = (atomic_load(&t->scene.step) >> 8) + 1;

	atomic_store(&t->scene.acks, number << 8);
	atomic_store(&t->scene.step, number << 8 | step);
	bell_ring(&t->bell);
}

bool scene_done(const struct torture *t)
{
	return (atomic_load(&t->scene.acks) & 0xff) == EVERYBODY;
}

bool scene_step(struct torture *t, enum step step)
{
	uint64_t limit = tort_ticks(t) + STEP_TICKS;

	scene_start(t, step);
	for (;;) {
		uint32_t seen = bell_look(&t->bell);

		if (scene_done(t))
			return true;
		if (tort_ticks(t) >= limit || atomic_load(&t->stop))
			return false;
		bell_wait(&t->bell, seen, TICK_NS);
	}
}

void scene_end(struct torture *t)
{
	scene_start(t, STEP_FREE);
	pthread_rwlock_unlock(&t->scene.turn);
}

uint32_t scene_look(const struct torture *t, enum step *step)
{
	uint32_t token = atomic_load(&t->scene.step);

	*step = token & 0xff;
	return token;
}

bool scene_goes_on(const struct torture *t, uint32_t token)
{
	return atomic_load(&t->scene.step) == token && !atomic_load(&t->stop);
}

/* A step that was given up meanwhile is not acknowledged. */
void scene_ack(struct torture *t, uint32_t token, unsigned int user)
{
	uint32_t acks = atomic_load(&t->scene.acks);

	while (acks >> 8 == token >> 8)
		if (atomic_compare_exchange_weak(&t->scene.acks, &acks, acks | 1U << user))
			break;
	bell_ring(&t->bell);
}
