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
#include "pump/kick.h"
#include "provider/log.h"
#include "provider/provider.h"
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

static int from_plug_in(struct log **log)
{
	const struct watch_site *sites = NULL;
	struct watch_fds fds;
	size_t n = 0;
	int err = plug_in_open(WATCH_LOG_BYTES, &fds, &sites, &n);

	if (!err)
		err = log_map(&fds, -1, WATCH_LOG_BYTES, log);
	if (err)
		return err;
	(*log)->sites = sites;
	(*log)->n_sites = n;
	return 0;
}

/*
 * own: this process may load the programs itself, if it can. Then it is told why it could not, and
 * not that there is no service, which it does not need.
 */
static int find_log(bool own, struct log **log)
{
	int err;

	if (log_of_test)
		return log_new(log_of_test, log);
	err = log_ask(WATCH_LOG_BYTES, log);
	return err && own && plug_in_may_load() ? from_plug_in(log) : err;
}

/* The log counts only if it tells of what it must. */
static int open_log(struct hmm_mm *mm, bool own)
{
	int err = find_log(own, &mm->log);

	if (err)
		return err;
	mm->drain = log_drain;
	mm->wake = pump_kick;
	if (log_of_test || log_untried_of_test)
		selftest_assume(mm);
	else
		err = selftest(mm);
	if (err) {
		log_free(mm->log);
		mm->log = NULL;
	}
	return err;
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
		log_free(mm->log);
		mm->log = NULL;
	}
	return err;
}

void provider_close(struct hmm_mm *mm)
{
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
