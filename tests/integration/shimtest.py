"""One task by a shim alone, without scheduler and executor: what test_shim* and test_runtime* share. Uses BUILD/tests/shimrun."""
import atexit
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile

from berthtest import BUILD, CACHE, SOURCE, Skip, cgroups_of, ordinary_user, remove_cgroups_of, wait_for


def reachable(path):
    """The program itself, or a copy where ordinary users can run it when a folder above it is closed to them."""
    above = path
    while above != "/":
        above = os.path.dirname(above)
        if not os.stat(above).st_mode & 0o001:
            folder = tempfile.mkdtemp(prefix="berth-shimrun-", dir="/var/tmp")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            os.chmod(folder, 0o755)
            return shutil.copy(path, folder)
    return path


SHIMRUN = reachable(os.path.join(os.path.abspath(BUILD), "tests", "shimrun"))
RUNTIMES = ("crun", "runc", "process")


class Result:
    """What shimrun said: `record` the exit record, `states` what ctl told, `log` the bytes of the log."""

    def __init__(self, text, folder, log, err):
        self.record, self.states, self.text, self.log, self.err = {}, [], text, log, err
        for line in text.splitlines():
            key, _, value = line.partition("=")
            if key.startswith("exit."):
                self.record[key[5:]] = value
            elif key == "state":
                self.states.append(value)
        self.folder = folder
        self.code = int(self.record.get("code", -1))
        self.kind = self.record.get("kind")
        self.why = self.record.get("text")

    def __str__(self):
        return "%s\nlog: %r" % (self.text, self.log[-2000:])


