"""One writer at a time: the second of two processes that write the same thing is refused."""

import errno
import os
import socket
import sys
import uuid
import weakref
from pathlib import Path

from rnnjax._results import warn_caller

_NO_LOCKS = errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP

if sys.platform == "win32":
    import msvcrt

    def _take(file: int) -> None:
        os.lseek(file, 2**30, os.SEEK_SET)  # beyond what is written there, so that it can be read
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _take(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Lock:
    """The right to write something on disk, of one process as long as it lives and keeps it.

    It is that of the operating system, on a file beside what is written, so that it ends with the
    process however that ends. Where a file system has none, a word of warning is given, and the file
    still tells who began last.
    """

    def __init__(self, path: Path):
        """Take it.

        Args:
            path: what is written; in a folder that exists.

        Raises:
            FileExistsError: if it is being written: says by whom.
        """
        self._path = path
        where = path.resolve()
        self._place = where.with_name(where.name + ".lock")
        self._owner = f"process {os.getpid()} on {socket.gethostname()}, {uuid.uuid4().hex}"
        self._file = self._taken()
        self._end = weakref.finalize(self, _released, self._file, self._place, os.getpid())

    def check(self) -> None:
        """Take it again if its file was deleted.

        Raises:
            FileExistsError: if another process has it by now.
        """
        found = _content(self._place)
        if found == self._owner:
            return
        if found is not None:
            raise self._refusal(found)
        self._end.detach()
        os.close(self._file)
        self._file = self._taken()
        self._end = weakref.finalize(self, _released, self._file, self._place, os.getpid())

    def release(self) -> None:
        """Give it back."""
        self._end()

    def _taken(self) -> int:
        """The file, locked and with the owner's name in it."""
        while True:
            try:
                file = os.open(self._place, os.O_RDWR | os.O_CREAT, 0o666)
            except PermissionError:
                raise self._refusal(_content(self._place)) from None
            try:
                _take(file)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    os.close(file)
                    raise self._refusal(_content(self._place)) from None
                warn_caller(
                    f"{self._place.parent} is on a file system without locks: see to it that no other "
                    f"process writes {self._path}"
                )
            if _is_at(file, self._place):  # it may have been deleted before it was locked
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                os.write(file, self._owner.encode())
                return file
            os.close(file)

    def _refusal(self, owner: str | None) -> FileExistsError:
        who = (owner or "").partition(",")[0] or "another process"
        return FileExistsError(
            f"{self._path} is being written by {who}, which holds {self._place}: wait until that has "
            "ended, or choose another name"
        )


def _content(place: Path) -> str | None:
    """Who has a lock, None if its file is not there."""
    try:
        return place.read_text()
    except FileNotFoundError:
        return None
    except OSError:  # another user's
        return ""


def _is_at(file: int, place: Path) -> bool:
    """Whether an open file is still the one that is found there."""
    try:
        return os.path.samestat(os.fstat(file), os.stat(place))
    except FileNotFoundError:
        return False


def _released(file: int, place: Path, owner: int) -> None:
    """Delete the lock while it is held, so that nobody waits for a file that is gone."""
    try:
        if os.getpid() == owner and _is_at(file, place):  # not in a copy of the process
            os.unlink(place)
    except OSError:  # it is open elsewhere; a file that nobody holds is in nobody's way
        pass
    finally:
        os.close(file)
