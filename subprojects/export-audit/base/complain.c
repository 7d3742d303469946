// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Error messages. */
#include "base/complain.h"

#include <stdarg.h>
#include <stdio.h>

int complain(const char *format, ...)
{
	va_list ap;

	fputs("export-audit: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_BROKEN;
}
