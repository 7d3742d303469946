// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Random sequences of calls, good and bad, against a model of what must be mapped. After every call
 * of the library what it said is compared with the model: errors by the walk rules, entries by the
 * mapping, and that no translation of a page that has changed since is found valid.
 *
 * usage: api_fuzz [--seconds N] [--seed S] [--long] [--provider uffd|bpf|both]
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <hmm/hmm.h>
#include "model.h"

#define NOTIFIERS 16
#define TRANSLATIONS 64

struct notifier {
	struct hmm_interval_notifier *ni;
	unsigned int lo, hi;
};

/* Of one page: what validated use goes by, and the page's version when it was made. */
struct translation {
	struct hmm_interval_notifier *ni;
	uint64_t seq;
	unsigned int page;
	uint64_t version;
};

static struct {
	struct model model;
	struct hmm_mm *mm;
	struct hmm_engine *engine;
	struct notifier notifiers[NOTIFIERS];
	struct translation translations[TRANSLATIONS];
	uint64_t rng, seed, calls, faults, refused, stood;
	uint32_t provider;
} fuzz;

static uint64_t next(void)
{
	uint64_t z = (fuzz.rng += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static unsigned int below(unsigned int n)
{
	return (unsigned int)((next() >> 32) * n >> 32);
}

__attribute__((noreturn, format(printf, 1, 2))) static void bad(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "api_fuzz: call %llu of seed %llu: ", (unsigned long long)fuzz.calls,
		(unsigned long long)fuzz.seed);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

static void expect(int got, int wanted, const char *what)
{
	if (got != wanted)
		bad("%s returned %d, not %d", what, got, wanted);
}

static void pages(unsigned int lo_min, unsigned int hi_max, unsigned int *lo, unsigned int *hi)
{
	*lo = lo_min + below(hi_max - lo_min);
	*hi = *lo + 1 + below(hi_max - *lo);
	if (below(2) && *hi > *lo + 4)
		*hi = *lo + 4;
}

/* ---- the program ----------------------------------------------------------------------------- */

static void change(void)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE,
				     PROT_READ | PROT_WRITE };
	struct model *m = &fuzz.model;
	unsigned int lo, hi;
	int ret = 0;

	pages(0, MODEL_PAGES, &lo, &hi);
	switch (below(8)) {
	case 0:
	case 1:
		ret = model_map(m, lo, hi, below(3) == 0, prots[below(4)]);
		break;
	case 2:
		ret = model_unmap(m, lo, hi);
		break;
	case 3:
		ret = model_protect(m, lo, hi, prots[below(4)]);
		break;
	case 4:
		ret = model_discard(m, lo, hi);
		break;
	case 5:
		ret = model_move(m, lo, below(MODEL_PAGES));
		break;
	default:
		for (; lo < hi; lo++)
			model_store(m, lo, next());
		break;
	}
	if (ret)
		bad("the kernel refused a change: %d", ret);
}

/* ---- notifiers ------------------------------------------------------------------------------- */

static int on_invalidate(struct hmm_interval_notifier *ni, const struct hmm_invalidation *inv,
			 void *priv)
{
	return 0;
}

static const struct hmm_interval_notifier_ops ops = {
	.size = sizeof(ops),
	.invalidate = on_invalidate,
};

static void drop_notifier(struct notifier *n)
{
	unsigned int i;

	for (i = 0; i < TRANSLATIONS; i++)
		if (fuzz.translations[i].ni == n->ni)
			fuzz.translations[i].ni = NULL;
	hmm_interval_notifier_remove(n->ni);
	n->ni = NULL;
}

static void toggle_notifier(void)
{
	struct notifier *n = &fuzz.notifiers[below(NOTIFIERS)];
	struct hmm_interval_notifier *none = NULL;

	if (n->ni) {
		drop_notifier(n);
		return;
	}
	if (below(8) == 0) {
		expect(hmm_interval_notifier_insert(fuzz.mm, 4096, 0, &ops, NULL, &none), -EINVAL,
		       "insert of an empty interval");
		expect(hmm_interval_notifier_insert(fuzz.mm, ~0ULL - 4095, 8192, &ops, NULL, &none),
		       -EINVAL, "insert of a wrapping interval");
		if (none)
			bad("a failed insert wrote its result");
	}
	pages(0, MODEL_PAGES, &n->lo, &n->hi);
	expect(hmm_interval_notifier_insert(fuzz.mm, model_addr(&fuzz.model, n->lo),
					    (n->hi - n->lo) * PAGE, &ops, n, &n->ni),
	       0, "insert");
}

