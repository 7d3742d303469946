// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Joining paths. */
#include "kbuild/path.h"

#include <string.h>

void make_path(const char *dir, const char *path, char *out, size_t size)
{
	size_t n = 0, k;
	const char *parts[2] = { *path == '/' ? "" : dir, path };

	*out = 0;
	for (int i = 0; i < 2; i++) {
		for (const char *p = parts[i] + strspn(parts[i], "/"); *p;
		     p += k, p += strspn(p, "/")) {
			k = strcspn(p, "/");
			if (k == 1 && *p == '.')
				continue;
			if (k == 2 && p[0] == '.' && p[1] == '.') {
				while (n && out[n - 1] != '/')
					n--;
				n -= n > 0;
				out[n] = 0;
				continue;
			}
			if (n + k + 2 > size) {
				*out = 0;
				return;
			}
			if (n)
				out[n++] = '/';
			memcpy(out + n, p, k);
			n += k;
			out[n] = 0;
		}
	}
}
