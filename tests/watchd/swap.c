// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * swap PATH: asks hmm-watchd for the log of this process, executes another program once it is told
 * the number, and answers from there. What was opened is the log of a space that is gone; were the
 * other program setuid, it could be that program's. Prints the error of the refusal, or "given".
 */
#include "watchd/protocol.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The connection's number after exec. */
#define CONN 9

static int ask(const char *path, char *number)
{
	const struct watchd_hello hello = { .head = { WATCHD_MAGIC, WATCHD_HELLO, 1 },
					    .version_max = 1 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct watchd_challenge challenge;
	const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) || dup2(fd, CONN) < 0 ||
	    send(CONN, &hello, sizeof(hello), 0) != sizeof(hello) ||
	    recv(CONN, &challenge, sizeof(challenge), 0) != sizeof(challenge) ||
	    challenge.head.type != WATCHD_CHALLENGE)
		return -1;
	close(fd);
	for (int i = 0; i < WATCHD_NONCE; i++)
		sprintf(number + 2 * i, "%02x", challenge.nonce[i]);
	return 0;
}

static int answer(const char *number)
{
	struct watchd_mine mine = { .head = { WATCHD_MAGIC, WATCHD_MINE, 1 } };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec iov = { &mine, sizeof(mine) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	const int proof = eventfd(0, 0);
	struct watchd_reply reply;

	for (int i = 0; i < WATCHD_NONCE; i++) {
		const char digits[] = { number[2 * i], number[2 * i + 1], 0 };

		mine.nonce[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	memcpy(CMSG_DATA(&control.head), &proof, sizeof(proof));
	if (sendmsg(CONN, &msg, 0) < 0 ||
	    recv(CONN, &reply, sizeof(reply), 0) < (ssize_t)sizeof(reply))
		return -1;
	if (reply.error)
		printf("refused: %s\n", strerror(-reply.error));
	else
		printf("given\n");
	return 0;
}

int main(int argc, char **argv)
{
	char number[2 * WATCHD_NONCE + 1];

	if (argc == 3)
		return answer(argv[2]) ? 1 : 0;
	if (argc != 2 || ask(argv[1], number))
		return 1;
	execl("/proc/self/exe", argv[0], argv[1], number, NULL);
	return 1;
}