static struct notifier *any_notifier(void)
{
	unsigned int i, at = below(NOTIFIERS);

	for (i = 0; i < NOTIFIERS; i++)
		if (fuzz.notifiers[(at + i) % NOTIFIERS].ni)
			return &fuzz.notifiers[(at + i) % NOTIFIERS];
	return NULL;
}

/* ---- hmm_range_fault ------------------------------------------------------------------------- */

static uint64_t request_of(const struct hmm_range *r, uint64_t input)
{
	return (r->default_flags | (input & r->pfn_flags_mask)) &
	       (HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
}

/* What the walk rules say of a page: 0 or the errno of a walk that stops there. */
static int rule(const struct model_page *p, uint64_t request)
{
	if (!(request & HMM_PFN_REQ_FAULT))
		return 0;
	if (!p->mapped || !(p->prot & PROT_READ))
		return -EFAULT;
	return request & HMM_PFN_REQ_WRITE && !(p->prot & PROT_WRITE) ? -EPERM : 0;
}

static void check_entry(unsigned int i, uint64_t request, uint64_t out)
{
	const struct model_page *p = &fuzz.model.page[i];
	bool readable = p->mapped && p->prot & PROT_READ;

	if (!readable && (out & (HMM_PFN_ERROR | HMM_PFN_VALID)) != HMM_PFN_ERROR)
		bad("page %u is not readable, its entry is %#llx", i, (unsigned long long)out);
	if (readable && out & HMM_PFN_ERROR)
		bad("page %u is readable, its entry is an error", i);
	if (out & HMM_PFN_WRITE && !(out & HMM_PFN_VALID && p->prot & PROT_WRITE))
		bad("page %u is not writable, its entry says so: %#llx", i,
		    (unsigned long long)out);
	if (request & HMM_PFN_REQ_FAULT && !(out & HMM_PFN_VALID))
		bad("page %u was requested and is not there: %#llx", i, (unsigned long long)out);
	if (request & HMM_PFN_REQ_WRITE && request & HMM_PFN_REQ_FAULT && !(out & HMM_PFN_WRITE))
		bad("page %u was requested for writing: %#llx", i, (unsigned long long)out);
	if (out & HMM_PFN_VALID && hmm_pfn_to_addr(out) != model_addr(&fuzz.model, i))
		bad("page %u has the number of another: %#llx", i, (unsigned long long)out);
}

static void remember(const struct notifier *n, const struct hmm_range *r, unsigned int page,
		     uint64_t out)
{
	struct translation *t = &fuzz.translations[below(TRANSLATIONS)];

	if (!(out & HMM_PFN_VALID) || out & HMM_PFN_TRANSIENT)
		return;
	*t = (struct translation){ n->ni, r->notifier_seq, page, fuzz.model.page[page].version };
}

static void fault(void)
{
	static const uint64_t flags[] = { 0, HMM_PFN_REQ_FAULT,
					  HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE };
	uint64_t in[MODEL_PAGES], out[MODEL_PAGES];
	struct notifier *n = any_notifier();
	struct hmm_range r = { .size = sizeof(r), .hmm_pfns = out };
	unsigned int lo, hi, i, stop;
	int wanted = 0, ret;

	if (!n)
		return;
	pages(n->lo, n->hi, &lo, &hi);
	r.notifier = n->ni;
	r.start = model_addr(&fuzz.model, lo);
	r.end = model_addr(&fuzz.model, hi);
	r.default_flags = flags[below(3)];
	r.pfn_flags_mask = below(2) ? HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE : 0;
	r.flags = !r.pfn_flags_mask && below(2) ? HMM_RANGE_FRESH : 0;
	for (i = 0; i < hi - lo; i++)
		in[i] = out[i] = r.flags ? ~0ULL : flags[below(3)];
	for (stop = lo; stop < hi && !wanted; stop += !wanted)
		wanted = rule(&fuzz.model.page[stop], request_of(&r, in[stop - lo]));
	ret = hmm_range_fault(&r, 60000000000ULL);
	fuzz.faults++;
	expect(ret, wanted, "hmm_range_fault");
	if (r.last != model_addr(&fuzz.model, stop))
		bad("stopped at page %lld, not %u", (long long)(r.last - fuzz.model.base) / 4096,
		    stop);
	for (i = lo; i < stop; i++) {
		check_entry(i, request_of(&r, in[i - lo]), out[i - lo]);
		if (!ret)
			remember(n, &r, i, out[i - lo]);
	}
	for (; !r.flags && i < hi; i++)
		if (out[i - lo] != in[i - lo])
			bad("page %u lies above the error and has lost its input", i);
}

static void bad_fault(void)
{
	struct notifier *n = any_notifier();
	uint64_t pfn = 0;
	struct hmm_range r = { .size = sizeof(r), .hmm_pfns = &pfn };

	if (!n)
		return;
	r.notifier = n->ni;
	r.start = model_addr(&fuzz.model, n->lo) + 1 + below(4095);
	r.end = r.start + PAGE;
	expect(hmm_range_fault(&r, 1), -EINVAL, "hmm_range_fault of an unaligned range");
	r.start = r.end = model_addr(&fuzz.model, n->lo);
	expect(hmm_range_fault(&r, 1), -EINVAL, "hmm_range_fault of an empty range");
	r.start = model_addr(&fuzz.model, n->hi);
	r.end = r.start + PAGE;
	expect(hmm_range_fault(&r, 1), -EINVAL, "hmm_range_fault outside its notifier");
}

/* ---- what else is asked ---------------------------------------------------------------------- */

static void check_translations(void)
{
	unsigned int i;

	for (i = 0; i < TRANSLATIONS; i++) {
		struct translation *t = &fuzz.translations[i];

		if (!t->ni)
			continue;
		if (hmm_interval_stale(t->ni, t->seq)) {
			fuzz.refused++;
			continue;
		}
		fuzz.stood++;
		if (t->version != fuzz.model.page[t->page].version)
			bad("a translation of page %u was found valid, the page has changed since",
			    t->page);
	}
}

static void look_up(void)
{
	unsigned int i = below(MODEL_PAGES);
	const struct model_page *p = &fuzz.model.page[i];
	uint64_t addr = model_addr(&fuzz.model, i);
	struct hmm_vma vma;
	int ret = hmm_vma_find(fuzz.mm, addr, &vma);
	bool mapped = !ret && vma.start <= addr;

	if (ret && ret != -ENOENT)
		bad("hmm_vma_find: %d", ret);
	if (mapped != p->mapped)
		bad("page %u: a mapping is %s", i, mapped ? "found, there is none" : "not found");
	if (!mapped)
		return;
	if ((int)vma.prot != p->prot || vma.shared != p->shared ||
	    vma.kind != (p->shared ? HMM_VMA_SHMEM : HMM_VMA_ANON))
		bad("page %u: found prot %u, shared %d, kind %u", i, vma.prot, vma.shared,
		    vma.kind);
}

static void note(void)
{
	unsigned int lo, hi;

	pages(0, MODEL_PAGES, &lo, &hi);
	expect(hmm_mm_note(fuzz.mm, (enum hmm_note)below(4), model_addr(&fuzz.model, lo),
			   model_addr(&fuzz.model, hi)),
	       0, "hmm_mm_note");
	expect(hmm_mm_note(fuzz.mm, (enum hmm_note)77, 0, 1), -EINVAL, "an unknown note");
	expect(hmm_mm_note(fuzz.mm, HMM_NOTE_PROTECT, 4096, 4096), -EINVAL, "a note of nothing");
}

static void section(void)
{
	bool stood = false;

	if (!fuzz.engine)
		expect(hmm_engine_create(fuzz.mm, &fuzz.engine), 0, "hmm_engine_create");
	/* A thief that was slow runs over a thread that has no processor for a second. */
	for (int i = 0; i < 10 && !stood; i++) {
		hmm_engine_enter(fuzz.engine);
		stood = hmm_engine_exit(fuzz.engine);
	}
	/* With a log the section is over if any memory of the program changes. */
	if (!stood && !fuzz.model.exact)
		bad("an empty section did not stand");
	if (below(4) == 0) {
		hmm_engine_destroy(fuzz.engine);
		fuzz.engine = NULL;
	}
}

static void attach(void)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;

	/* Every mixture of missing features must do as well. */
	options.flags = below(2) ? 0 : below(32);
	options.provider = fuzz.provider;
	expect(hmm_mm_attach(&options, &fuzz.mm), 0, "hmm_mm_attach");
}

