# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""hmm-watchd with a loader without BPF, and the messages of watchd/protocol.h."""
import array
import contextlib
import ctypes
import mmap
import os
import pathlib
import signal
import socket
import struct
import subprocess
import tempfile
import time

MAGIC = 0x77686D6D
WATCHD_GLOBAL = "WATCHD_FAKE_GLOBAL"
HELLO, CHALLENGE, MINE, REPLY, LINKS = 1, 2, 3, 4, 5
HEAD = struct.Struct("=IHH")
HELLO_REST = struct.Struct("=IIQ")
REPLY_REST = struct.Struct("=iIQIIII")
SITE = struct.Struct("=48sIIiI")
# What must come comes on a machine that stands still for a while, too.
PATIENT = 60


class Fake(ctypes.Structure):
    """struct fake of fake_loader.h."""
    _fields_ = [(name, ctypes.c_int32) for name in (
        "load_error", "open_error", "global_writable", "execd",
        "opens", "closes", "unloads", "last_pid", "spares", "fewer",
        "space_logs", "last_flags")]


def wait_for(condition, what, seconds=PATIENT):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s: {what}"
        time.sleep(0.005)


class Service:
    """A service at a path of its own. `fake` is what its loader shares with the test."""

    def __init__(self, program, folder, *options, env=None):
        self.folder = pathlib.Path(folder)
        self.path = str(self.folder / "socket")
        control = self.folder / "fake"
        if not control.exists():
            control.write_bytes(bytes(4096))
            control.chmod(0o666)
        with open(control, "r+b") as file:
            self.fake = Fake.from_buffer(mmap.mmap(file.fileno(), 4096))
        # a test that is not run for some seconds is no slow peer
        self.options = ("--patience", "600000", *options)
        self.program, self.env = program, env or {}
        self.process = None

    def spawn(self, **more):
        self.process = subprocess.Popen(
            [self.program, "--foreground", "--socket", self.path, *self.options],
            env={**os.environ, "WATCHD_FAKE": str(self.folder / "fake"), **self.env},
            stderr=subprocess.PIPE, text=True, **more)
        return self

    def start(self):
        self.fake.opens = self.fake.closes = 0
        self.spawn()
        wait_for(self.answers, "nobody listens")
        # what trying it has opened does not count
        wait_for(lambda: self.fake.opens == self.fake.closes, "a space is left")
        self.fake.opens = self.fake.closes = 0
        return self

    def answers(self):
        assert self.process.poll() is None, self.process.communicate()[1]
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            try:
                probe.connect(self.path)
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return Peer.hello(probe) == "challenged"

    def open(self):
        """How many spaces are watched."""
        return self.fake.opens - self.fake.closes

    def connect(self):
        return Peer(self.path)

    def stop(self, number=signal.SIGTERM):
        """Ends it. Returns what it said."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        said = self.process.communicate(timeout=PATIENT)[1]
        if number == signal.SIGTERM:
            assert self.process.returncode == 0, (self.process.returncode, said)
        assert "Sanitizer" not in said, said
        return said


class Peer:
    """A process's side, step by step, and what it should not do, too."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(PATIENT)
        self.fds = []
        # many may wait to be let in
        wait_for(lambda: self.connects(path), "nobody is let in")

    def connects(self, path):
        try:
            self.socket.connect(path)
        except BlockingIOError:
            return False
        return True

    @staticmethod
    def head(kind, version=1, magic=MAGIC):
        return HEAD.pack(magic, kind, version)

    @classmethod
    def hello_text(cls, least=1, most=1, flags=0, log_bytes=0):
        return cls.head(HELLO, least) + HELLO_REST.pack(most, flags, log_bytes)

    @classmethod
    def hello(cls, connected):
        connected.settimeout(PATIENT)
        connected.send(cls.hello_text())
        kind = HEAD.unpack_from(connected.recv(64))[1]
        return "challenged" if kind == CHALLENGE else kind

    def send(self, text, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([text], rights)

    def receive(self):
        """(kind, text, descriptors); None at the end. A connection's end comes before the last."""
        for again in (True, False):
            try:
                text, control, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(1024))
                break
            except ConnectionResetError:
                if not again:
                    return None
        if not text:
            return None
        fds = []
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += array.array("i", data)
        self.fds += fds
        return HEAD.unpack_from(text)[1], text, fds

    def error(self):
        """Of the refusal that must come now."""
        kind, text, fds = self.receive()
        assert kind == REPLY and not fds, kind
        assert self.receive() is None
        return self.refusal(text)

    @staticmethod
    def refusal(text):
        return -REPLY_REST.unpack_from(text, HEAD.size)[0]

    def challenge(self, **hello):
        """Says hello; the number that came back."""
        self.send(self.hello_text(**hello))
        answer = self.receive()
        assert answer and answer[0] == CHALLENGE, answer
        return answer[1][HEAD.size:]

    def mine(self, number, fds=None):
        proof = os.eventfd(0)
        self.send(self.head(MINE) + number, [proof] if fds is None else fds)
        os.close(proof)

    def watch(self, **hello):
        """All of it. (size of the log, names of sites)."""
        self.mine(self.challenge(**hello))
        kind, text, fds = self.receive()
        assert kind == REPLY and len(fds) == 3, (kind, fds)
        error, _, log_bytes, sites, site_bytes, at, _ = REPLY_REST.unpack_from(text, HEAD.size)
        assert error == 0, error
        names = [SITE.unpack_from(text, at + i * site_bytes)[0].rstrip(b"\0").decode()
                 for i in range(sites)]
        kind, text, fds = self.receive()
        assert kind == LINKS and len(fds) == 1, (kind, fds)
        return log_bytes, names

    def ended(self):
        """Does the space's page say that nobody is told any more?"""
        with mmap.mmap(self.fds[1], 4096, mmap.MAP_SHARED, mmap.PROT_READ) as page:
            return struct.unpack_from("=QQQ", page)[2] == 1

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []


@contextlib.contextmanager
def serving(program, *options, env=None, start=True):
    # The service becomes nobody, and opens what is in here.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        service = Service(program, folder, *options, env=env)
        if start:
            service.start()
        try:
            yield service
        finally:
            if service.process and service.process.poll() is None:
                service.stop(signal.SIGKILL)
