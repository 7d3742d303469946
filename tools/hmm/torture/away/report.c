// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the torture of device memory has seen, as text and as JSON. */
#include <stdio.h>
#include <json-c/json.h>
#include "../../attach.h"
#include "away.h"

typedef unsigned long long ull;

bool away_passed(const struct torture *t)
{
	const struct away *away = &away_state;

	/* What did not happen proves nothing. */
	return !findings_all() && !t->unfinished && !t->interrupted &&
	       (!t->opt.migrate || (away->stats.moved_out && away->stats.faults)) &&
	       (!t->opt.exclusive || atomic_load(&away->transfers));
}

static const char *verdict(const struct torture *t)
{
	if (findings_all())
		return "UNSOUND";
	if (t->interrupted)
		return "interrupted, nothing found so far";
	return away_passed(t) ? "sound" : "too little happened";
}

static void print_ops(const struct away *away)
{
	printf("\n%-24s %8s %12s\n", "what owners do", "times", "not possible");
	for (unsigned int i = 0; i < OWNER_NR; i++)
		printf("%-24s %8llu %12llu\n", owner_op_names[i], (ull)atomic_load(&away->ops[i]),
		       (ull)atomic_load(&away->unsupported[i]));
	printf("\n");
}

static void print_migrations(const struct away *away)
{
	printf("migrations %llu: pages out %llu (%llu in huge ones), home %llu (%llu copied, %llu "
	       "evicted), dropped %llu; touches %llu; all evicted %llu times\n",
	       (ull)atomic_load(&away->migrations), (ull)away->stats.moved_out,
	       (ull)atomic_load(&away->huge), (ull)away->stats.moved_home,
	       (ull)away->stats.copied_home, (ull)away->stats.evicted, (ull)away->stats.dropped,
	       (ull)away->stats.faults, (ull)atomic_load(&away->evictions));
	printf("pages copied in %llu, out %llu; SIGBUS in children %llu\n",
	       (ull)away->stats.copied_in, (ull)away->stats.copied_out,
	       (ull)atomic_load(&away->child_sigbus));
	printf("pages that stayed:");
	for (unsigned int i = 0; i < HMM_MIGRATE_REASON_NR; i++)
		printf(" %s %llu", hmm_migrate_reason_name(i), (ull)atomic_load(&away->left[i]));
	printf("\nwritten on the device %llu; refused %llu, too late %llu\n",
	       (ull)atomic_load(&away->device_uses), (ull)atomic_load(&away->refused),
	       (ull)atomic_load(&away->late));
}

static void print_exclusive(const struct away *away)
{
	printf("exclusive transfers %llu: %llu given back, %llu revoked; not had %llu; counted up "
	       "%llu times\n",
	       (ull)atomic_load(&away->transfers), (ull)atomic_load(&away->given_back),
	       (ull)atomic_load(&away->revoked), (ull)atomic_load(&away->not_had),
	       (ull)atomic_load(&away->increments));
}

void away_report(const struct torture *t)
{
	const struct away *away = &away_state;

	print_ops(away);
	if (t->opt.migrate)
		print_migrations(away);
	if (t->opt.exclusive)
		print_exclusive(away);
	printf("overruns %llu, rounds %llu\n", (ull)atomic_load(&away->overruns), (ull)away->round);
	for (unsigned int i = 0; finding_text(i); i++)
		printf("FOUND %s\n", finding_text(i));
	printf("%s: %llu pages out, %llu home, %llu exclusive transfers, %llu lost, %llu wrong, "
	       "%llu leaks in %.1f s; seed %llu\n",
	       verdict(t), (ull)away->stats.moved_out, (ull)away->stats.moved_home,
	       (ull)atomic_load(&away->transfers), (ull)findings_of(FINDING_LOST),
	       (ull)findings_of(FINDING_WRONG), (ull)findings_of(FINDING_LEAK), t->elapsed,
	       (ull)t->opt.seed);
	if (!findings_all() && t->unfinished)
		printf("the time was over before there were %llu transfers\n", AWAY_TRANSFERS);
}

