// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "attach.h"
#include "command.h"
#include "log.h"
#include "suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum hmm_provider attach_provider;

static const char *const names[] = {
	[HMM_PROVIDER_AUTO] = "auto",
	[HMM_PROVIDER_UFFD] = "uffd",
	[HMM_PROVIDER_BPF] = "bpf",
	[HMM_PROVIDER_BOTH] = "both",
};

#define N_NAMES (sizeof(names) / sizeof(names[0]))

const char *provider_name(uint32_t provider)
{
	return provider < N_NAMES ? names[provider] : "unknown";
}

bool provider_parse(const char *name, enum hmm_provider *provider)
{
	struct suggestion near = suggest(name);
	char text[64];

	for (size_t i = 0; i < N_NAMES; i++) {
		if (!strcmp(names[i], name)) {
			*provider = (enum hmm_provider)i;
			return true;
		}
		suggest_one(&near, names[i]);
	}
	complain(EXIT_INPUT, "no provider '%s'%s; there are auto, uffd, bpf and both", name,
		 did_you_mean(text, &near, ""));
	return false;
}

int space_attach(struct hmm_mm **mm)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;

	options.provider = attach_provider;
	return hmm_mm_attach(&options, mm);
}

const char *log_words(int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		return "hmm-watchd does not run; start it (hmm-watchd(8))";
	case -EACCES:
		return "this user may not ask hmm-watchd: see the permissions of its socket";
	case -EPERM:
		return "the kernel refuses tracing programs (lockdown, a container, a policy)";
	case -ELIBACC:
		return "hmm-watchd does not run, and libhmm-watch.so, by which this process could "
		       "load the programs, is not installed or lacks libbpf";
	case -EOPNOTSUPP:
		return "this kernel has no BTF, or no tracing programs";
	case -EPROTONOSUPPORT:
		return "hmm-watchd is of another version; install that of this library";
	case -EBUSY:
		return "this process has as many logs as an address space may have";
	case -EDQUOT:
		return "this user has as many logs as hmm-watchd gives to one";
	case -ENOSPC:
		return "hmm-watchd has given away all the logs that it may";
	case -ETIME:
		return "hmm-watchd does not answer";
	}
	return strerror(-error);
}

bool log_refused(void)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;
	struct hmm_mm *mm;
	int err;

	options.provider = HMM_PROVIDER_BPF;
	log_quiet(true);
	err = hmm_mm_attach(&options, &mm);
	log_quiet(false);
	if (!err)
		hmm_mm_detach(mm);
	return err == -EOPNOTSUPP && log_said();
}

/* Does an error come from the log, which was asked for? */
static bool wants_log(void)
{
	const char *asked = getenv("LIBHMM_PROVIDER");

	if (attach_provider != HMM_PROVIDER_AUTO)
		return attach_provider != HMM_PROVIDER_UFFD;
	return asked && (!strcmp(asked, "bpf") || !strcmp(asked, "both"));
}

const char *attach_words(int error)
{
	if (error == -EOPNOTSUPP && wants_log())
		return log_said() ? log_said() : "no log of the kernel's changes can be had";
	switch (error) {
	case -EPERM:
		return "no permission to use userfaultfd (see vm.unprivileged_userfaultfd, "
		       "/dev/userfaultfd, or the container's seccomp profile)";
	case -ENOSYS:
		return "this kernel has no userfaultfd, or a seccomp profile denies it";
	case -EOPNOTSUPP:
		if (access("/proc/self/maps", F_OK))
			return "/proc is not mounted here, or hidden";
		return "this kernel is too old: its userfaultfd does not report unmaps, "
		       "moves and discards";
	}
	return NULL;
}

int complain_attach(int error)
{
	const char *words = attach_words(error);

	/* The library has said why. */
	if (error == -EOPNOTSUPP && wants_log())
		return EXIT_HOST;
	if (words)
		return complain(EXIT_HOST, "%s", words);
	return complain(EXIT_HOST, "cannot attach to the address space: %s", strerror(-error));
}
