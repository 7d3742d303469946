// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* A libucp of a version that cannot be served. It is preloaded behind libhmm-ucx.so. */
void ucp_get_version(unsigned int *major, unsigned int *minor, unsigned int *release);
void ucp_get_version(unsigned int *major, unsigned int *minor, unsigned int *release)
{
	*major = 1;
	*minor = 99;
	*release = 0;
}
