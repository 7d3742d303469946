/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Attaching, with the provider that --provider names. */
#ifndef TOOLS_HMM_ATTACH_H
#define TOOLS_HMM_ATTACH_H

#include <hmm/mm.h>

/* HMM_PROVIDER_AUTO unless the option says otherwise. */
extern enum hmm_provider attach_provider;

/* A row for the options of commands that attach. */
#define PROVIDER_ROW                                                                               \
	{                                                                                          \
		.name = "provider", .letter = 'p', .kind = OPTION_PROVIDER, .argument = "NAME",    \
		.help = "what shows changes: auto, uffd, bpf or both (auto)",                      \
		.value = &attach_provider,                                                         \
	}

/* "uffd" */
const char *provider_name(uint32_t provider);
/* False and a complaint: there is none of this name. */
bool provider_parse(const char *name, enum hmm_provider *provider);

/* hmm_mm_attach() with that. */
int space_attach(struct hmm_mm **mm);

/* Why an address space could not be attached, in words; NULL: no others than strerror()'s. */
const char *attach_words(int error);
/* The same as a complaint. Returns the exit status. */
int complain_attach(int error);

/* Why the log of the kernel's changes cannot be had: struct hmm_mm_info's provider_error. */
const char *log_words(int error);
/*
 * This process may load the programs itself, and HMM_PROVIDER_AUTO does not. True: it cannot, and
 * log_said() is why.
 */
bool log_refused(void);

#endif
