// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Where messages go. A thread that prints a message takes no lock, as a thread that holds it may be
 * blocked: there are two sinks, one of them current, and a count of the threads in each. A thread
 * that sets another function fills in the sink that is not used, makes it the current one, and
 * waits until the count of the old one is zero:
 *
 *	says					sets
 *	running[i]++				current = other
 *	current still i? else i anew		running[i]? waits
 *
 * At least one of the two sees the other.
 */
#include "base/log.h"
#include "base/deadline.h"
#include "base/epoch.h"
#include "base/nocancel.h"
#include "base/number.h"
#include "base/ownfd.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef void say_fn(enum hmm_log_level level, const char *message, void *arg);

static struct sink {
	say_fn *fn; /* NULL: standard error */
	void *arg;
	_Atomic uint32_t running;
} sinks[2];

static _Atomic uint32_t current; /* index of the sink in use */
static struct ownfd standard_error = { .fd = -1 };
static _Thread_local bool saying __attribute__((tls_model("initial-exec")));

/* ---- lines -------------------------------------------------------------------------------- */

void text_add(struct text *t, const char *s)
{
	for (; *s && t->n < sizeof(t->s) - 1; s++)
		t->s[t->n++] = *s;
	t->s[t->n] = 0;
}

static void add_number(struct text *t, uint64_t number, unsigned int base)
{
	char digits[24];

	*put_number(digits, number, base) = 0;
	text_add(t, digits);
}

void text_decimal(struct text *t, uint64_t number)
{
	add_number(t, number, 10);
}

void text_hex(struct text *t, uint64_t number)
{
	text_add(t, "0x");
	add_number(t, number, 16);
}

/* ---- sinks -------------------------------------------------------------------------------- */

/*
 * What descriptor 2 was at the first attachment. If it is another file by now we do not write to
 * it.
 */
void log_init(void)
{
	struct stat st;

	if (standard_error.fd < 0 && !fstat(2, &st))
		standard_error = (struct ownfd){ .fd = 2, .dev = st.st_dev, .ino = st.st_ino };
}

/*
 * Writes the line in one call, so that lines of several threads do not mix. syscall() is no point
 * of cancellation.
 */
static void say_stderr(const char *message)
{
	struct text t = { 0 };

	if (!ownfd_is_ours(&standard_error))
		return;
	text_add(&t, "libhmm: ");
	text_add(&t, message);
	if (t.n == sizeof(t.s) - 1)
		t.n--;
	t.s[t.n++] = '\n';
	syscall(SYS_write, 2, t.s, t.n);
}

static struct sink *sink_get(void)
{
	for (;;) {
		const uint32_t i = atomic_load(&current);

		atomic_fetch_add(&sinks[i].running, 1);
		if (atomic_load(&current) == i)
			return &sinks[i];
		atomic_fetch_sub(&sinks[i].running, 1);
	}
}

void log_say(enum hmm_log_level level, const char *message)
{
	HMM_NO_CANCEL;
	const int saved = errno;
	struct sink *sink;

	if (saying)
		return;
	sink = sink_get();
	saying = true;
	if (sink->fn)
		sink->fn(level, message, sink->arg);
	else
		say_stderr(message);
	saying = false;
	atomic_fetch_sub(&sink->running, 1);
	errno = saved;
}

bool log_is_saying(void)
{
	return saying;
}

void log_forked(void)
{
	atomic_store(&sinks[0].running, 0);
	atomic_store(&sinks[1].running, 0);
	saying = false;
}

int hmm_log_set(void (*fn)(enum hmm_log_level level, const char *message, void *arg), void *arg)
{
	HMM_NO_CANCEL;
	static struct epoch_lock lock;
	uint32_t was;

	if (saying)
		return -EDEADLK;
	epoch_look();
	epoch_lock(&lock);
	was = atomic_load(&current);
	sinks[!was].fn = fn;
	sinks[!was].arg = arg;
	atomic_store(&current, !was);
	for (unsigned int n = 0; atomic_load(&sinks[was].running); n++)
		deadline_pause(n);
	epoch_unlock(&lock);
	return 0;
}
