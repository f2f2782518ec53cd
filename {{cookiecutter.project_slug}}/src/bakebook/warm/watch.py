"""Tells which files have changed, without looking at thousands of them: Linux's inotify."""

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

EVENTS = 0x2 | 0x4 | 0x40 | 0x80 | 0x100 | 0x200  # modify, attrib, moved, create, delete
OVERFLOW = 0x4000
EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name
BUFFER = 2**16


class Watch:
    """The folders that are watched; where the system refuses, nothing is known about a file."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, str] = {}  # by watch
        self._watched: set[str] = set()
        self.works = self._fd >= 0

    def add(self, folder: str) -> None:
        """Watches the files of a folder from now on."""
        if folder in self._watched or not self.works:
            return
        number = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), EVENTS)
        self.works = number >= 0
        self._folders[number] = folder
        self._watched.add(folder)

    def changed(self) -> set[str]:
        """Paths for which something happened since the last call."""
        found: set[str] = set()
        with suppress(BlockingIOError):
            while self.works:
                found |= self._paths(os.read(self._fd, BUFFER))
        return found

    def close(self) -> None:
        """Lets a child go without it."""
        if self._fd >= 0:
            os.close(self._fd)

    def _paths(self, events: bytes) -> set[str]:
        found = set()
        while events:
            number, mask, _, length = EVENT.unpack_from(events)
            name = events[EVENT.size : EVENT.size + length].rstrip(b"\0")
            events = events[EVENT.size + length :]
            if mask & OVERFLOW or number not in self._folders:
                self.works = False  # something was missed
            else:
                found.add(str(Path(self._folders[number], os.fsdecode(name))))
        return found