static void add(struct json_object *o, const char *key, uint64_t v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static struct json_object *json_ops(const struct away *away)
{
	struct json_object *all = json_object_new_object();

	for (unsigned int i = 0; i < OWNER_NR; i++) {
		struct json_object *o = json_object_new_object();

		add(o, "times", atomic_load(&away->ops[i]));
		add(o, "not_possible", atomic_load(&away->unsupported[i]));
		json_object_object_add(all, owner_op_names[i], o);
	}
	return all;
}

static struct json_object *json_migrations(const struct away *away)
{
	struct json_object *o = json_object_new_object();
	struct json_object *left = json_object_new_object();

	add(o, "calls", atomic_load(&away->migrations));
	add(o, "out", away->stats.moved_out);
	add(o, "out_huge", atomic_load(&away->huge));
	add(o, "home", away->stats.moved_home);
	add(o, "copied_home", away->stats.copied_home);
	add(o, "evicted", away->stats.evicted);
	add(o, "dropped", away->stats.dropped);
	add(o, "copied_in", away->stats.copied_in);
	add(o, "copied_out", away->stats.copied_out);
	add(o, "child_sigbus", atomic_load(&away->child_sigbus));
	add(o, "faults", away->stats.faults);
	add(o, "evictions_of_all", atomic_load(&away->evictions));
	add(o, "refused", atomic_load(&away->refused));
	add(o, "device_uses", atomic_load(&away->device_uses));
	for (unsigned int i = 0; i < HMM_MIGRATE_REASON_NR; i++)
		add(left, hmm_migrate_reason_name(i), atomic_load(&away->left[i]));
	json_object_object_add(o, "left", left);
	return o;
}

static struct json_object *json_exclusive(const struct away *away)
{
	struct json_object *o = json_object_new_object();

	add(o, "transfers", atomic_load(&away->transfers));
	add(o, "given_back", atomic_load(&away->given_back));
	add(o, "revoked", atomic_load(&away->revoked));
	add(o, "not_had", atomic_load(&away->not_had));
	add(o, "increments", atomic_load(&away->increments));
	return o;
}

static struct json_object *json_findings(void)
{
	struct json_object *list = json_object_new_array();

	for (unsigned int i = 0; finding_text(i); i++)
		json_object_array_add(list, json_object_new_string(finding_text(i)));
	return list;
}

void away_report_json(const struct torture *t)
{
	const struct away *away = &away_state;
	struct json_object *o = json_object_new_object();

	add(o, "seed", t->opt.seed);
	json_object_object_add(o, "provider",
			       json_object_new_string(provider_name(attach_provider)));
	json_object_object_add(o, "seconds", json_object_new_double(t->elapsed));
	json_object_object_add(o, "mutation",
			       t->opt.mutation ? json_object_new_string(t->opt.mutation) : NULL);
	add(o, "rounds", away->round);
	add(o, "overruns", atomic_load(&away->overruns));
	add(o, "late", atomic_load(&away->late));
	add(o, "stale_accesses", findings_of(FINDING_STALE));
	add(o, "lost_updates", findings_of(FINDING_LOST));
	add(o, "wrong_bytes", findings_of(FINDING_WRONG));
	add(o, "hangs", findings_of(FINDING_HANG));
	add(o, "leaks", findings_of(FINDING_LEAK));
	add(o, "errors", findings_of(FINDING_ERROR));
	json_object_object_add(o, "interrupted", json_object_new_boolean(t->interrupted));
	json_object_object_add(o, "passed", json_object_new_boolean(away_passed(t)));
	json_object_object_add(o, "owners", json_ops(away));
	if (t->opt.migrate)
		json_object_object_add(o, "migrate", json_migrations(away));
	if (t->opt.exclusive)
		json_object_object_add(o, "exclusive", json_exclusive(away));
	json_object_object_add(o, "findings", json_findings());
	printf("%s\n", json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	json_object_put(o);
}
