// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* uring-copy: options, files, the closing line. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "copy.h"

enum { EXIT_DONE, EXIT_INPUT = 2, EXIT_HOST };

static const char usage[] =
	"Usage: uring-copy [OPTION]... FROM TO\n"
	"       uring-copy --bench [--json]\n"
	"Copies a file through io_uring with fixed buffers that libhmm keeps true.\n\n"
	"  -m, --mode MODE    cache (buffers stay registered), register (for each block), plain\n"
	"  -b, --block BYTES  4096 to 1073741824, a multiple of 4096 (1048576)\n"
	"  -d, --depth N      blocks on their way, 1 to 1024 (8)\n"
	"  -f, --fresh        a new mapping for each block, unmapped when it is written\n"
	"  -j, --json         one JSON object; with --bench an array\n"
	"      --bench        what a registration costs, kept and not kept\n"
	"  -h, --help         this text\n";

static int complain(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int complain(int status, const char *format, ...)
{
	va_list ap;

	fputs("uring-copy: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && end != text && !*end && *text != '-' && *value >= min && *value <= max;
}

static bool mode_named(const char *name, enum copy_mode *mode)
{
	static const char *const names[] = { "cache", "register", "plain" };

	for (int i = 0; i < 3; i++)
		if (!strcmp(names[i], name)) {
			*mode = (enum copy_mode)i;
			return true;
		}
	return false;
}

static int open_files(struct copy *copy, const char *from, const char *to)
{
	struct stat in, out;

	copy->from = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (copy->from < 0 || fstat(copy->from, &in))
		return complain(EXIT_INPUT, "cannot read '%s': %s", from, strerror(errno));
	if (!S_ISREG(in.st_mode))
		return complain(EXIT_INPUT, "'%s' is not a file", from);
	if (!stat(to, &out) && out.st_dev == in.st_dev && out.st_ino == in.st_ino)
		return complain(EXIT_INPUT, "'%s' and '%s' are the same file", from, to);
	copy->to = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (copy->to < 0)
		return complain(EXIT_INPUT, "cannot write '%s': %s", to, strerror(errno));
	copy->size = (uint64_t)in.st_size;
	return 0;
}

static int say(int error)
{
	switch (error) {
	case -ENOSYS:
	case -EPERM:
		return complain(
			EXIT_HOST,
			"no permission to use io_uring or userfaultfd, or this kernel has none");
	case -EOPNOTSUPP:
	case -EINVAL:
		return complain(EXIT_HOST, "this kernel is too old: its io_uring or userfaultfd "
					   "lacks what fixed buffers need");
	}
	return complain(EXIT_HOST, "the copy failed: %s", strerror(-error));
}

static void report(const struct copy *c, bool json)
{
	double rate = c->seconds > 0 ? (double)c->bytes / c->seconds : 0;

	if (json)
		printf("{ \"bytes\": %" PRIu64 ", \"seconds\": %.6f, \"bytes_per_s\": %.0f, "
		       "\"fixed\": %" PRIu64 ", \"plain\": %" PRIu64 ", \"hits\": %" PRIu64
		       ", \"misses\": %" PRIu64 ", \"dead\": %" PRIu64 ", \"evicted\": %" PRIu64
		       " }\n",
		       c->bytes, c->seconds, rate, c->fixed, c->plain, c->cache.hits,
		       c->cache.misses, c->cache.dead, c->cache.evicted);
	else
		printf("%" PRIu64 " bytes in %.3f s, %.0f MB/s; %" PRIu64
		       " operations with fixed buffers, %" PRIu64 " without; %" PRIu64
		       " hits, %" PRIu64 " registrations, %" PRIu64
		       " of them gone with their memory\n",
		       c->bytes, c->seconds, rate / 1e6, c->fixed, c->plain, c->cache.hits,
		       c->cache.misses, c->cache.dead);
}

static int copy_files(struct copy *copy, const char *from, const char *to, bool json)
{
	int status = open_files(copy, from, to), ret;

	if (status)
		return status;
	ret = copy_run(copy);
	if (!ret && close(copy->to))
		ret = -errno;
	if (ret)
		return say(ret);
	report(copy, json);
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "mode", 1, NULL, 'm' },  { "block", 1, NULL, 'b' }, { "depth", 1, NULL, 'd' },
		{ "fresh", 0, NULL, 'f' }, { "json", 0, NULL, 'j' },  { "bench", 0, NULL, 'B' },
		{ "help", 0, NULL, 'h' },  { NULL, 0, NULL, 0 },
	};
	struct copy copy = {
		.mode = MODE_CACHE, .block = 1 << 20, .depth = 8, .from = -1, .to = -1
	};
	bool json = false, bench = false;
	uint64_t value = 8;
	int o;

	opterr = 0;
	while ((o = getopt_long(argc, argv, ":m:b:d:fjh", longs, NULL)) != -1) {
		if (o == 'm' && !mode_named(optarg, &copy.mode))
			return complain(EXIT_INPUT, "no mode '%s': cache, register or plain",
					optarg);
		if (o == 'b' && (!number(optarg, 4096, 1 << 30, &copy.block) || copy.block % 4096))
			return complain(EXIT_INPUT, "'%s' is no block size; see --help", optarg);
		if (o == 'd' && !number(optarg, 1, 1024, &value))
			return complain(EXIT_INPUT, "'%s' is no depth; see --help", optarg);
		if (o == 'h')
			return fputs(usage, stdout) == EOF ? EXIT_HOST : EXIT_DONE;
		if (o == ':')
			return complain(EXIT_INPUT, "%s needs a value", argv[optind - 1]);
		if (o == '?')
			return complain(EXIT_INPUT, "no option '%s'; see --help", argv[optind - 1]);
		copy.fresh |= o == 'f';
		json |= o == 'j';
		bench |= o == 'B';
	}
	copy.depth = (unsigned int)value;
	if (bench)
		return optind == argc ? measure(json)
				      : complain(EXIT_INPUT, "--bench takes no '%s'", argv[optind]);
	if (argc - optind != 2)
		return complain(EXIT_INPUT, "FROM and TO, please; see --help");
	return copy_files(&copy, argv[optind], argv[optind + 1], json);
}
