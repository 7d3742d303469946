// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <errno.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <string.h>
#include <unistd.h>
#include "model.h"

/* Far below where the kernel maps by itself: holes stay holes. */
#define BASE 0x140000000000ULL

int model_init(struct model *m)
{
	memset(m, 0, sizeof(*m));
	m->base = BASE;
	m->fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (m->fd < 0 || ftruncate(m->fd, MODEL_PAGES * (off_t)PAGE))
		return -errno;
	return 0;
}

void model_fini(struct model *m)
{
	munmap((void *)m->base, MODEL_PAGES * PAGE);
	close(m->fd);
}

uint64_t model_addr(const struct model *m, unsigned int i)
{
	return m->base + i * PAGE;
}

static void changed(struct model *m, unsigned int i)
{
	m->page[i].version = ++m->clock;
}

int model_map(struct model *m, unsigned int lo, unsigned int hi, bool shared, int prot)
{
	int flags = MAP_FIXED | (shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS);
	unsigned int i;

	if (mmap((void *)model_addr(m, lo), (hi - lo) * PAGE, prot, flags, shared ? m->fd : -1,
		 shared ? (off_t)(lo * PAGE) : 0) == MAP_FAILED)
		return -errno;
	for (i = lo; i < hi; i++) {
		m->page[i].mapped = true;
		m->page[i].shared = shared;
		m->page[i].prot = prot;
		m->page[i].content = shared ? m->in_file[i] : 0;
		changed(m, i);
	}
	return 0;
}

int model_unmap(struct model *m, unsigned int lo, unsigned int hi)
{
	unsigned int i;

	if (munmap((void *)model_addr(m, lo), (hi - lo) * PAGE))
		return -errno;
	for (i = lo; i < hi; i++) {
		m->page[i].mapped = false;
		changed(m, i);
	}
	return 0;
}

int model_protect(struct model *m, unsigned int lo, unsigned int hi, int prot)
{
	unsigned int i;

	for (i = lo; i < hi; i++)
		if (!m->page[i].mapped)
			return 0;
	if (mprotect((void *)model_addr(m, lo), (hi - lo) * PAGE, prot))
		return -errno;
	/* Where nothing tells of it the fuzzer does not either. */
	for (i = lo; i < hi; i++) {
		if (m->exact && m->page[i].prot & ~prot)
			changed(m, i);
		m->page[i].prot = prot;
	}
	return 0;
}

int model_discard(struct model *m, unsigned int lo, unsigned int hi)
{
	unsigned int i;

	for (i = lo; i < hi; i++)
		if (!m->page[i].mapped)
			return 0;
	if (madvise((void *)model_addr(m, lo), (hi - lo) * PAGE, MADV_DONTNEED))
		return -errno;
	for (i = lo; i < hi; i++) {
		if (!m->page[i].shared)
			m->page[i].content = 0;
		changed(m, i);
	}
	return 0;
}

/*
 * One page, onto whatever is there. A shared page takes its place in the file along: only anonymous
 * ones.
 */
int model_move(struct model *m, unsigned int from, unsigned int to)
{
	if (from == to || !m->page[from].mapped || m->page[from].shared)
		return 0;
	if (mremap((void *)model_addr(m, from), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (void *)model_addr(m, to)) == MAP_FAILED)
		return -errno;
	m->page[to] = m->page[from];
	m->page[from].mapped = false;
	changed(m, from);
	changed(m, to);
	return 0;
}

void model_store(struct model *m, unsigned int i, uint64_t word)
{
	if (!m->page[i].mapped || !(m->page[i].prot & PROT_WRITE))
		return;
	*(volatile uint64_t *)model_addr(m, i) = word;
	m->page[i].content = word;
	if (m->page[i].shared)
		m->in_file[i] = word;
}

unsigned int model_check(const struct model *m)
{
	unsigned int i;

	for (i = 0; i < MODEL_PAGES; i++) {
		uint64_t word = 0;
		struct iovec to = { &word, sizeof(word) };
		struct iovec from = { (void *)model_addr(m, i), sizeof(word) };
		bool there = process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(word);
		bool expected = m->page[i].mapped && m->page[i].prot & PROT_READ;

		if (there != expected || (there && word != m->page[i].content))
			return i;
	}
	return MODEL_PAGES;
}
