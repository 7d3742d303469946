/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/* Short hands over json-c, so that a record reads as a list of its fields. */
#ifndef TOOLS_HMM_JSON_H
#define TOOLS_HMM_JSON_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <json-c/json.h>

static inline void put_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, value ? json_object_new_string(value) : NULL);
}

static inline void put_number(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

static inline void put_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

/* JSON has no infinity nor NaN: null then. */
static inline void put_real(struct json_object *o, const char *key, double value)
{
	json_object_object_add(o, key, isfinite(value) ? json_object_new_double(value) : NULL);
}

/* Bytes that are no UTF-8 become U+FFFD: a name may hold any, JSON may not. */
void put_name(struct json_object *o, const char *key, const char *name);

/* Prints and frees. Returns EXIT_DONE. */
int json_print(struct json_object *o);

#endif
