// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "patch/section.h"
#include "base/span.h"
#include "patch/hunk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool section_starts(const char *s, const char *end)
{
	const char *next;

	if (span_starts(s, end, "diff --git "))
		return true;
	if (!span_starts(s, end, "--- "))
		return false;
	next = span_line_end(s, end);
	return span_starts(next, end, "+++ ") && hunk_starts(span_line_end(next, end), end);
}

static int octal(const char **s)
{
	int c = 0;

	for (int i = 0; i < 3 && **s >= '0' && **s <= '7'; i++)
		c = c * 8 + *(*s)++ - '0';
	return c;
}

/* A name in quotes, as git writes it where it has bytes of its own; malloc()ed, or NULL. */
static char *unquote(const char **s, const char *end)
{
	static const char from[] = "abtnvfr", to[] = "\a\b\t\n\v\f\r";
	char *out = malloc((size_t)(end - *s) + 1), *o = out;
	const char *p = *s + 1;

	while (out && p < end && *p != '"') {
		const char *known;

		if (*p != '\\' || p + 1 == end) {
			*o++ = *p++;
			continue;
		}
		p++;
		known = strchr(from, *p);
		if (*p >= '0' && *p <= '7')
			*o++ = (char)octal(&p);
		else
			*o++ = *p && known ? to[known - from] : *p, p++;
	}
	if (out)
		*o = 0;
	*s = p < end ? p + 1 : end;
	return out;
}

/* The name that a line is about, up to a tab or the end of the line; malloc()ed, or NULL. */
static char *name(const char *s, const char *end)
{
	size_t n = 0;

	if (*s == '"')
		return unquote(&s, end);
	while (s + n < end && !strchr("\t\r\n", s[n]))
		n++;
	return strndup(s, n);
}

/* Without the first folder, "a/" or "b/". */
static char *below(char *path)
{
	char *slash = path ? strchr(path, '/') : NULL;

	if (slash)
		memmove(path, slash + 1, strlen(slash));
	return path;
}

/* NULL without an error when the file is not there. */
static int set(char **path, char *value, bool strip)
{
	free(*path);
	*path = value;
	if (!value)
		return -ENOMEM;
	if (!strcmp(value, "/dev/null")) {
		free(value);
		*path = NULL;
	} else if (strip) {
		below(value);
	}
	return 0;
}

/* "diff --git a/x b/x": the name, where it is the same twice and no other line says it. */
static int names_of_first_line(const char *s, const char *end, struct section *out)
{
	const char *stop = span_line_end(s, end), *middle;
	int err;

	s += 11;
	if (*s == '"') {
		err = set(&out->old_path, unquote(&s, stop), true);
		return err || s == stop ? err : set(&out->new_path, name(s + 1, stop), true);
	}
	while (stop > s && strchr("\r\n", stop[-1]))
		stop--;
	middle = s + (stop - s) / 2;
	if (stop - s < 3 || *middle != ' ')
		return 0; /* two names, so that lines below say them */
	err = set(&out->old_path, strndup(s, (size_t)(middle - s)), true);
	return err ? err
		   : set(&out->new_path, strndup(middle + 1, (size_t)(stop - middle - 1)), true);
}

static bool value_of(const char **v, const char *s, const char *end, const char *key)
{
	*v = s + strlen(key);
	return span_starts(s, end, key);
}

static uint32_t mode_of(const char *s)
{
	return (uint32_t)strtoul(s, NULL, 8);
}

/* One line of the extended header.  Return: 1; 0: it is none; -ENOMEM. */
static int extended(const char *s, const char *end, struct section *out, bool *is_new,
		    bool *is_gone)
{
	const char *v;

	if (value_of(&v, s, end, "old mode "))
		out->old_mode = mode_of(v);
	else if (value_of(&v, s, end, "new mode "))
		out->new_mode = mode_of(v);
	else if (value_of(&v, s, end, "new file mode "))
		*is_new = (out->new_mode = mode_of(v));
	else if (value_of(&v, s, end, "deleted file mode "))
		*is_gone = (out->old_mode = mode_of(v));
	else if (value_of(&v, s, end, "rename from "))
		return set(&out->old_path, name(v, end), false) ? -ENOMEM : 1;
	else if (value_of(&v, s, end, "rename to "))
		return set(&out->new_path, name(v, end), false) ? -ENOMEM : 1;
	else if (value_of(&v, s, end, "copy from "))
		return set(&out->old_path, name(v, end), false) ? -ENOMEM : 1;
	else if (value_of(&v, s, end, "copy to "))
		return (out->copied = true, set(&out->new_path, name(v, end), false)) ? -ENOMEM : 1;
	else if (span_starts(s, end, "GIT binary patch") || span_starts(s, end, "Binary files "))
		out->binary = true;
	else
		return span_starts(s, end, "index ") || span_starts(s, end, "similarity index ") ||
		       span_starts(s, end, "dissimilarity index ");
	return 1;
}

/* The two lines before the hunks. */
static int plain_names(const char **s, const char *end, struct section *out)
{
	const char *next = span_line_end(*s, end);
	int err;

	if (!span_starts(*s, end, "--- "))
		return 0;
	if (!span_starts(next, end, "+++ ") || !hunk_starts(span_line_end(next, end), end))
		return -EINVAL;
	err = set(&out->old_path, name(*s + 4, end), true);
	if (!err)
		err = set(&out->new_path, name(next + 4, end), true);
	out->hunks = *s = span_line_end(next, end);
	return err;
}

static void drop(char **path)
{
	free(*path);
	*path = NULL;
}

int section_read(const char *s, const char *end, struct section *out)
{
	bool is_new = false, is_gone = false, is_git = span_starts(s, end, "diff --git ");
	int err = 0;

	*out = (struct section){ .start = s };
	if (is_git) {
		err = names_of_first_line(s, end, out);
		s = span_line_end(s, end);
	}
	while (!err && is_git && s < end && !out->binary) {
		int more = extended(s, end, out, &is_new, &is_gone);

		if (more <= 0) {
			err = more;
			break;
		}
		s = span_line_end(s, end);
	}
	if (!err && !out->binary)
		err = plain_names(&s, end, out);
	if (is_new)
		drop(&out->old_path);
	if (is_gone)
		drop(&out->new_path);
	out->end = s;
	if (!err && !out->old_path && !out->new_path)
		err = -EINVAL;
	if (err)
		section_free(out);
	return err;
}

void section_free(struct section *s)
{
	drop(&s->old_path);
	drop(&s->new_path);
}
