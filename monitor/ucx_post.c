// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * The calls by which a program gives libucp a buffer, for versions in which libucp looks up by
 * itself. Later lookups of the same operation, when its answer comes, need no further step: until
 * then the program may not unmap the buffer.
 *
 * libucp also registers memory that it allocates. uct_mem_alloc() gives it.
 *
 * The functions have up to seven arguments, integers or pointers. They are passed on as words.
 */
#include "ucx.h"

#include <stdint.h>

typedef uintptr_t word;

/* A call of libucp that calls another of these needs one step only. */
static _Thread_local int depth __attribute__((tls_model("initial-exec")));

static void enter(void)
{
	if (!depth++ && ucx_service() == UCX_SERVES_POSTS)
		ucx_settle();
}

static word leave(word ret)
{
	depth--;
	return ret;
}

#define POST(name, params, args)                                                                   \
	UCX_EXPORT word name params;                                                               \
	word name params                                                                           \
	{                                                                                          \
		word(*next) params;                                                                \
                                                                                                   \
		*(void **)&next = UCX_NEXT("libucp", #name);                                       \
		enter();                                                                           \
		return leave(next args);                                                           \
	}

#define POST3(name) POST(name, (word a, word b, word c), (a, b, c))
#define POST4(name) POST(name, (word a, word b, word c, word d), (a, b, c, d))
#define POST5(name) POST(name, (word a, word b, word c, word d, word e), (a, b, c, d, e))
#define POST6(name) POST(name, (word a, word b, word c, word d, word e, word f), (a, b, c, d, e, f))
#define POST7(name)                                                                                \
	POST(name, (word a, word b, word c, word d, word e, word f, word g), (a, b, c, d, e, f, g))

POST6(ucp_tag_send_nb)
POST6(ucp_tag_send_nbr)
POST5(ucp_tag_send_nbx)
POST6(ucp_tag_send_sync_nb)
POST5(ucp_tag_send_sync_nbx)
POST7(ucp_tag_recv_nb)
POST7(ucp_tag_recv_nbr)
POST6(ucp_tag_recv_nbx)
POST6(ucp_tag_msg_recv_nb)
POST5(ucp_tag_msg_recv_nbx)
POST6(ucp_stream_send_nb)
POST4(ucp_stream_send_nbx)
POST7(ucp_stream_recv_nb)
POST5(ucp_stream_recv_nbx)
POST7(ucp_am_send_nb)
POST7(ucp_am_send_nbx)
POST5(ucp_am_recv_data_nbx)
POST5(ucp_put)
POST6(ucp_put_nb)
POST5(ucp_put_nbi)
POST6(ucp_put_nbx)
POST5(ucp_get)
POST6(ucp_get_nb)
POST5(ucp_get_nbi)
POST6(ucp_get_nbx)
POST7(ucp_atomic_fetch_nb)
POST7(ucp_atomic_op_nbx)
POST3(ucp_mem_map)

UCX_EXPORT word uct_mem_alloc(word a, word b, word c, word d, word e);
word uct_mem_alloc(word a, word b, word c, word d, word e)
{
	word (*next)(word, word, word, word, word);
	word ret;

	*(void **)&next = UCX_NEXT("libuct", "uct_mem_alloc");
	ret = next(a, b, c, d, e);
	if (ucx_service() == UCX_SERVES_POSTS)
		ucx_settle();
	return ret;
}
