# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A host that has less: system calls and ioctls fail, by a seccomp filter as containers have it."""
import ctypes
import errno
import os
import struct

USERFAULTFD = {"x86_64": 323, "aarch64": 282}[os.uname().machine]
PTRACE = {"x86_64": 101, "aarch64": 117}[os.uname().machine]
IOCTL = {"x86_64": 16, "aarch64": 29}[os.uname().machine]
# Commands of ioctl: the device node's way to a userfaultfd, its hello, the two of /proc.
USERFAULTFD_IOC_NEW, UFFDIO_API = 0xAA00, 0xC018AA3F
PAGEMAP_SCAN, PROCMAP_QUERY = 0xC0606610, 0xC0686611

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7FFF0000, 0x00050000
NUMBER, COMMAND = 0, 24  # in struct seccomp_data


def calls(syscalls=(), ioctls=()):
    """For subprocess's preexec_fn: {syscall or ioctl: errno}, from there on."""
    steps = [(LOAD, 0, 0, NUMBER)]
    for number, error in dict(syscalls).items():
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, FAIL | error)]
    steps += [(EQUAL, 1, 0, IOCTL), (RETURN, 0, 0, ALLOW), (LOAD, 0, 0, COMMAND)]
    for command, error in dict(ioctls).items():
        steps += [(EQUAL, 0, 1, command), (RETURN, 0, 0, FAIL | error)]
    steps.append((RETURN, 0, 0, ALLOW))

    def install():
        libc = ctypes.CDLL(None, use_errno=True)
        program = b"".join(struct.pack("HBBI", *step) for step in steps)
        text = ctypes.create_string_buffer(program, len(program))
        filters = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(text))
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if libc.prctl(22, 2, filters, 0, 0):  # PR_SET_SECCOMP, a filter
            os._exit(99)
    return install


def userfaultfd(error):
    """Neither way to one."""
    return calls({USERFAULTFD: error}, {USERFAULTFD_IOC_NEW: error})


def old_kernel():
    """A userfaultfd that knows no events."""
    return calls(ioctls={UFFDIO_API: errno.EINVAL})


def without(*commands):
    """A kernel that does not know these ioctls."""
    return calls(ioctls={command: errno.ENOTTY for command in commands})