static void detach(void)
{
	unsigned int i;

	hmm_engine_destroy(fuzz.engine);
	fuzz.engine = NULL;
	for (i = 0; i < NOTIFIERS; i++)
		if (fuzz.notifiers[i].ni && below(2))
			drop_notifier(&fuzz.notifiers[i]);
	hmm_mm_detach(fuzz.mm);
	/* Removing a notifier after its space has gone stays legal and necessary. */
	for (i = 0; i < NOTIFIERS; i++)
		if (fuzz.notifiers[i].ni)
			drop_notifier(&fuzz.notifiers[i]);
}

static void step(void)
{
	unsigned int what = below(100), page;

	fuzz.calls++;
	if (what < 35)
		change();
	else if (what < 65)
		fault();
	else if (what < 75)
		toggle_notifier();
	else if (what < 82)
		look_up();
	else if (what < 86)
		note();
	else if (what < 90)
		section();
	else if (what < 94)
		expect(hmm_mm_barrier(fuzz.mm, 60000000000ULL), 0, "hmm_mm_barrier");
	else if (what < 97)
		bad_fault();
	else
		expect(hmm_mm_check_files(fuzz.mm) < 0, 0, "hmm_mm_check_files failed");
	if (what < 65)
		check_translations();
	if (what < 35 || below(16))
		return;
	page = model_check(&fuzz.model);
	if (page < MODEL_PAGES)
		bad("page %u is not what the program left there", page);
}