class Tasks:
    """A folder of task folders, owned by whoever runs the tasks; everything is gone at the end of the `with` block."""

    count = 0

    def __init__(self, user=None, place="/var/tmp"):
        self.user = user
        self.root = tempfile.mkdtemp(prefix="berth-shim-", dir=place)
        os.chmod(self.root, 0o700)
        if user:
            os.chown(self.root, user.pw_uid, user.pw_gid)
        remove_cgroups_of(self.root)  # what a killed run of before left under the same name: inodes come again

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        left = leftovers(self.root)
        try:
            if kind is None and left:  # a shim that has told its end may take a moment to be gone
                wait_for("what is left behind to go: %s" % left, lambda: not leftovers(self.root), 30)
        finally:
            shutil.rmtree(self.root, ignore_errors=True)

    def folder(self):
        Tasks.count += 1
        path = os.path.join(self.root, "%d.1.0" % Tasks.count)
        os.mkdir(path, 0o700)
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)
        return path

    def become(self):
        if not self.user:
            return {}
        user = self.user
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": os.getgrouplist(user.pw_name, user.pw_gid)}

    def environment(self):
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "USER": "root", "HOME": "/root"}
        if self.user:
            env.update(USER=self.user.pw_name, HOME=self.user.pw_dir)
        return env

    def start(self, options, command, folder=None, **more):
        folder = folder or self.folder()
        return folder, subprocess.Popen([SHIMRUN, *options, folder, "--", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        cwd="/", env=self.environment(), **self.become(), **more)

    def run(self, options, command, input=None, folder=None, timeout=300):
        folder, p = self.start(options, command, folder, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL)
        out, _ = p.communicate(input, timeout=timeout)
        return self.result(folder, out)

    def result(self, folder, out):
        return Result(out.decode(errors="replace"), folder, read(os.path.join(folder, "log")), read(os.path.join(folder, "log.err")))


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return b""


def leftovers(root):
    """Processes, mounts and cgroups that still belong to a folder of tasks."""
    found = []
    names = os.listdir(root)
    with open("/proc/self/mountinfo") as f:
        found += [line.split()[4] for line in f if line.split()[4].startswith(root)]
    found += [path for path in cgroups_of(root, tasks_only=True) if os.path.basename(path) in names]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink("/proc/%s/fd/3" % pid).startswith(root + "/"):
                found.append("process %s" % pid)
    return found


def users():
    """(label, pwd entry or None): the caller, and an ordinary user where one can be made."""
    yield "root" if os.geteuid() == 0 else "caller", None
    if os.geteuid() == 0:
        yield "ordinary user", ordinary_user()


def as_user(user):
    """Options that make root's shim run the task for an ordinary user, as the service does."""
    return ["--user", "%d:%d" % (user.pw_uid, user.pw_gid), "--name", user.pw_name, "--home", user.pw_dir]


def each_way():
    """(label, tasks, options, pwd entry or None): every runtime, as root's shim with a root's task, a user's own shim, root's shim with a user's task."""
    for label, user in users():
        for runtime in RUNTIMES:
            with Tasks(user) as tasks:
                yield "%s, %s" % (runtime, label), tasks, ["--runtime", runtime], user
    if os.geteuid() == 0:
        user = ordinary_user()
        for runtime in RUNTIMES:
            with Tasks() as tasks:
                yield "%s, for a user" % runtime, tasks, ["--runtime", runtime] + as_user(user), user


def mark_image(folder):
    """root's word that a folder of root's is an image: without it, its ids are not mapped for others (docs/SECURITY.md)."""
    if os.geteuid() == 0:
        open(os.path.join(folder, ".berth-image"), "a").close()
    return folder


def minbase():
    """A small Debian root filesystem, built once and kept outside the tree."""
    target = os.path.join(CACHE, "minbase")
    if os.path.isdir(os.path.join(target, "etc")):
        return mark_image(target)
    if os.geteuid() != 0 or not shutil.which("mmdebstrap"):
        raise Skip("needs root and mmdebstrap to build an image folder")
    os.makedirs(CACHE, exist_ok=True)
    work = tempfile.mkdtemp(prefix="minbase-", dir=CACHE)
    script = os.path.join(SOURCE, "scripts", "debian-sources")
    sources, options = (subprocess.run([script, *more], capture_output=True, text=True).stdout.splitlines() for more in ([], ["--aptopts"]))
    p = subprocess.run(["mmdebstrap", "--variant=minbase", "--quiet", *options, "bookworm", os.path.join(work, "root"), *sources], capture_output=True, text=True)
    if p.returncode != 0:
        shutil.rmtree(work, ignore_errors=True)
        raise Skip("mmdebstrap failed (no package mirror?): %s" % p.stderr[-300:])
    with contextlib.suppress(OSError):
        os.rename(os.path.join(work, "root"), target)
    shutil.rmtree(work, ignore_errors=True)
    return mark_image(target)


def walkable_image(tasks_root):
    """minbase where ordinary users can reach it: a bind-free copy of the path is not needed when every folder above may be walked."""
    target = minbase()
    path = target
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            copy = "/var/tmp/berth-tests-minbase"
            if not os.path.isdir(copy):
                partial = tempfile.mkdtemp(prefix="berth-tests-", dir="/var/tmp")
                subprocess.run(["cp", "-a", "--reflink=auto", target + "/.", partial], check=True)
                os.chmod(partial, 0o755)
                with contextlib.suppress(OSError):
                    os.rename(partial, copy)
                shutil.rmtree(partial, ignore_errors=True)
            return mark_image(copy)
        path = os.path.dirname(path)
    return target


def login(name):
    return pwd.getpwnam(name)


def shim_pid(folder):
    """The shim's pid once it has written it."""
    def known():
        for record in read(os.path.join(folder, "shim")).split(b"\0"):
            if record.startswith(b"pid="):
                return int(record[4:])
        return 0
    return wait_for("the shim of %s" % folder, known)


def state_value(folder, key):
    for record in read(os.path.join(folder, "state")).split(b"\0"):
        if record.startswith(key.encode() + b"="):
            return record.split(b"=", 1)[1].decode()
    return ""


def tell(tasks, folder, line):
    """As whoever runs the tasks: a shim listens to its own user and to root alone, and root is nobody in a user's namespace."""
    program = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\ns.sendall(sys.argv[2].encode())\n"
               "s.shutdown(socket.SHUT_WR)\nwhile s.recv(4096):\n    pass\n")
    subprocess.run(["/usr/bin/python3", "-c", program, os.path.join(folder, "ctl"), line], check=True, cwd="/", **tasks.become())
