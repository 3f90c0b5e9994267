"""Whether a process still lives, also where its number has been given to another one since.

A number alone says little: systems use it again. The number and the moment of the start are one
process. Needs nothing but the standard library.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

START_FIELD = 19  # of what follows the name in /proc/PID/stat: ticks since the machine was started


def is_alive(pid: int, since: str | None) -> bool:
    """Whether process `pid` lives and is the one that was `born` at `since`."""
    return since is not None and born(pid) == since


def born(pid: int) -> str | None:
    """When a process was started, in its system's own words.

    None where there is no such process, or one that has ended and that only its parent has not
    taken note of.
    """
    if sys.platform == "win32":
        return _born_on_windows(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() else _born_by_ps(pid)
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # a name may hold spaces and brackets
    return None if fields[0] in "ZX" else fields[START_FIELD]


def _born_by_ps(pid: int) -> str | None:
    """The same where there is no /proc, as on macOS."""
    done = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, when = done.stdout.strip().partition(" ")
    return None if not when or state.startswith("Z") else " ".join(when.split())


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    QUERY = 0x1000  # PROCESS_QUERY_LIMITED_INFORMATION
    STILL_ACTIVE = 259

    def _born_on_windows(pid: int) -> str | None:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.OpenProcess.restype = wintypes.HANDLE
        handle = kernel.OpenProcess(QUERY, False, pid)
        if not handle:
            return None
        handle = wintypes.HANDLE(handle)
        code, times = wintypes.DWORD(), [wintypes.FILETIME() for _ in range(4)]
        try:
            known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
            timed = kernel.GetProcessTimes(handle, *(ctypes.byref(t) for t in times))
        finally:
            kernel.CloseHandle(handle)
        if not known or not timed or code.value != STILL_ACTIVE:
            return None
        return f"{times[0].dwHighDateTime}:{times[0].dwLowDateTime}"
