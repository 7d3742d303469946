// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The provider, and the log beside it or in its place. A log comes from hmm-watchd, which loads the
 * kernel's programs once for everybody, or from programs that this process loads itself
 * (plug_in.h).
 */
#include "mm/choose.h"
#include "mm/plug_in.h"
#include "mm/selftest.h"
#include "notifier/drain.h"
#include "provider/anchor.h"
#include "provider/log.h"
#include "provider/provider.h"
#include "provider/watchd.h"
#include "watchd/loader.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked for ----------------------------------------------------------------------- */

static int asked(const struct hmm_mm *mm, enum hmm_provider *want)
{
	static const char *const names[] = { [HMM_PROVIDER_UFFD] = "uffd",
					     [HMM_PROVIDER_BPF] = "bpf",
					     [HMM_PROVIDER_BOTH] = "both" };
	const char *name = secure_getenv("LIBHMM_PROVIDER");

	*want = (enum hmm_provider)mm->options.provider;
	if (*want != HMM_PROVIDER_AUTO || !name || !*name)
		return 0;
	for (int i = HMM_PROVIDER_UFFD; i <= HMM_PROVIDER_BOTH; i++) {
		if (!strcmp(name, names[i])) {
			*want = (enum hmm_provider)i;
			return 0;
		}
	}
	log_say(HMM_LOG_ERROR, "LIBHMM_PROVIDER is none of uffd, bpf and both.");
	return -EINVAL;
}

/* ---- where the log comes from ---------------------------------------------------------------- */

static int from_plug_in(unsigned int flags, struct log **log)
{
	const struct watch_site *sites = NULL;
	struct watch_fds fds;
	size_t n = 0;
	int err = plug_in_open(flags, WATCH_LOG_BYTES, &fds, &sites, &n);

	if (!err)
		err = log_map(&fds, -1, WATCH_LOG_BYTES, log);
	if (err)
		return err;
	(*log)->sites = sites;
	(*log)->n_sites = n;
	return 0;
}

/* An anchored space needs the fewest programs. */
static int from_own(const struct hmm_mm *mm, bool functions, struct log **log)
{
	int err;

	if (functions)
		return from_plug_in(WATCH_LOAD_FUNCTIONS, log);
	err = mm->anchor_error ? -ENODATA : from_plug_in(WATCH_LOAD_ANCHORED, log);
	return err == -ENODATA || err == -EOPNOTSUPP ? from_plug_in(0, log) : err;
}

/*
 * own: this process may load the programs itself, if it can. Then it is told why it could not, and
 * not that there is no service, which it does not need. functions: as for log_ask().
 */
static int find_log(const struct hmm_mm *mm, bool own, bool functions, struct log **log)
{
	int err;

	if (log_of_test)
		return log_new(log_of_test, log);
	err = log_ask(WATCH_LOG_BYTES, functions, log);
	return err && own && plug_in_may_load() ? from_own(mm, functions, log) : err;
}

/* The log counts only if it tells of what it must. */
static int try_log(struct hmm_mm *mm, bool own, bool functions)
{
	int err = find_log(mm, own, functions, &mm->log);

	if (err)
		return err;
	mm->drain = log_drain;
	if (log_of_test || log_untried_of_test)
		selftest_assume(mm);
	else
		err = selftest(mm);
	return err;
}

static void drop_log(struct hmm_mm *mm)
{
	log_free(mm->log);
	mm->log = NULL;
}

/* For a log that can be had, the space gets a notifier of the kernel's before it is watched. */
static int make_anchor(struct hmm_mm *mm, bool own)
{
	if (!(mm->options.flags & HMM_MM_ANCHOR) && !anchor_is_wanted())
		return -ECANCELED;
	if (log_of_test || (!watchd_listens(watchd_path()) && !(own && plug_in_may_load())))
		return -ENOENT;
	return anchor_make(&mm->anchor);
}

