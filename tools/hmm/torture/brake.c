// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include "brake.h"
#include "torture.h"

#define SPIN_NS 300000
#define REST_NS 50000
#define LIMIT_NS 50000000

static void *brake_main(void *arg)
{
	struct brake *brake = arg;
	uint64_t limit = tort_now_ns() + LIMIT_NS, until;

	window_not_pump("brake");
	while (!atomic_load(&brake->done) && tort_now_ns() < limit) {
		until = tort_now_ns() + SPIN_NS;
		while (!atomic_load(&brake->done) && tort_now_ns() < until)
			;
		tort_pause(REST_NS);
	}
	return NULL;
}

void brake_pull(struct brake *brake)
{
	struct sched_param param = { .sched_priority = 1 };
	pthread_attr_t attr;
	cpu_set_t here;

	memset(brake, 0, sizeof(*brake));
	if (geteuid() || sched_getaffinity(0, sizeof(brake->before), &brake->before))
		return;
	CPU_ZERO(&here);
	CPU_SET((unsigned int)sched_getcpu(), &here);
	if (sched_setaffinity(0, sizeof(here), &here))
		return;
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(here), &here);
	pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
	pthread_attr_setschedparam(&attr, &param);
	brake->on = !pthread_create(&brake->thread, &attr, brake_main, brake);
	pthread_attr_destroy(&attr);
	if (!brake->on)
		sched_setaffinity(0, sizeof(brake->before), &brake->before);
}

void brake_release(struct brake *brake)
{
	if (!brake->on)
		return;
	atomic_store(&brake->done, true);
	pthread_join(brake->thread, NULL);
	sched_setaffinity(0, sizeof(brake->before), &brake->before);
}
