"""What the integration tests share: a Berth of one's own, waiting with a deadline, users, and the run of named cases."""
import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

BERTH = os.environ.get("BERTH", "")
SOURCE = os.environ.get("BERTH_SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("BERTH_BUILD", "")
CACHE = os.environ.get("BERTH_TEST_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "berth-tests")
DEADLINE_S = 120
# Where tests keep their files: not /tmp or /var/tmp, of which a job has its own.
PLACE = "/srv" if os.access("/srv", os.W_OK) else os.path.expanduser("~")
SKIPPED = 77
TEST_USERS = ("berthtest1", "berthtest2")


class Failure(AssertionError):
    pass


class Skip(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failure(message() if callable(message) else message)


def wait_for(what, condition, deadline_s=DEADLINE_S):
    """Polls until condition() is true and returns it: waits for a fact with a deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("waited %d s for %s" % (deadline_s, what))
        time.sleep(0.02)


def processes_naming(path):
    """Every other process that names the path in its arguments."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError), open("/proc/%s/cmdline" % entry, "rb") as f:
                if path.encode() in f.read():
                    found.append(int(entry))
    return found


def cgroups_of(executor, tasks_only=False):
    """The cgroups of the executor whose folder this is (executor/isolation.c names them after it), or those of its tasks alone."""
    st = os.stat(executor)
    h = 0xcbf29ce484222325
    for byte in st.st_dev.to_bytes(8, "little") + st.st_ino.to_bytes(8, "little"):
        h = (h ^ byte) * 0x100000001b3 & 0xffffffffffffffff
    name, found = "berth-b%012x" % (h & 0xffffffffffff), []
    for root, dirs, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(root, d) for d in dirs if name in root or (d == name and not tasks_only)]
    return found


def remove_cgroups_of(executor):
    """What a killed executor left: empty by now, and in the way of nobody but who looks for leftovers."""
    for path in reversed(cgroups_of(executor)):
        with contextlib.suppress(OSError):
            os.rmdir(path)


def clean_environment(**more):
    """The environment of a user's shell: nothing of Berth's, no PYTHONUNBUFFERED; None takes a name out."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("BERTH") and k not in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")}
    env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env["BERTH_LOOP_WATCHDOG_MS"] = "1000"  # a daemon whose loop is held up for so long aborts: far above the bound, since these are debug builds
    for name, value in more.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def ordinary_user(number=0):
    """An ordinary user with a home and sub-ids, made at first use (root only)."""
    if os.geteuid() != 0:
        raise Skip("needs root to make an ordinary user")
    name = TEST_USERS[number]
    try:
        return pwd.getpwnam(name)
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", name], check=True)
        return pwd.getpwnam(name)


class Berth:
    """A Berth with a state folder of its own, as root or as an ordinary user. Leaves nothing behind when its `with` block ends."""

    def __init__(self, user=None, env=None):
        self.user = user  # a pwd entry, or None for the caller
        self.root = tempfile.mkdtemp(prefix="berth-it-", dir=PLACE)
        self.state = os.path.join(self.root, "state")
        self.work = os.path.join(self.root, "work")
        os.mkdir(self.work)
        os.chmod(self.root, 0o755)
        self.env = clean_environment(**(env or {}))
        if user:
            os.chown(self.root, user.pw_uid, user.pw_gid)
            os.chown(self.work, user.pw_uid, user.pw_gid)
            self.env.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind and kind is not Skip and not (kind is SystemExit and value.code in (0, SKIPPED)):
            for name in ("scheduler.log", "executor.log"):
                with contextlib.suppress(OSError), open(os.path.join(self.state, name)) as f:
                    print("---- %s, last lines\n%s" % (name, "".join(f.readlines()[-25:])))
        with contextlib.suppress(Exception):
            self.cli("down", "--cancel", check=False, timeout=60)
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for("processes of the test to leave", lambda: not self.processes(), 30)
        with contextlib.suppress(OSError):
            remove_cgroups_of(os.path.join(self.state, "executor"))
        shutil.rmtree(self.root, ignore_errors=True)
        return False

    def processes(self):
        return processes_naming(self.state)

    def command(self, *args):
        command = [BERTH, *args] if args and args[0] in ("--help", "--version") else [BERTH, "--state-dir", self.state, *args]
        if self.user:
            command = ["setpriv", "--reuid", str(self.user.pw_uid), "--regid", str(self.user.pw_gid), "--init-groups", *command]
        return command

    def popen(self, *args, env=None, cwd=None, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(*args), env={**self.env, **(env or {})}, cwd=cwd or self.work, **more)

    def cli(self, *args, check=True, timeout=DEADLINE_S, env=None, cwd=None, stdin=None):
        """Runs `berth ARGS`; stdout and stderr as text. With check, a non-zero exit is a failure of the test."""
        p = subprocess.run(self.command(*args), env={**self.env, **(env or {})}, cwd=cwd or self.work, timeout=timeout, text=True, errors="replace",
                           stdin=subprocess.DEVNULL if stdin is None else None, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if check and p.returncode != 0:
            raise Failure("berth %s: exit %d\nstdout: %s\nstderr: %s" % (" ".join(args), p.returncode, p.stdout[-2000:], p.stderr[-4000:]))
        return p

    def json(self, *args):
        return json.loads(self.cli(*args, "-o", "json").stdout)

    def up(self):
        self.cli("up", "--detach")
        return self

    def jobs(self):
        return self.json("ps", "--all")

    def nodes(self):
        return self.json("node", "list")

    def job(self, name):
        return self.json("show", name)

    def wait_state(self, name, *states, deadline_s=DEADLINE_S):
        return wait_for("job %s to be %s" % (name, " or ".join(states)), lambda: (lambda j: j if j["state"] in states else None)(self.job(name)), deadline_s)

    def ended(self, name, deadline_s=DEADLINE_S):
        return self.wait_state(name, "Completed", "Failed", "Canceled", deadline_s=deadline_s)

    def write(self, path, text, mode=0o644):
        """A file in the working folder, owned by the user."""
        full = os.path.join(self.work, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w" if isinstance(text, str) else "wb") as f:
            f.write(text)
        os.chmod(full, mode)
        if self.user:
            for root, dirs, files in os.walk(self.work):
                for name in dirs + files:
                    os.lchown(os.path.join(root, name), self.user.pw_uid, self.user.pw_gid)
        return full

    def http(self, method, path, body=None, headers=None, socket_path=None, timeout=DEADLINE_S):
        """One request on the people's socket (or another): (status, body bytes)."""
        connection = UnixConnection(socket_path or os.path.join(self.state, "berth.sock"), timeout)
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers = {"Content-Type": "application/json", **(headers or {})}
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=DEADLINE_S):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)  # waits where the queue of the socket is full, which a socket with a timeout does not
        self.sock.settimeout(self.timeout)


def main(cases):
    """Runs the cases (functions; their names are sentences); `-k WORD` picks. Prints one line a case and `N passed, N failed`."""
    if not BERTH or not os.access(BERTH, os.X_OK):
        print("BERTH does not name the executable (%r)" % BERTH)
        sys.exit(1)
    pick = sys.argv[2] if len(sys.argv) > 2 and sys.argv[1] == "-k" else ""
    passed = failed = skipped = 0
    for case in cases:
        if pick not in case.__name__:
            continue
        try:
            case()
            passed += 1
            print("ok   %s" % case.__name__, flush=True)
        except Skip as why:
            skipped += 1
            print("skip %s: %s" % (case.__name__, why), flush=True)
        except Exception as e:
            failed += 1
            print("FAIL %s: %s" % (case.__name__, e), flush=True)
            if not isinstance(e, Failure):
                traceback.print_exc()
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    sys.exit(1 if failed else SKIPPED if skipped and not passed else 0)
