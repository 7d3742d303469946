// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * Conditions that ask for CONFIG_ options: of #if, #ifdef and so on, and of an if () in a function.
 * A reference that stands under one is remembered with it.
 */
#include "text/scanner.h"

/* Stages of an if (): */
enum { IF_NONE = 0, IF_WORD, IF_CONDITION, IF_THEN, IF_BLOCK, IF_STATEMENT };

static bool asks(const char *text, size_t len)
{
	const char *end = text + len;

	for (; text < end && (text = memchr(text, 'C', (size_t)(end - text))); text++)
		if (end - text >= 7 && !memcmp(text, "CONFIG_", 7))
			return true;
	return false;
}

/* The guard of the branch B, or (after) of the branches that follow it. */
static uint32_t guard_of(struct blob_scanner *s, const struct branch *b, bool after)
{
	char text[300] = "defined ";

	if (!b->option)
		return b->within;
	if (!b->is_name)
		return facts_guard(&s->facts, b->text, b->len, b->within, after != b->negated);
	if (b->len >= sizeof(text) - 10)
		return b->within;
	memcpy(text + 8, b->text, b->len);
	return facts_guard(&s->facts, text, 8 + b->len, b->within, after != b->negated);
}

static void read_condition(struct branch *b, const struct token *t, const struct lex *expression)
{
	struct lex l = *expression;
	struct token name;

	b->is_name = t->len >= 5 && !memcmp(t->s + t->len - 3, "def", 3);
	b->negated = t->len >= 6 && !memcmp(t->s + t->len - 4, "ndef", 4);
	b->text = expression->p;
	b->len = (size_t)(expression->end - expression->p);
	b->option = asks(b->text, b->len);
	if (b->is_name && lex_next(&l, &name) == T_IDENT) {
		b->text = name.s;
		b->len = name.len;
	}
}

void scan_guard(struct blob_scanner *s, enum directive d, const struct token *t,
		const struct lex *expression)
{
	uint32_t depth = d == DIR_IF ? s->conds : s->conds - 1;
	struct branch *b;

	s->facts.guard = s->guard;
	s->c.if_stage = IF_NONE;
	if (depth >= COND_DEPTH) /* too deep, or there was no #if */
		return;
	b = &s->branches[depth];
	if (d == DIR_IF) {
		*b = (struct branch){ .around = s->guard, .within = s->guard };
		read_condition(b, t, expression);
		s->guard = guard_of(s, b, false);
	} else if (d == DIR_ENDIF) {
		s->guard = b->around;
	} else {
		b->within = guard_of(s, b, true);
		b->option = false;
		if (t->len > 4 || t->s[2] == 'i') /* #elif: an #if within the #else */
			read_condition(b, t, expression);
		s->guard = guard_of(s, b, false);
	}
	s->facts.guard = s->guard;
}

static void condition_token(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	if (t->type == T_IDENT && t->len > 7 && !memcmp(t->s, "CONFIG_", 7))
		c->if_option = true;
	if (t->type == '(')
		c->if_paren++;
	if (t->type != ')' || --c->if_paren)
		return;
	c->if_stage = IF_NONE;
	if (!c->if_option)
		return;
	c->if_guard =
		facts_guard(&s->facts, c->if_text, (size_t)(t->s - c->if_text), s->guard, false);
	c->if_stage = c->if_guard ? IF_THEN : IF_NONE;
}

void scan_if(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;

	switch (c->if_stage) {
	case IF_NONE:
		if (t->type == T_IDENT && t->len == 2 && !memcmp(t->s, "if", 2))
			c->if_stage = IF_WORD;
		break;
	case IF_WORD:
		c->if_stage = t->type == '(' ? IF_CONDITION : IF_NONE;
		c->if_text = s->lex.p;
		c->if_paren = 1;
		c->if_option = false;
		break;
	case IF_CONDITION:
		condition_token(s, t);
		break;
	case IF_THEN:
		c->if_stage = t->type == '{' ? IF_BLOCK : IF_STATEMENT;
		c->if_depth = c->depth;
		c->if_paren = 0;
		s->facts.guard = c->if_guard;
		break;
	}
}

/* The statement under the if () ends at the closing brace, or at a semicolon. */
void scan_if_end(struct blob_scanner *s, const struct token *t)
{
	struct cstate *c = &s->c;
	bool ends = t->type == '}' && c->depth <= c->if_depth;

	if (c->if_stage == IF_STATEMENT) {
		c->if_paren += t->type == '(';
		c->if_paren -= t->type == ')' && c->if_paren;
		ends |= t->type == ';' && !c->if_paren && c->depth <= c->if_depth;
	} else if (c->if_stage != IF_BLOCK) {
		return;
	}
	if (!ends)
		return;
	s->facts.guard = s->guard;
	c->if_stage = IF_NONE;
}
