/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
#ifndef MIME_H
#define MIME_H

/* The content of a mail, decoded: values of headers, and the text of its parts. */

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* The raw value of the header NAME ("subject:"), folded lines included; empty when absent. */
struct span mime_header(struct span head, const char *name);
/* A header's value: unfolded, encoded words decoded; malloc()ed, or NULL. */
char *mime_value(struct span v);

/*
 * The text of a mail or of all text parts of it, one after the other; malloc()ed, a NUL behind it.
 * Return: 0 or -ENOMEM.
 */
int mime_text(struct span head, struct span body, char **text, size_t *len);
/* Splits ALL at the first empty line. */
void mime_split(struct span all, struct span *head, struct span *body);

#endif
