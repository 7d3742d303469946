// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Whether a file is linked into another object than the one that exports a symbol. */
#include "graph/outside.h"
#include "kbuild/built.h"

static bool unit_among(struct resolver *r, const struct symbol *s, uint32_t unit, bool definers_too)
{
	for (uint32_t i = 0; i < VEC_N(&s->ties, struct tie); i++) {
		struct tie t = VEC_AT(&s->ties, struct tie, i);
		const uint32_t *units;
		uint32_t n;

		if (t.bond == BOND_SHADOWS || (t.bond == BOND_DEFINES && !definers_too))
			continue;
		n = kbuild_units(r->kbuild, t.file, &units);
		for (uint32_t k = 0; k < n; k++)
			if (units[k] == unit)
				return true;
	}
	return false;
}

/* Is it exported only by files that do not define it? Then the definers are the module. */
static bool listed_elsewhere(const struct symbol *s)
{
	uint32_t n = VEC_N(&s->ties, struct tie);

	for (uint32_t i = 0; i < n; i++) {
		struct tie x = VEC_AT(&s->ties, struct tie, i);

		for (uint32_t k = 0; x.bond == BOND_EXPORTS && k < n; k++)
			if (VEC_AT(&s->ties, struct tie, k).bond == BOND_DEFINES &&
			    VEC_AT(&s->ties, struct tie, k).file == x.file)
				return false;
	}
	return true;
}

void pass_over(struct symbol *s, uint32_t file, enum pass why)
{
	if (why <= s->passed_for)
		return;
	s->passed = file;
	s->passed_for = (uint8_t)why;
}

/* What keeps the file from being linked with what exports the symbol. */
static enum pass barrier(const struct resolver *r, const struct symbol *s, uint32_t file)
{
	uint32_t how = built_how(r->built, file);

	if (!(built_arches(r->built, file) & s->arches))
		return PASS_ARCH;
	if (!(how & (BUILT_IN | BUILT_MODULE)))
		return how & BUILT_PROGRAM ? PASS_PROGRAM : PASS_UNBUILT;
	if (s->variant == VARIANT_FOR_MODULES && !built_allowed(r->built, file, s->ns))
		return PASS_MODULES;
	return PASS_NONE;
}

/* Is the file linked into another object than the one that exports the symbol? */
static bool apart(struct resolver *r, struct symbol *s, uint32_t file)
{
	const uint32_t *units;
	uint32_t n;

	if (!r->is_tu[file])
		return false;
	for (uint32_t i = 0; i < VEC_N(&s->ties, struct tie); i++)
		if (VEC_AT(&s->ties, struct tie, i).file == file)
			return false;
	n = kbuild_units(r->kbuild, file, &units);
	for (uint32_t k = 0; k < n; k++)
		if (!unit_among(r, s, units[k], listed_elsewhere(s)))
			return true;
	s->own_module = true;
	return false;
}

bool outside(struct resolver *r, struct symbol *s, uint32_t file)
{
	return apart(r, s, file) && barrier(r, s, file) == PASS_NONE;
}

bool consumes(struct resolver *r, struct symbol *s, uint32_t file)
{
	enum pass why;

	if (!apart(r, s, file))
		return false;
	why = barrier(r, s, file);
	if (why == PASS_NONE)
		s->modular |= (built_how(r->built, file) & BUILT_MODULE) != 0;
	else
		pass_over(s, file, why);
	return why == PASS_NONE;
}
