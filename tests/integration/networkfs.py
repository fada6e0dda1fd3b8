"""A folder on a FUSE filesystem, which Berth counts among those of the network: an empty one that answers what a look at it asks."""
import contextlib
import ctypes
import errno
import os
import struct
import threading

from berthtest import Skip, check

FORGET, GETATTR, STATFS, INIT, OPENDIR, RELEASEDIR, ACCESS, LOOKUP = 2, 3, 17, 26, 27, 29, 34, 1
NO_ANSWER = (FORGET, 36, 42)  # and INTERRUPT, BATCH_FORGET
MNT_DETACH = 2


def answer_to(opcode):
    """(error, bytes) as linux/fuse.h has them."""
    attributes = struct.pack("<6Q10I", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40700, 2, os.geteuid(), os.getegid(), 0, 4096, 0)
    table = {
        INIT: struct.pack("<4I2H2I2H8I", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, *[0] * 8),
        GETATTR: struct.pack("<QII", 0, 0, 0) + attributes,
        STATFS: struct.pack("<5Q4I6I", 1 << 20, 1 << 19, 1 << 19, 1000, 999, 4096, 255, 4096, 0, *[0] * 6),
        OPENDIR: struct.pack("<QII", 1, 0, 0),
        RELEASEDIR: b"",
        ACCESS: b"",
    }
    if opcode in table:
        return 0, table[opcode]
    return -errno.ENOENT if opcode == LOOKUP else -errno.ENOSYS, b""


def serve(fd):
    while True:
        try:
            request = os.read(fd, 1 << 20)
        except OSError as e:
            if e.errno in (errno.EINTR, errno.ENOENT):
                continue
            return  # ENODEV: it was unmounted
        _, opcode, unique = struct.unpack_from("<IIQ", request)
        if opcode in NO_ANSWER:
            continue
        error, body = answer_to(opcode)
        with contextlib.suppress(OSError):
            os.write(fd, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


@contextlib.contextmanager
def network_folder(path):
    """Mounts it at an existing folder for the length of the `with` block."""
    if os.geteuid() != 0:
        raise Skip("needs root to mount")
    try:
        fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        raise Skip("no FUSE here: %s" % e)
    libc = ctypes.CDLL(None, use_errno=True)
    options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd
    if libc.mount(b"berth-test", path.encode(), b"fuse", 0, options.encode()) != 0:
        os.close(fd)
        raise Skip("no FUSE here: " + os.strerror(ctypes.get_errno()))
    thread = threading.Thread(target=serve, args=(fd,), daemon=True)
    thread.start()
    try:
        yield path
    finally:
        check(libc.umount2(path.encode(), MNT_DETACH) == 0, "the test's filesystem stays mounted")
        thread.join(10)
        os.close(fd)
