#!/usr/bin/env python3
"""Runs a command where names lead to this machine alone: apart.py NAMES COMMAND...

Inside fresh namespaces of network and mounts, as `unshare --net --mount` makes them: brings the loopback
device up and puts NAMES, separated by commas, over /etc/hosts. Nothing has to be undone, since both go with
the last process in there.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile

PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
# struct ifreq with its flags
IFREQ = "16sh22x"


def bring_loopback_up() -> None:
    """What `ip link set lo up` does, on machines without iproute2."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        asked = fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack(IFREQ, b"lo", 0))
        flags = struct.unpack(IFREQ, asked)[1]
        if flags & IFF_UP:
            # What comes next would change the names of the whole machine.
            sys.exit("apart.py: this is no fresh network namespace, its loopback device is up")
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack(IFREQ, b"lo", flags | IFF_UP))


def name_ourselves(names: list[str]) -> None:
    """Puts a file of hosts over the machine's."""
    with tempfile.NamedTemporaryFile("w") as hosts:
        os.chmod(hosts.name, 0o644)
        hosts.write("".join(f"127.0.0.1 {name}\n" for name in ["localhost", *names]))
        hosts.flush()
        # The mount keeps the file when its name is gone.
        subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)


def main() -> None:
    """Everything, and then the command in our place."""
    names, *command = sys.argv[1:]
    bring_loopback_up()
    name_ourselves(names.split(","))
    # Whoever started us may be killed.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
