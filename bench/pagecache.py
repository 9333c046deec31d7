"""pagecache.py: drops a file from the page cache, and reads a file in order."""
import ctypes
import mmap
import os
import time

from measure import Failed

READ = 8 << 20 # bytes at a time

libc = ctypes.CDLL(None, use_errno=True)
libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]


def resident(path):
    """Returns how many pages of a file are in memory. Without permission to write the file the kernel answers: all."""
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY) as m:
        pages = ctypes.create_string_buffer(-(-len(m) // mmap.PAGESIZE))
        start = ctypes.c_char.from_buffer(m)
        failed = libc.mincore(ctypes.addressof(start), len(m), pages)
        del start # else the map cannot be closed
        if failed:
            raise Failed("mincore of %s: %s" % (path, os.strerror(ctypes.get_errno())))
        return sum(page & 1 for page in pages.raw)


def drop(path):
    """Drops a file's pages. Raises Failed when some stay."""
    with open(path, "rb") as f:
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    left = resident(path)
    if left:
        raise Failed("%d pages of %s stay in memory: another process has it mapped, or it is not on the disk yet, "
                     "or this user may not write it" % (left, path))


def read(path):
    """Returns the seconds that one thread takes to read the file in order."""
    begin, room = time.monotonic(), bytearray(READ)
    with open(path, "rb", buffering=0) as f:
        while f.readinto(room):
            pass
    return time.monotonic() - begin
