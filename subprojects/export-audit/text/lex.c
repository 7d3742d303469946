// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* The tokeniser. Most of the time of a scan is spent here (measured). */
#include "text/lex.h"
#include "base/hash.h"

enum { C_OTHER, C_BLANK, C_NEWLINE, C_LETTER, C_DIGIT, C_QUOTE, C_SLASH, C_PUNCT };

static const uint8_t class[256] = {
	[' '] = C_BLANK,         ['\t'] = C_BLANK,         ['\r'] = C_BLANK,
	['\f'] = C_BLANK,        ['\v'] = C_BLANK,         ['\n'] = C_NEWLINE,
	['0' ... '9'] = C_DIGIT, ['a' ... 'z'] = C_LETTER, ['A' ... 'Z'] = C_LETTER,
	['_'] = C_LETTER,        ['"'] = C_QUOTE,          ['\''] = C_QUOTE,
	['/'] = C_SLASH,         ['.'] = C_PUNCT,          ['-'] = C_PUNCT,
	['#'] = C_PUNCT,         ['\\'] = C_PUNCT,         ['@'] = C_PUNCT,
	['!'] = C_PUNCT,         ['|'] = C_PUNCT,
};

static inline bool is_name(char c)
{
	uint8_t k = class[(uint8_t)c];

	return k == C_LETTER || k == C_DIGIT;
}

void lex_skip_to(struct lex *l, const char *to)
{
	const char *nl;

	while (l->p < to && (nl = memchr(l->p, '\n', (size_t)(to - l->p)))) {
		l->line++;
		l->bol = true;
		l->p = nl + 1;
	}
	l->p = to;
}

static void skip_line(struct lex *l)
{
	const char *nl = memchr(l->p, '\n', (size_t)(l->end - l->p));

	l->p = nl ? nl : l->end;
}

/* Where a comment begins or ends. Slashes are rarer than asterisks. */
static const char *comment_open(const char *p, const char *end)
{
	for (; p < end && (p = memchr(p, '/', (size_t)(end - p))); p++)
		if (p + 1 < end && p[1] == '*')
			return p;
	return NULL;
}

static const char *comment_close(const char *p, const char *end)
{
	for (p++; p < end && (p = memchr(p, '/', (size_t)(end - p))); p++)
		if (p[-1] == '*')
			return p - 1;
	return NULL;
}

const char *lex_line_end(const struct lex *l)
{
	const char *p = l->p;

	while (p < l->end) {
		const char *nl = memchr(p, '\n', (size_t)(l->end - p));
		const char *end = nl ? nl : l->end;
		const char *open = comment_open(p, end);
		const char *last = end;

		if (open) {
			const char *close = comment_close(open + 2, l->end);

			if (!close)
				return l->end;
			if (close > end || memchr(close, '"', (size_t)(end - close)) ||
			    comment_open(close, end)) {
				p = close + 2;
				continue;
			}
		}
		if (!nl)
			return l->end;
		if (last > p && last[-1] == '\r')
			last--;
		if (last == p || last[-1] != '\\')
			return nl;
		p = nl + 1;
	}
	return l->end;
}

static bool string_token(struct lex *l, struct token *t)
{
	const char *p = l->p + 1;
	char quote = *l->p;

	while (p < l->end && *p != quote && *p != '\n') {
		if (*p == '\\' && p + 1 < l->end) {
			l->line += p[1] == '\n';
			p++;
		}
		p++;
	}
	if (quote == '\'' && (p >= l->end || *p != quote || (l->is_rust && p - l->p > 12)))
		return false; /* an apostrophe or a lifetime */
	t->type = quote == '"' ? T_STRING : T_CHAR;
	t->s = l->p + 1;
	t->len = (size_t)((p < l->end ? p : l->end) - t->s);
	l->p = p < l->end && *p == quote ? p + 1 : p < l->end ? p : l->end;
	return true;
}

static bool comment(struct lex *l)
{
	const char *close;

	if (l->p + 1 >= l->end)
		return false;
	if (l->p[1] == '/') {
		skip_line(l);
		return true;
	}
	if (l->p[1] != '*')
		return false;
	close = comment_close(l->p + 2, l->end);
	lex_skip_to(l, close ? close + 2 : l->end);
	return true;
}

/* '#', '@', '!' and '|' with blanks around them start a comment in one assembler or another. */
static bool asm_comment(struct lex *l)
{
	bool blank_after = l->p + 1 >= l->end || class[(uint8_t)l->p[1]] <= C_NEWLINE;

	if (!l->is_asm || l->in_body || !blank_after)
		return false;
	skip_line(l);
	return true;
}

static int punctuation(struct lex *l, struct token *t)
{
	size_t left = (size_t)(l->end - l->p);
	char c = *l->p;

	t->s = l->p;
	t->len = 1;
	t->type = (uint8_t)c;
	if (c == '-' && left > 1 && l->p[1] == '>') {
		t->type = T_ARROW;
		t->len = 2;
	} else if (c == '.' && left > 2 && l->p[1] == '.' && l->p[2] == '.') {
		t->type = T_DOTS;
		t->len = 3;
	} else if (c == '#' && left > 1 && l->p[1] == '#') {
		t->type = T_PASTE;
		t->len = 2;
	}
	l->p += t->len;
	return t->type;
}

static int name_token(struct lex *l, struct token *t, int type)
{
	const char *p = l->p;

	if (type == T_NUMBER)
		while (p < l->end && (is_name(*p) || *p == '.'))
			p++;
	else
		while (p < l->end && is_name(*p))
			p++;
	t->s = l->p;
	t->len = (size_t)(p - l->p);
	t->hash = hash_bytes(t->s, t->len);
	t->type = type;
	l->p = p;
	return type;
}

int lex_next(struct lex *l, struct token *t)
{
	while (l->p < l->end) {
		char c = *l->p;

		switch (class[(uint8_t)c]) {
		case C_BLANK:
			l->p++;
			continue;
		case C_NEWLINE:
			l->p++;
			l->line++;
			l->bol = true;
			continue;
		case C_LETTER:
			l->bol = false;
			return name_token(l, t, T_IDENT);
		case C_DIGIT:
			l->bol = false;
			return name_token(l, t, T_NUMBER);
		case C_QUOTE:
			l->bol = false;
			if (string_token(l, t))
				return t->type;
			break;
		case C_SLASH:
			if (comment(l))
				continue;
			break;
		default:
			if (c == '#' && l->bol && !l->in_body && !l->is_rust) {
				t->s = l->p++;
				l->bol = false;
				return t->type = T_DIRECTIVE;
			}
			if (c == '\\' ||
			    ((c == '#' || c == '@' || c == '!' || c == '|') && asm_comment(l))) {
				l->p += c == '\\';
				continue;
			}
		}
		l->bol = false;
		return punctuation(l, t);
	}
	return t->type = T_EOF;
}
