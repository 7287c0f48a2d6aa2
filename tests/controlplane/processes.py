"""Children that end with us, and waiting that ends when our parent does."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional, TypeVar

Value = TypeVar("Value")
PR_SET_PDEATHSIG = 1
TAIL_BYTES = 4000


class Stopped(Exception):
    """The parent is gone or asked us to end: not an error."""


class Failed(Exception):
    """Something did not come up; the message says what and shows the log's end."""


class TooLate(Failed):
    """What was waited for did not happen in time."""


class PortTaken(Failed):
    """Somebody else bound the port between our looking and the child's binding."""


class Parent:
    """Watches standard input and the signals that ask us to end."""

    def __init__(self) -> None:
        # A shell that pins a fifo open passes its writing end on to us: our input would never end.
        os.closerange(3, 256)
        self._wake, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            # The byte in the wakeup pipe is the message; raising here could break a clean-up in two.
            signal.signal(number, lambda *_: None)

    def pause(self, seconds: float) -> None:
        """Sleep, but raise Stopped as soon as there is nobody left to serve."""
        ready, _, _ = select.select([sys.stdin.fileno(), self._wake], [], [], seconds)
        if self._wake in ready:
            # Each byte is the number of a signal.
            if any(number != signal.SIGUSR1 for number in os.read(self._wake, 4096)):
                raise Stopped
            self._asked = True
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 4096):
            raise Stopped

    def was_asked(self) -> bool:
        """Whether SIGUSR1 came since the last call."""
        asked, self._asked = self._asked, False
        return asked

    def wait_for(self, what: str, seconds: float, probe: Callable[[], Optional[Value]]) -> Value:
        """Ask again and again until probe gives something, or raise TooLate."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = probe()
            if found:
                return found
            self.pause(0.05)
        raise TooLate(f"{what}: not after {seconds:g} s")


_LIBC = ctypes.CDLL(None)


def _die_with_parent(number: int) -> None:
    """Runs in the child before exec: SIGKILL on us must not leave servers behind."""
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, number)


def _end(process: "subprocess.Popen[Any]", grace: float) -> None:
    """SIGTERM, and SIGKILL after the grace."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Child:
    """A server with its log."""

    def __init__(self, name: str, argv: Sequence[str], log: Path) -> None:
        self.name = name
        self.argv = argv
        self.log = log
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[Any]":
        with self.log.open("ab") as sink:
            # A session of its own: Ctrl-C reaches us alone, and we end the children in order.
            return subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
                preexec_fn=partial(_die_with_parent, signal.SIGKILL),
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def check(self) -> None:
        """Raise if it has ended by itself."""
        code = self.process.poll()
        if code is None:
            return
        tail = self.tail()
        kind = PortTaken if "address already in use" in tail else Failed
        raise kind(f"{self.name} ended with {code}; the end of its log:\n{tail}")

    def tail(self) -> str:
        """The last lines of the log."""
        return self.log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")

    def end(self, grace: float) -> None:
        """Make sure it is gone."""
        _end(self.process, grace)

    def restart(self, grace: float) -> None:
        """End it, and start it again with the same arguments."""
        self.end(grace)
        self.process = self._start()


def run(parent: Parent, argv: Sequence[str], seconds: float) -> str:
    """Run a program to its end and give its output; its standard error goes where ours goes."""
    deadline = time.monotonic() + seconds
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=partial(_die_with_parent, signal.SIGTERM),
    )
    try:
        while True:
            try:
                output, _ = process.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                parent.pause(0)
                if time.monotonic() > deadline:
                    raise Failed(f"{argv[0]} took over {seconds:g} s") from None
    finally:
        _end(process, grace=10)
    if process.returncode != 0:
        raise Failed(f"{' '.join(argv)} ended with {process.returncode}")
    return output
