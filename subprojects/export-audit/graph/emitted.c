// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Functions that compilers call on their own, although no source names them. */
#include "graph/emitted.h"

#include <stddef.h>
#include <string.h>

static const struct {
	const char *prefix; /* a '$' at the end: the whole name */
	const char *reason;
} emitted[] = {
	{ "__asan_", "called by code that KASAN instrumentation emits" },
	{ "__hwasan_", "called by code that KASAN instrumentation emits" },
	{ "__kasan_", "called by code that KASAN instrumentation emits" },
	{ "kasan_flag_enabled$", "read by code that KASAN instrumentation emits" },
	{ "__ubsan_", "called by code that UBSAN instrumentation emits" },
	{ "__sanitizer_", "called by code that coverage instrumentation emits" },
	{ "__tsan_", "called by code that KCSAN instrumentation emits" },
	{ "__msan_", "called by code that KMSAN instrumentation emits" },
	{ "__gcov_", "called by code that gcov instrumentation emits" },
	{ "llvm_gcov_", "called by code that gcov instrumentation emits" },
	{ "llvm_gcda_", "called by code that gcov instrumentation emits" },
	{ "__cyg_profile_", "called by code that instrumentation emits" },
	{ "__fentry__$", "called by code that function tracing emits" },
	{ "mcount$", "called by code that function tracing emits" },
	{ "_mcount$", "called by code that function tracing emits" },
	{ "__gnu_mcount_nc$", "called by code that function tracing emits" },
	{ "ftrace_stub$", "called by code that function tracing emits" },
	{ "__x86_indirect_", "called by indirect branches compiled for a retpoline" },
	{ "__x86_return_thunk$", "jumped to by returns compiled for a thunk" },
	{ "__s390_indirect_jump_", "called by indirect branches compiled for expoline" },
	{ "__stack_chk_", "used by the stack protector's code" },
	{ "__ref_stack_chk_guard$", "used by the stack protector's code" },
	{ "__stack_smash_handler", "used by the stack protector's code" },
	{ "__cfi_", "used by code that CFI emits" },
	{ "__aeabi_", "a helper of the ABI that compilers call" },
	{ "__gnu_", "a helper of the ABI that compilers call" },
	{ "__divdi3$", "libgcc's arithmetic" },
	{ "__udivdi3$", "libgcc's arithmetic" },
	{ "__moddi3$", "libgcc's arithmetic" },
	{ "__umoddi3$", "libgcc's arithmetic" },
	{ "__udivmoddi4$", "libgcc's arithmetic" },
	{ "__muldi3$", "libgcc's arithmetic" },
	{ "__multi3$", "libgcc's arithmetic" },
	{ "__mulsi3$", "libgcc's arithmetic" },
	{ "__umulsidi3$", "libgcc's arithmetic" },
	{ "__divsi3", "libgcc's arithmetic" },
	{ "__udivsi3", "libgcc's arithmetic" },
	{ "__modsi3", "libgcc's arithmetic" },
	{ "__umodsi3", "libgcc's arithmetic" },
	{ "__udivmodsi4", "libgcc's arithmetic" },
	{ "__ashldi3$", "libgcc's arithmetic" },
	{ "__ashrdi3$", "libgcc's arithmetic" },
	{ "__lshrdi3$", "libgcc's arithmetic" },
	{ "__ashlti3$", "libgcc's arithmetic" },
	{ "__ashrti3$", "libgcc's arithmetic" },
	{ "__lshrti3$", "libgcc's arithmetic" },
	{ "__ashlsi3", "libgcc's arithmetic" },
	{ "__ashrsi3", "libgcc's arithmetic" },
	{ "__lshrsi3", "libgcc's arithmetic" },
	{ "__ashiftrt_", "libgcc's arithmetic" },
	{ "__cmpdi2$", "libgcc's arithmetic" },
	{ "__ucmpdi2$", "libgcc's arithmetic" },
	{ "__bswapsi2$", "libgcc's arithmetic" },
	{ "__bswapdi2$", "libgcc's arithmetic" },
	{ "__clzsi2$", "libgcc's arithmetic" },
	{ "__clzdi2$", "libgcc's arithmetic" },
	{ "__ctzsi2$", "libgcc's arithmetic" },
	{ "__ctzdi2$", "libgcc's arithmetic" },
	{ "__ffsdi2$", "libgcc's arithmetic" },
	{ "__popcountsi2$", "libgcc's arithmetic" },
	{ "__popcountdi2$", "libgcc's arithmetic" },
	{ "__negdi2$", "libgcc's arithmetic" },
	{ "__sdivsi3", "libgcc's arithmetic" },
	{ "__div64_32$", "libgcc's arithmetic" },
	{ "__movmem", "a block move that compilers call" },
	{ "__movstr", "a block move that compilers call" },
	{ "__movmemSI", "a block move that compilers call" },
	{ "__sdivdi3$", "libgcc's arithmetic" },
	{ "__divdu$", "libgcc's arithmetic" },
	{ "__divlu$", "libgcc's arithmetic" },
	{ "__remqu$", "libgcc's arithmetic" },
	{ "__hexagon_", "a helper that hexagon compilers call" },
	{ "_savegpr", "saves registers for compiled prologues" },
	{ "_restgpr", "restores registers for compiled epilogues" },
	{ "_savef", "saves registers for compiled prologues" },
	{ "_restf", "restores registers for compiled epilogues" },
	{ "$$", "millicode that parisc compilers call" },
	{ "__canonicalize_funcptr", "a helper that parisc compilers call" },
	{ "__xtensa_libgcc_", "a helper that xtensa compilers call" },
	{ "__ld_", "a helper that compilers call" },
	{ "__st_", "a helper that arc compilers call" },
	{ "memcpy$", "compilers call it for copies of structures" },
	{ "memset$", "compilers call it to clear structures" },
	{ "memmove$", "compilers call it for copies of structures" },
	{ "memcmp$", "compilers call it for comparisons" },
	{ "__memcpy$", "compilers and instrumentation call it" },
	{ "__memset$", "compilers and instrumentation call it" },
	{ "__memmove$", "compilers and instrumentation call it" },
	{ "bcmp$", "compilers call it for comparisons" },
	{ "strlen$", "compilers call it for other string functions" },
	{ "strcpy$", "compilers call it for other string functions" },
	{ "stpcpy$", "compilers call it for other string functions" },
	{ "module_layout$", "modpost adds it to the versions of every module" },
	{ "abort$", "compilers call it where code must not be reached" },
};

const char *emitted_reason(const char *name)
{
	for (size_t i = 0; i < sizeof(emitted) / sizeof(*emitted); i++) {
		const char *p = emitted[i].prefix;
		size_t n = strlen(p);

		if (n > 1 && p[n - 1] == '$' && p[0] != '$') {
			if (strlen(name) == n - 1 && !strncmp(name, p, n - 1))
				return emitted[i].reason;
		} else if (!strncmp(name, p, n)) {
			return emitted[i].reason;
		}
	}
	return NULL;
}
