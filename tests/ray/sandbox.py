"""One process tree that stands for a container, and that cannot outlive us.

In: an argument vector, its environment, a log, the folder its Pod shares. Out: process ids as the
machine sees them, and an exit code.

The tree has process ids and mounts of its own, as in a container. When its first process ends, or
ours does by whatever signal, the kernel kills all of it. Only SIGTERM to that first process is
graceful: Ray drains for half a minute when its helpers get the signal too.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Optional

from command import TEMP_DIR

# $1 shared folder, $2 service account's folder or nothing; then the command. /var/run links to /run.
_ENTER = f"""set -e
shared=$1 account=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p {TEMP_DIR} /run/secrets/kubernetes.io
mount --bind "$shared" {TEMP_DIR}
[ -z "$account" ] || ln -s "$account" /run/secrets/kubernetes.io/serviceaccount
mount -t tmpfs -o size=256m tmpfs /dev/shm
exec "$@"
"""
_PREFIX = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork"]
_PREFIX += ["--kill-child=KILL", "--mount-proc"]
_FORK_SECONDS = 5.0


class Waker:
    """Ends a wait from another thread, once and for all."""

    def __init__(self) -> None:
        self.fd, self._write = os.pipe()
        self.called = False

    def call(self) -> None:
        """End every wait, also those to come."""
        if not self.called:
            self.called = True
            os.write(self._write, b"x")

    def wait(self, seconds: float) -> bool:
        """Sleep; whether the sleep was ended."""
        return bool(select.select([self.fd], [], [], seconds)[0])


class Sandbox:
    """A started container.

    The thread that makes it must outlive it: the kernel takes the end of that thread for ours.
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        shared: Path,
        account: Optional[Path] = None,
    ) -> None:
        # Without root, a user namespace gives the rights to mount.
        maps = [] if os.geteuid() == 0 else ["--map-root-user"]
        enter = ["sh", "-c", _ENTER, "sh", str(shared), str(account or "")]
        with log.open("ab") as sink:
            self._outer = subprocess.Popen(
                [*_PREFIX, *maps, *enter, *argv],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env=dict(env),
                cwd="/",
                start_new_session=True,
            )
        self._pidfd = os.pidfd_open(self._outer.pid)
        self.pid = self._first()

    def _first(self) -> int:
        """The first process inside: the only child of `unshare`; ours where that has ended."""
        deadline = time.monotonic() + _FORK_SECONDS
        while self._outer.poll() is None and time.monotonic() < deadline:
            for child in _children(self._outer.pid):
                return child
            time.sleep(0.01)
        return self._outer.pid

    def find(self, name: str) -> Optional[int]:
        """The id of a process inside by its program's name."""
        left = [self.pid]
        while left:
            pid = left.pop()
            if _name(pid) == name:
                return pid
            left.extend(_children(pid))
        return None

    def wait(self, seconds: Optional[float], waker: Waker) -> Optional[int]:
        """The exit code as a shell would say it; nothing when the time is over or `waker` calls."""
        select.select([self._pidfd, waker.fd], [], [], seconds)
        code = self._outer.poll()
        return code if code is None or code >= 0 else 128 - code

    def end(self, grace: float) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        if grace > 0 and self._outer.poll() is None:
            self._signal(signal.SIGTERM)
            select.select([self._pidfd], [], [], grace)
        if self._outer.poll() is None:
            self._signal(signal.SIGKILL)
        self._outer.wait()
        os.close(self._pidfd)

    def _signal(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass


def _children(pid: int) -> Iterator[int]:
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())
    except OSError:
        return


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
