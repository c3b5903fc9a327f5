"""Child processes that are never left over."""

import ctypes
import os
import signal
import subprocess
import sys


def die_with_parent() -> None:
    """Ask Linux to end this child when its parent is killed. For ``preexec_fn``."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a process that leads a session, and all its children; one that is gone already is no error."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
