// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Keywords of C, and names that the scanner treats as such, looked up by hash. */
#include "base/hash.h"
#include "text/lex.h"

#include <pthread.h>

static const struct {
	const char *name;
	enum keyword keyword;
} words[] = {
	{ "static", KW_STATIC },
	{ "extern", KW_EXTERN },
	{ "typedef", KW_TYPEDEF },
	{ "inline", KW_INLINE },
	{ "__inline", KW_INLINE },
	{ "__inline__", KW_INLINE },
	{ "__always_inline", KW_INLINE },
	{ "const", KW_QUALIFIER },
	{ "volatile", KW_QUALIFIER },
	{ "register", KW_QUALIFIER },
	{ "__const", KW_QUALIFIER },
	{ "__volatile__", KW_QUALIFIER },
	{ "struct", KW_AGGREGATE },
	{ "union", KW_AGGREGATE },
	{ "enum", KW_AGGREGATE },
	{ "void", KW_TYPE },
	{ "char", KW_TYPE },
	{ "short", KW_TYPE },
	{ "int", KW_TYPE },
	{ "long", KW_TYPE },
	{ "signed", KW_TYPE },
	{ "unsigned", KW_TYPE },
	{ "float", KW_TYPE },
	{ "double", KW_TYPE },
	{ "_Bool", KW_TYPE },
	{ "bool", KW_TYPE },
	{ "u8", KW_TYPE },
	{ "u16", KW_TYPE },
	{ "u32", KW_TYPE },
	{ "u64", KW_TYPE },
	{ "return", KW_CONTROL },
	{ "else", KW_CONTROL },
	{ "if", KW_CONTROL },
	{ "for", KW_CONTROL },
	{ "while", KW_CONTROL },
	{ "do", KW_CONTROL },
	{ "switch", KW_CONTROL },
	{ "case", KW_CONTROL },
	{ "default", KW_CONTROL },
	{ "break", KW_CONTROL },
	{ "continue", KW_CONTROL },
	{ "sizeof", KW_CONTROL },
	{ "goto", KW_GOTO },
	{ "asm", KW_ASM },
	{ "__asm__", KW_ASM },
	{ "__asm", KW_ASM },
	{ "asm_inline", KW_ASM },
	{ "asm_volatile_goto", KW_ASM },
	{ "asm_goto_output", KW_ASM },
	{ "ALTERNATIVE", KW_ASM },
	{ "ALTERNATIVE_2", KW_ASM },
	{ "ALTERNATIVE_3", KW_ASM },
	{ "alternative", KW_ASM },
	{ "alternative_2", KW_ASM },
	{ "alternative_io", KW_ASM },
	{ "alternative_call", KW_ASM },
	{ "alternative_call_2", KW_ASM },
	{ "alternative_input", KW_ASM },
	{ "__attribute__", KW_ATTRIBUTE },
	{ "__attribute", KW_ATTRIBUTE },
	{ "__aligned", KW_ATTRIBUTE },
	{ "__section", KW_ATTRIBUTE },
	{ "__printf", KW_ATTRIBUTE },
	{ "__scanf", KW_ATTRIBUTE },
	{ "__alloc_size", KW_ATTRIBUTE },
	{ "__realloc_size", KW_ATTRIBUTE },
	{ "__assume_aligned", KW_ATTRIBUTE },
	{ "__acquires", KW_ATTRIBUTE },
	{ "__releases", KW_ATTRIBUTE },
	{ "__must_hold", KW_ATTRIBUTE },
	{ "__cond_acquires", KW_ATTRIBUTE },
	{ "__cond_lock", KW_ATTRIBUTE },
	{ "__diagnose_as", KW_ATTRIBUTE },
	{ "__counted_by", KW_ATTRIBUTE },
	{ "__no_sanitize", KW_ATTRIBUTE },
	{ "__target", KW_ATTRIBUTE },
	{ "__alias", KW_ATTRIBUTE },
	{ "__nocapture", KW_ATTRIBUTE },
	{ "typeof", KW_ATTRIBUTE },
	{ "__typeof__", KW_ATTRIBUTE },
	{ "__typeof", KW_ATTRIBUTE },
	{ "__declspec", KW_ATTRIBUTE },
	{ "_Alignas", KW_ATTRIBUTE },
	{ "__bpf_md_ptr", KW_ATTRIBUTE },
};

static const struct {
	const char *name;
	enum directive directive;
} directives[] = {
	{ "define", DIR_DEFINE }, { "include", DIR_INCLUDE }, { "if", DIR_IF },
	{ "ifdef", DIR_IF },      { "ifndef", DIR_IF },       { "else", DIR_ELSE },
	{ "elif", DIR_ELSE },     { "elifdef", DIR_ELSE },    { "elifndef", DIR_ELSE },
	{ "endif", DIR_ENDIF },
};

#define SLOTS 512u

static struct {
	uint64_t hash;
	uint8_t keyword;
} table[SLOTS];
static uint64_t directive_hash[sizeof(directives) / sizeof(*directives)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		uint64_t h = hash_bytes(words[i].name, strlen(words[i].name));
		uint32_t at = (uint32_t)h % SLOTS;

		while (table[at].hash)
			at = (at + 1) % SLOTS;
		table[at].hash = h;
		table[at].keyword = (uint8_t)words[i].keyword;
	}
	for (size_t i = 0; i < sizeof(directives) / sizeof(*directives); i++)
		directive_hash[i] = hash_bytes(directives[i].name, strlen(directives[i].name));
}

void keywords_init(void)
{
	pthread_once(&once, fill);
}

enum keyword keyword_of(uint64_t hash)
{
	uint32_t at = (uint32_t)hash % SLOTS;

	for (; table[at].hash; at = (at + 1) % SLOTS)
		if (table[at].hash == hash)
			return table[at].keyword;
	return KW_NONE;
}

enum directive directive_of(uint64_t hash)
{
	for (size_t i = 0; i < sizeof(directives) / sizeof(*directives); i++)
		if (directive_hash[i] == hash)
			return directives[i].directive;
	return DIR_OTHER;
}