static int open_log(struct hmm_mm *mm, bool own)
{
	int err;

	mm->anchor_error = make_anchor(mm, own);
	err = try_log(mm, own, mm->anchor_error == -ECANCELED);
	/* A kernel that does not call notifiers as those known do. */
	if (err && mm->log && mm->log->anchored) {
		drop_log(mm);
		mm->anchor_error = -EOPNOTSUPP;
		err = try_log(mm, own, true);
	}
	if (err) {
		drop_log(mm);
		ownfd_close(&mm->anchor);
		return err;
	}
	if (mm->log->anchored)
		mm->anchor_error = 0;
	else if (!mm->anchor_error)
		mm->anchor_error = -EOPNOTSUPP;
	return 0;
}

#define NOT_RUNNING                                                                                \
	"hmm-watchd does not run: start it, or give this process CAP_BPF and CAP_PERFMON"

/* Why, and the way out. */
static const struct {
	int err;
	const char *why;
} reasons[] = {
	{ -ENOENT, NOT_RUNNING },
	{ -ECONNREFUSED, NOT_RUNNING },
	{ -EACCES, "this user may not ask hmm-watchd: see the permissions of its socket" },
	{ -ELIBACC, "hmm-watchd does not run, and libhmm-watch.so, by which this process could "
		    "load the programs, is not installed or lacks libbpf: start the one, or "
		    "install the other" },
	{ -EPERM, "the kernel refuses tracing programs (lockdown, a container, a policy): take the "
		  "provider uffd" },
	{ -EOPNOTSUPP, "this kernel does not tell of everything (no BTF, or functions that cannot "
		       "be traced): take the provider uffd" },
	{ -EBUSY, "this process has as many logs as an address space may have: detach a space, or "
		  "take the provider uffd" },
	{ -EDQUOT, "hmm-watchd gives this user no more: end other programs, or raise its limits" },
	{ -ENOSPC, "hmm-watchd has given away all that it may: end other programs, or raise its "
		   "limits" },
	{ -EPROTONOSUPPORT, "hmm-watchd is of another version: install that of this library" },
	{ -ETIME, "hmm-watchd does not answer: restart it" },
};

static void say_why(int err)
{
	struct text t = { 0 };
	const char *why = NULL;

	for (size_t i = 0; !why && i < sizeof(reasons) / sizeof(reasons[0]); i++)
		why = reasons[i].err == err ? reasons[i].why : NULL;
	text_add(&t, "no log of the kernel's: ");
	if (why) {
		text_add(&t, why);
	} else {
		text_add(&t, "error ");
		text_decimal(&t, (uint64_t)-err);
	}
	text_add(&t, ".");
	log_say(HMM_LOG_ERROR, t.s);
}

int provider_choose(struct hmm_mm *mm)
{
	enum hmm_provider want;
	int err = asked(mm, &want);

	if (err)
		return err;
	if (want != HMM_PROVIDER_UFFD)
		mm->provider_error = open_log(mm, want != HMM_PROVIDER_AUTO);
	if (mm->provider_error && want != HMM_PROVIDER_AUTO) {
		say_why(mm->provider_error);
		return -EOPNOTSUPP;
	}
	if (want == HMM_PROVIDER_BPF)
		provider_bpf_open(&mm->provider);
	else
		err = provider_uffd_open(&mm->options, &mm->provider);
	if (err && mm->log) {
		drop_log(mm);
		ownfd_close(&mm->anchor);
	}
	return err;
}

void provider_close(struct hmm_mm *mm)
{
	ownfd_close(&mm->anchor);
	mm->provider.ops->close(&mm->provider);
	if (mm->log)
		log_close(mm->log);
}

enum hmm_provider provider_chosen(const struct hmm_mm *mm)
{
	if (!mm->log)
		return HMM_PROVIDER_UFFD;
	return mm_registers(mm) ? HMM_PROVIDER_BOTH : HMM_PROVIDER_BPF;
}