/* False: this host does not have the provider. */
static bool take_provider(const char *name)
{
	struct hmm_mm_options options = HMM_MM_OPTIONS_INIT;

	fuzz.provider = !strcmp(name, "bpf")    ? HMM_PROVIDER_BPF
			: !strcmp(name, "both") ? HMM_PROVIDER_BOTH
						: HMM_PROVIDER_UFFD;
	fuzz.model.exact = fuzz.provider != HMM_PROVIDER_UFFD;
	options.provider = fuzz.provider;
	if (hmm_mm_attach(&options, &fuzz.mm))
		return false;
	hmm_mm_detach(fuzz.mm);
	return true;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	const char *provider = "uffd";
	double seconds = 20;
	uint64_t until;
	int i;

	fuzz.seed = (uint64_t)time(NULL);
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			seconds = strtod(argv[++i], NULL);
		else if (!strcmp(argv[i], "--seed") && i + 1 < argc)
			fuzz.seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "--provider") && i + 1 < argc)
			provider = argv[++i];
		else if (!strcmp(argv[i], "--long"))
			seconds = 600;
	}
	printf("api_fuzz: seed %llu\n", (unsigned long long)fuzz.seed);
	fflush(stdout);
	fuzz.rng = fuzz.seed;
	if (model_init(&fuzz.model))
		bad("no memory to work on");
	if (!take_provider(provider)) {
		printf("api_fuzz: this host has no provider '%s'\n", provider);
		return 77;
	}
	until = now_ns() + (uint64_t)(seconds * 1e9);
	while (now_ns() < until) {
		attach();
		for (i = 0; i < 3000 && now_ns() < until; i++)
			step();
		detach();
	}
	model_fini(&fuzz.model);
	printf("api_fuzz: %llu calls, %llu faults; validated uses: %llu stood, %llu refused\n",
	       (unsigned long long)fuzz.calls, (unsigned long long)fuzz.faults,
	       (unsigned long long)fuzz.stood, (unsigned long long)fuzz.refused);
	/* Always refused is no proof. */
	return fuzz.stood && fuzz.refused ? 0 : 1;
}
