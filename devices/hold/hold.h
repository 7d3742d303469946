/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * hold: a device whose translations hold their pages. It reads the page that was mapped when the
 * translation was made, whatever is mapped at the address by now. So a stale translation shows as
 * wrong data. It is for the torture and tests.
 *
 * A device, its ranges and pages belong to one thread. Only the invalidate callback runs on another
 * one, and it touches nothing but `installed`.
 */
#ifndef DEVICES_HOLD_HOLD_H
#define DEVICES_HOLD_HOLD_H

#include <stdatomic.h>
#include <hmm/hmm.h>

/**
 * enum hold_method - what keeps the old page
 * @HOLD_PIN: an io_uring registered buffer: a real pin, reads and writes; not for MAP_SHARED files
 * @HOLD_REF: a page reference without a pin (vmsplice into a pipe): read only, any kind. Fork
 *	copies pinned pages early but not referenced ones, so only this method sees a fork
 * @HOLD_ALIAS: a second mapping of the same object: reads and writes; shared memory and files
 */
enum hold_method {
	HOLD_PIN,
	HOLD_REF,
	HOLD_ALIAS,
	HOLD_METHOD_NR,
};

struct hold_device;
struct hold_range;

/* One held translation. */
struct hold_page {
	/* it is in the device's page table, so it may be used inside a section */
	_Atomic bool installed;
	bool held;    /* the page is held, whether the translation is installed or not */
	bool written; /* it was faulted for writing */
	enum hold_method method;
	uint64_t seq;      /* the notifier's sequence when it was committed */
	uint64_t addr;     /* the address it stands for */
	int pipe[2];       /* HOLD_REF; -1 until first used */
	unsigned int slot; /* HOLD_PIN: index in the table of buffers */
	char *alias;       /* HOLD_ALIAS */
};

/*
 * Finds a second mapping of the object that vma maps: returns the address of byte @offset of the
 * object; NULL: unknown. Called between read_begin and read_retry.
 */
typedef char *(*hold_find_alias_fn)(const struct hmm_vma *vma, uint64_t offset, void *arg);

/**
 * hold_device_create() - a device for one thread
 * @mm: the space
 * @max_pins: registered buffers, at most 16384
 * @find_alias: for HOLD_ALIAS; may be NULL
 * Return: 0; -errno. Without io_uring HOLD_PIN answers -EOPNOTSUPP, see hold_device_pins().
 */
int hold_device_create(struct hmm_mm *mm, unsigned int max_pins, hold_find_alias_fn find_alias,
		       void *arg, struct hold_device **dev);
void hold_device_destroy(struct hold_device *dev);
bool hold_device_pins(const struct hold_device *dev);

/* A notifier over n pages, stride bytes apart, and their translations. */
int hold_range_create(struct hold_device *dev, uint64_t start, unsigned int n, uint64_t stride,
		      struct hold_range **range);
void hold_range_destroy(struct hold_range *range);
struct hold_page *hold_range_page(struct hold_range *range, unsigned int i);
struct hmm_interval_notifier *hold_range_notifier(struct hold_range *range);
/* How many callbacks there were, for tests. */
uint64_t hold_range_callbacks(const struct hold_range *range);
/*
 * fn is called at the start of each callback, on the thread that runs it, for tests that hold a
 * point open.
 */
void hold_set_callback_hook(void (*fn)(const struct hmm_invalidation *inv, void *arg), void *arg);

/**
 * hold_fault() - make a translation: fault, take hold of the page, commit
 * @range: its range
 * @i: which page
 * @method: how to hold
 * @write: ask for write permission (what HOLD_PIN always needs)
 * @timeout_ns: as hmm_range_fault()
 * Return: 0 installed; 1 held but TRANSIENT or overtaken by a discard: usable once, hold_drop() it;
 * -EAGAIN collided at commit; -errno of hmm_range_fault() or of the method.
 */
int hold_fault(struct hold_range *range, unsigned int i, enum hold_method method, bool write,
	       uint64_t timeout_ns);

/* Releases the page. Called outside of sections. */
void hold_drop(struct hold_range *range, unsigned int i);

/* Releases the page but keeps the translation in the table, for tests of the table alone. */
void hold_release_page(struct hold_range *range, unsigned int i);

/* Validated use: hmm_interval_stale() for checks == 0, else hmm_range_check(). */
bool hold_valid(struct hold_range *range, unsigned int i, unsigned int checks);

/*
 * Accesses the held page. 0; -EFAULT: the object no longer has that page; -EOPNOTSUPP: the method
 * cannot write.
 */
int hold_read(struct hold_range *range, unsigned int i, unsigned int offset, void *buf,
	      unsigned int len);
int hold_write(struct hold_range *range, unsigned int i, unsigned int offset, const void *buf,
	       unsigned int len);

#endif
