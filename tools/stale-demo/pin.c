// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The table of pins. It is static: some peers register under locks that an allocator takes, too. */
#include <errno.h>
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>
#include "pin.h"

#define SLOT_BITS 12

static struct pin pins[PIN_SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards pins, next, count */
static unsigned int next;
static uint64_t generation;
static uint64_t count;
static const struct pin_device *device;
static _Thread_local uint64_t made;

void (*pin_hook)(void);

void pin_use_device(const struct pin_device *used)
{
	device = used;
}

uint64_t pin_made(void)
{
	return made;
}

uint64_t pin_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

/* As a device reads it: what is not mapped is an error and no fault. */
static int read_tags(uint64_t addr, uint64_t pages, uint64_t *tags)
{
	struct iovec from[PIN_PAGES], to = { tags, pages * sizeof(*tags) };
	ssize_t got;

	for (uint64_t i = 0; i < pages; i++)
		from[i] = (struct iovec){ (void *)(uintptr_t)(addr + i * PAGE_BYTES + TAG_OFFSET),
					  sizeof(*tags) };
	got = process_vm_readv(getpid(), &to, 1, from, pages, 0);
	return got == (ssize_t)to.iov_len ? 0 : -EFAULT;
}

/* A slot that nobody else has, or -ENOBUFS. */
static int take_slot(uint64_t *id)
{
	int slot = -ENOBUFS;

	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < PIN_SLOTS && slot < 0; i++) {
		unsigned int at = (next + i) % PIN_SLOTS;

		if (pins[at].id)
			continue;
		*id = ++generation << SLOT_BITS | at;
		pins[at].id = *id;
		pins[at].pages = 0;
		next = at + 1;
		count++;
		slot = (int)at;
	}
	pthread_mutex_unlock(&lock);
	return slot;
}

static void give_slot(unsigned int slot)
{
	pthread_mutex_lock(&lock);
	pins[slot].id = 0;
	count--;
	pthread_mutex_unlock(&lock);
}

int pin_make(uint64_t addr, uint64_t length, uint64_t *id)
{
	uint64_t first = addr & ~(PAGE_BYTES - 1);
	uint64_t pages = (addr + length - first + PAGE_BYTES - 1) / PAGE_BYTES;
	int slot = take_slot(id), err = slot < 0 ? slot : 0;

	made++;
	if (pages > PIN_PAGES)
		pages = PIN_PAGES;
	if (!err)
		err = read_tags(first, pages, pins[slot].tag);
	if (!err && device)
		err = device->pin((unsigned int)slot, first, pages * PAGE_BYTES);
	if (err && slot >= 0)
		give_slot((unsigned int)slot);
	if (err)
		return err;
	pins[slot].addr = first;
	pins[slot].pages = pages;
	if (pin_hook)
		pin_hook();
	return 0;
}

static struct pin *find(uint64_t id)
{
	struct pin *pin = &pins[id & (PIN_SLOTS - 1)];

	return id && __atomic_load_n(&pin->id, __ATOMIC_ACQUIRE) == id ? pin : NULL;
}

void pin_end(uint64_t id)
{
	struct pin *pin = find(id);

	if (!pin)
		return;
	if (device)
		device->unpin((unsigned int)(pin - pins));
	give_slot((unsigned int)(pin - pins));
}

bool pin_alive(uint64_t id)
{
	return find(id);
}

int pin_words(uint64_t id, uint64_t addr, unsigned int pages, uint64_t *words)
{
	const struct pin *pin = find(id);
	uint64_t first;

	if (!pin || addr < pin->addr)
		return -ENOENT;
	first = (addr - pin->addr) / PAGE_BYTES;
	if (first + pages > pin->pages)
		return -ENOENT;
	for (unsigned int i = 0; i < pages; i++) {
		int ret = 0;

		words[i] = pin->tag[first + i];
		if (device)
			ret = device->read((unsigned int)(pin - pins),
					   (addr & ~(PAGE_BYTES - 1)) + i * PAGE_BYTES, &words[i]);
		if (ret)
			return ret;
	}
	return 0;
}
