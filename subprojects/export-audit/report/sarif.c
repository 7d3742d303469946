// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Findings in the format that code hosts and editors read. */
#include "base/clean.h"
#include "base/complain.h"
#include "report/results.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA                                                                                     \
	"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"                      \
	"sarif-schema-2.1.0.json"

static const struct {
	const char *id, *text;
} rules[] = {
	{ "unconsumed", "An exported symbol has a consumer." },
	{ "own", "A symbol of the library has a consumer, a definition and a declaration." },
	{ "gpl", "A new export is EXPORT_SYMBOL_GPL." },
	{ "consumer", "A new export has a consumer in the series." },
	{ "functionality", "New functionality behind an export has a consumer in the series." },
	{ "needed", "What a module needs stays exported." },
	{ "orphaned", "An export keeps a consumer." },
	{ "stale", "Nothing new comes to a subsystem with an export that is overdue." },
	{ "ack", "A maintainer of the consumer agrees." },
	{ "nack", "No maintainer of the consumer disagrees." },
	{ "overdue", "An export gets a consumer in time." },
};

#define RULES_N (sizeof(rules) / sizeof(*rules))

static struct json_object *text(const char *s)
{
	char clean[4096];

	clean_text(s, clean, sizeof(clean));
	return json_object_new_string(clean);
}

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

/* {KEY: VALUE} */
static struct json_object *one(const char *key, struct json_object *value)
{
	struct json_object *o = json_object_new_object();

	add(o, key, value);
	return o;
}

static struct json_object *list(struct json_object *only)
{
	struct json_object *a = json_object_new_array();

	if (only)
		json_object_array_add(a, only);
	return a;
}

/* A path as a relative reference: bytes that are not plain become %XX. */
static struct json_object *uri(const char *path)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/+@";
	char *out = malloc(strlen(path) * 3 + 1), *o = out;
	struct json_object *s;

	for (const char *p = path; out && *p; p++) {
		if (strchr(plain, *p))
			*o++ = *p;
		else
			o += sprintf(o, "%%%02X", (unsigned char)*p);
	}
	if (out)
		*o = 0;
	s = json_object_new_string(out ? out : path);
	free(out);
	return s;
}

static struct json_object *location(const struct result *r)
{
	struct json_object *place = json_object_new_object(), *o = json_object_new_object(),
			   *file = one("uri", uri(r->file));

	if (*r->file != '/')
		add(file, "uriBaseId", text("SRCROOT"));
	add(place, "artifactLocation", file);
	if (r->line)
		add(place, "region", one("startLine", json_object_new_int64(r->line)));
	if (*r->file)
		add(o, "physicalLocation", place);
	else
		json_object_put(place);
	if (*r->symbol)
		add(o, "logicalLocations", list(one("name", text(r->symbol))));
	return o;
}

static struct json_object *result(const struct result *r, bool baseline)
{
	struct json_object *o = json_object_new_object();
	char *message = NULL, *key = NULL;

	if (asprintf(&message, "%s%s%s", r->symbol, *r->symbol ? ": " : "", r->text) < 0)
		message = NULL;
	if (asprintf(&key, "%s %s", r->rule, r->symbol) < 0)
		key = NULL;
	add(o, "ruleId", text(r->rule));
	for (size_t i = 0; i < RULES_N; i++)
		if (!strcmp(rules[i].id, r->rule))
			add(o, "ruleIndex", json_object_new_int64((int64_t)i));
	add(o, "level", text(r->error ? "error" : "note"));
	add(o, "message", one("text", text(message ? message : r->text)));
	if (*r->file || *r->symbol)
		add(o, "locations", list(location(r)));
	add(o, "partialFingerprints", one("ruleAndSymbol/v1", text(key ? key : r->symbol)));
	if (baseline)
		add(o, "baselineState", text(r->known ? "unchanged" : "new"));
	free(message);
	free(key);
	return o;
}

static struct json_object *driver(void)
{
	struct json_object *o = json_object_new_object(), *all = json_object_new_array();

	for (size_t i = 0; i < RULES_N; i++) {
		struct json_object *rule = one("id", text(rules[i].id));

		add(rule, "shortDescription", one("text", text(rules[i].text)));
		json_object_array_add(all, rule);
	}
	add(o, "name", text("export-audit"));
	add(o, "version", text(EXPORT_AUDIT_VERSION));
	add(o, "rules", all);
	return o;
}

int results_sarif(const struct results *r, const char *name)
{
	struct json_object *log = json_object_new_object(), *run = json_object_new_object(),
			   *results = json_object_new_array();
	bool to_stdout = !strcmp(name, "-");
	FILE *f = to_stdout ? stdout : fopen(name, "we");
	const char *s;
	int err = f ? 0 : -errno;

	for (size_t i = 0; i < r->n; i++)
		json_object_array_add(results, result(&r->v[i], r->compared));
	add(run, "tool", one("driver", driver()));
	add(run, "results", results);
	add(log, "$schema", text(SCHEMA));
	add(log, "version", text("2.1.0"));
	add(log, "runs", list(run));
	s = json_object_to_json_string_ext(log, JSON_C_TO_STRING_PRETTY |
							JSON_C_TO_STRING_NOSLASHESCAPE);
	if (f && (!s || fprintf(f, "%s\n", s) < 0))
		err = -EIO;
	if (f && (to_stdout ? fflush(f) : fclose(f)))
		err = -EIO;
	if (err)
		complain("%s cannot be written: %s", name, strerror(-err));
	json_object_put(log);
	return err;
}
