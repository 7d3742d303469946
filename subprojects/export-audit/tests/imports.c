// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Prints "module symbol" for each undefined symbol of the 64-bit ELF objects named on
 * standard input, one path a line: what modpost found these modules to import.
 */

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int undefined(const char *module, const char *base, size_t size)
{
	const Elf64_Ehdr *eh = (const void *)base;
	const Elf64_Shdr *sh;

	if (size < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) ||
	    eh->e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh->e_shoff + (size_t)eh->e_shnum * sizeof(*sh) > size)
		return -1;
	sh = (const void *)(base + eh->e_shoff);
	for (int i = 0; i < eh->e_shnum; i++) {
		const Elf64_Shdr *strings = &sh[sh[i].sh_link];
		const Elf64_Sym *sym = (const void *)(base + sh[i].sh_offset);

		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		if (sh[i].sh_link >= eh->e_shnum || sh[i].sh_offset + sh[i].sh_size > size ||
		    strings->sh_offset + strings->sh_size > size)
			return -1;
		for (size_t k = 1; k < sh[i].sh_size / sizeof(*sym); k++)
			if (sym[k].st_shndx == SHN_UNDEF && sym[k].st_name &&
			    sym[k].st_name < strings->sh_size)
				printf("%s %s\n", module,
				       base + strings->sh_offset + sym[k].st_name);
	}
	return 0;
}

static int module(char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err = -1;
	char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *dot, *map;
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && st.st_size) {
		map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map != MAP_FAILED) {
			dot = strstr(base, ".ko");
			if (dot)
				*dot = 0;
			err = undefined(base, map, (size_t)st.st_size);
			munmap(map, (size_t)st.st_size);
		}
	}
	if (fd >= 0)
		close(fd);
	return err;
}

int main(void)
{
	char path[4096];
	int bad = 0;

	while (fgets(path, sizeof(path), stdin)) {
		path[strcspn(path, "\n")] = 0;
		if (module(path)) {
			fprintf(stderr, "imports: %s is not a 64-bit ELF object\n", path);
			bad = 1;
		}
	}
	return bad;
}
