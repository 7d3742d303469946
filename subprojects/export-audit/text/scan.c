// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Scans one file, of any kind. */
#include "text/scan.h"
#include "text/scanner.h"

#include <errno.h>

#define SIZE_LIMIT (256u << 20)

int blob_scanner_new(struct blob_scanner **out)
{
	struct blob_scanner *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	keywords_init();
	err = facts_init(&s->facts);
	if (err) {
		blob_scanner_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void blob_scanner_free(struct blob_scanner *s)
{
	if (!s)
		return;
	facts_fini(&s->facts);
	free(s);
}

int blob_scan(struct blob_scanner *s, enum blob_kind kind, const void *data, size_t len,
	      struct blob **out)
{
	if (kind == BLOB_SKIP)
		return -EINVAL;
	if (len > SIZE_LIMIT)
		return -EFBIG;
	facts_reset(&s->facts);
	s->kind = kind;
	s->conds = s->guard = 0;
	memset(&s->c, 0, sizeof(s->c));
	s->lex = (struct lex){
		.p = data, .end = (const char *)data + len, .start = data, .line = 1, .bol = true
	};
	if (kind == BLOB_C || kind == BLOB_HEADER)
		scan_c(s);
	else if (kind == BLOB_ASM)
		scan_asm(s);
	else if (kind == BLOB_RUST)
		scan_rust(s);
	else
		s->facts.text_str = facts_str(&s->facts, data, len < (1u << 20) ? len : 1u << 20);
	return facts_block(&s->facts, kind, s->lex.line, out);
}
