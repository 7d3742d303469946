// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "mirror.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* The pump runs this. */
static int invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
		      void *priv)
{
	struct mirror *m = priv;

	hmm_ptable_clear(m->table, inv->start, inv->end);
	return 0;
}

static const struct hmm_interval_notifier_ops ops = { .size = sizeof(ops),
						      .invalidate = invalidate };

int mirror_init(struct mirror *m, struct hmm_mm *mm, struct device *device)
{
	int err;

	m->mm = mm;
	m->device = device;
	m->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	err = hmm_ptable_create(NULL, &m->table);
	if (err)
		return err;
	err = hmm_interval_notifier_insert(mm, 0, UINT64_MAX & ~(m->page_size - 1), &ops, m,
					   &m->notifier);
	if (err)
		hmm_ptable_destroy(m->table);
	return err;
}

void mirror_fini(struct mirror *m)
{
	exclusive_fini(m);
	hmm_interval_notifier_remove(m->notifier);
	hmm_ptable_destroy(m->table);
}

/* What the device read goes to the program's buffer, if all of it could be read. */
static int read_memory(struct mirror *m, struct dmirror_command *cmd, uint64_t timeout)
{
	struct access a;
	int err = access_init(&a, m, cmd->addr, cmd->addr + cmd->npages * m->page_size, PROT_READ);

	if (err)
		return err;
	a.timeout = timeout;
	err = access_run(&a);
	if (!err)
		err = access_give(&a, cmd->ptr);
	cmd->cpages = access_pages(&a);
	cmd->faults = a.faults;
	access_fini(&a);
	return err;
}

static int write_memory(struct mirror *m, struct dmirror_command *cmd)
{
	struct access a;
	int err = access_init(&a, m, cmd->addr, cmd->addr + cmd->npages * m->page_size,
			      PROT_READ | PROT_WRITE);

	if (err)
		return err;
	err = hmm_copy_from_nofault(a.bounce, (void *)(uintptr_t)cmd->ptr, a.end - a.start, NULL);
	if (!err)
		err = access_run(&a);
	cmd->cpages = access_pages(&a);
	cmd->faults = a.faults;
	access_fini(&a);
	return err;
}

int mirror_command(struct mirror *m, unsigned long request, struct dmirror_command *cmd)
{
	/* What was under way when the device was given the job is known to it. */
	int err = hmm_mm_barrier(m->mm, FAULT_NS);

	if (err)
		return err;
	switch (request) {
	case DMIRROR_READ:
		return read_memory(m, cmd, FAULT_NS);
	case DMIRROR_READ_UNLOCKED:
		return read_memory(m, cmd, HMM_FOREVER);
	case DMIRROR_WRITE:
		return write_memory(m, cmd);
	case DMIRROR_MIGRATE_TO_DEV:
		return command_to_device(m, cmd);
	case DMIRROR_MIGRATE_TO_SYS:
		return command_to_system(m, cmd);
	case DMIRROR_RELEASE:
		return device_release(m->device);
	case DMIRROR_EXCLUSIVE:
		return exclusive_take(m, cmd);
	case DMIRROR_CHECK_EXCLUSIVE:
		return exclusive_check(m, cmd);
	case DMIRROR_FLAGS:
		atomic_store(&m->flags, cmd->npages);
		return 0;
	case DMIRROR_SNAPSHOT:
		return snapshot(m, cmd);
	default:
		return -EINVAL;
	}
}
