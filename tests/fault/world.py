"""One Berth in a state folder of its own, a job in it, what is left of both, and all that must hold after a kill."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from berthtest import cgroups_of  # noqa: E402

DEADLINE_S = 60
# Not /tmp or /var/tmp: a job has its own of those.
PLACE = "/srv" if os.access("/srv", os.W_OK) else os.path.expanduser("~")
NAME = "job-under-fire"
LINES = 120
FOLDERS_LEFT_MAX = 2  # in one run of the harness, of more than a hundred Berths
JOB_EXIT = 7
ENDED = ("Completed", "Failed", "Canceled")
ROLES = ("supervisor", "scheduler", "executor", "shim", "runtime", "init", "cli", "follower")
# Whose death may cost the job: the task's own keeper, and what makes and is its container.
KEEPERS = ("shim", "runtime", "init")
JOB = r"""
%s
echo "start $BERTH_ATTEMPT" >> "$TEE/starts"
i=0
while [ $i -lt %d ]; do
    printf 'line %%d of the job\n' $i >> "$TEE/tee"
    printf 'line %%d of the job\n' $i
    i=$((i + 1))
    [ $((i %% 20)) -eq 0 ] && sleep 0.03
done
echo kept > outputs/result.txt; echo after >> last.ckpt
[ -n "$STUBBORN" ] && while :; do sleep 0.05; done
echo "end $BERTH_ATTEMPT" >> "$TEE/starts"
exit %d
"""
# A job that is told to end and does not: it has to be killed when its grace period is over.
STUBBORN = "STUBBORN=1; trap '' TERM"


class Failure(Exception):
    pass


def wait_for(what, condition, deadline_s=DEADLINE_S):
    """Polls until condition() is true: waits for a fact, with a deadline, never for luck."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("waited %d s for %s" % (deadline_s, what))
        time.sleep(0.02)


def processes():
    """pid -> (ppid, [arguments])"""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open("/proc/%s/cmdline" % entry, "rb") as f:
                args = [a.decode(errors="replace") for a in f.read().split(b"\0")[:-1]]
            with open("/proc/%s/stat" % entry) as f:
                stat = f.read()
            fields = stat[stat.rindex(")") + 2:].split()
            if fields[0] != "Z":
                table[int(entry)] = (int(fields[1]), args)
        except (OSError, ValueError):
            pass
    return table


def text_of(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except FileNotFoundError:
        return b""


def number_of(path, key=None):
    """The pid that a lock file or a record of the shim's names, or None."""
    try:
        text = text_of(path)
        if key:
            text = dict(r.split(b"=", 1) for r in text.split(b"\0") if b"=" in r)[key]
        return int(text.split()[0])
    except (ValueError, KeyError, IndexError):
        return None


def inside_cgroup(path):
    """([processes], [groups]) in a cgroup; empty where it is gone."""
    try:
        return text_of(os.path.join(path, "cgroup.procs")).decode().split(), [e.name for e in os.scandir(path) if e.is_dir()]
    except OSError:
        return [], []


def rmdir_says(path):
    try:
        os.rmdir(path)
        return "done"
    except OSError as e:
        return e.strerror


class Berth:
    """One Berth in a state folder of its own."""
    folders_left = 0

    def __init__(self, berth, fault=None, action="kill"):
        self.berth = berth
        self.began_s = time.time()
        self.root = tempfile.mkdtemp(prefix="berth-fault-", dir=PLACE)
        self.state = os.path.join(self.root, "state")
        self.executor = os.path.join(self.state, "executor")
        self.tee = os.path.join(self.root, "tee")
        self.code = os.path.join(self.root, "code")
        self.followed = os.path.join(self.root, "followed")
        self.stubborn = False
        self.follower = None
        os.mkdir(self.tee)
        os.mkdir(self.code)
        # In the folder that the job mounts too: the first process inside the container passes fault points as well.
        self.fault_log = os.path.join(self.tee, "passes")
        self.once = os.path.join(self.tee, "fired")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("BERTH") and k != "PYTHONUNBUFFERED"}
        self.env["BERTH_FAULT_LOG"] = self.fault_log
        if fault:
            self.env["BERTH_FAULT"] = "%s=%s" % (fault, action)
            self.env["BERTH_FAULT_ONCE"] = self.once

    def command(self, *args):
        return [self.berth, "--state-dir", self.state, *args]

    def cli(self, *args, check=True, timeout=DEADLINE_S):
        """check: it must succeed, and goes on asking while a scheduler that was just killed is being restarted."""
        end = time.monotonic() + timeout
        while True:
            p = subprocess.run(self.command(*args), env=self.env, cwd=self.code, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, timeout=timeout)
            if not check or p.returncode == 0:
                return p
            if b"no Berth is running" not in p.stderr or time.monotonic() > end:
                raise Failure("berth %s: exit %d: %s" % (" ".join(args), p.returncode, p.stderr.decode(errors="replace")))
            self.revive()
            time.sleep(0.05)

    def up(self):
        """Starts Berth; where the start itself is killed by the fault, starts it again, as a person would."""
        for attempt in range(6):
            p = self.cli("up", "--detach", check=False)
            if p.returncode == 0 or b"already" in p.stderr:
                return
            time.sleep(0.2)
        raise Failure("berth up: exit %d: %s" % (p.returncode, p.stderr.decode(errors="replace")))

    def fired(self):
        return os.path.exists(self.once)

    def write_job(self):
        for name, text in ((".gitignore", "*.ckpt\n"), ("last.ckpt", "before\n")):
            with open(os.path.join(self.code, name), "w") as f:
                f.write(text)
        with open(os.path.join(self.code, "job.sh"), "w") as f:
            f.write(JOB % (STUBBORN if self.stubborn else "", LINES, JOB_EXIT))
        with open(os.path.join(self.root, "job.json"), "w") as f:
            json.dump({"name": NAME, "command": "exec /bin/sh job.sh", "code": self.code, "cpus": 1, "memory": "64M", "gpus": 0,
                       "environment_variables": {"TEE": self.tee}, "mounts": [self.tee + ":rw"], "limits": {"grace": 1}}, f)
        return ["submit", "--request", "once", os.path.join(self.root, "job.json")]  # tried again it is the same job, also once that has ended

    def submit(self, kill_after_s=None):
        """Submits the job for good, however often that takes; the first try is killed after so long where that is wanted."""
        args = self.write_job()
        if kill_after_s is not None:
            p = subprocess.Popen(self.command(*args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                p.wait(kill_after_s)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        for attempt in range(30):
            fired_before = self.fired()
            p = self.cli(*args, check=False)
            if p.returncode == 0:
                return
            if b"already" in p.stderr or b"exists" in p.stderr:
                return  # an earlier try was recorded though its answer was lost: it counts
            died = p.returncode < 0
            if not died and not self.fired() and fired_before:
                raise Failure("submit: exit %d: %s" % (p.returncode, p.stderr.decode(errors="replace")))
            time.sleep(0.2)
            self.revive()
        raise Failure("submit never got through: " + p.stderr.decode(errors="replace"))

    def follow(self):
        """A follower that goes on where the last one ended."""
        have = os.path.getsize(self.followed) if os.path.exists(self.followed) else 0
        with open(self.followed, "ab") as out:
            self.follower = subprocess.Popen(self.command("logs", "-f", "--raw", "--offset", str(have), NAME), env=self.env, stdin=subprocess.DEVNULL,
                                             stdout=out, stderr=subprocess.DEVNULL)

    def job(self):
        p = self.cli("show", NAME, "-o", "json", check=False)
        return json.loads(p.stdout) if p.returncode == 0 else None

    def ended(self):
        job = self.job()
        return job if job and job["state"] in ENDED else None

    def wait_ended(self):
        return wait_for("the job to end", lambda: (self.revive(), self.ended())[1])

    def supervisor(self):
        pid = number_of(os.path.join(self.state, "lock"))
        return pid if pid and "up" in processes().get(pid, (0, []))[1] else None

    def daemons(self):
        """role -> [pid] of what belongs to this state folder."""
        roles = {role: [] for role in ROLES}
        supervisor = self.supervisor()
        table = processes()
        for pid, (ppid, args) in table.items():
            if pid == supervisor:
                roles["supervisor"].append(pid)
            elif any(self.state in a for a in args):
                for word, role in (("scheduler", "scheduler"), ("executor", "executor"), ("submit", "cli"), ("cancel", "cli"), ("--detach", "cli")):
                    # Between fork and exec a child still has its parent's arguments: it is no executor, but a shim to be.
                    if word in args and table.get(ppid, (0, []))[1] != args:
                        roles[role].append(pid)
        tasks = os.path.join(self.executor, "tasks")
        for task in os.listdir(tasks) if os.path.isdir(tasks) else []:
            shim = number_of(os.path.join(tasks, task, "shim"), b"pid")
            init = number_of(os.path.join(tasks, task, "state"), b"payload_pid")
            if shim in table:
                roles["shim"].append(shim)
                roles["runtime"] += [p for p, (pp, a) in table.items() if pp == shim and a and os.path.basename(a[0]) in ("crun", "runc")]
            if init in table and init > 1:
                roles["init"].append(init)
        if self.follower and self.follower.poll() is None:
            roles["follower"].append(self.follower.pid)
        return roles

    def kill(self, role, pick=lambda pids: pids[0]):
        """Kills one process of that role; False where there is none."""
        pids = self.daemons()[role]
        if not pids:
            return False
        try:
            os.kill(pick(pids), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def revive(self):
        """A killed supervisor is started again; what it supervised it restarts by itself."""
        if self.supervisor() is None:
            self.up()

    # what is left

    def own_cgroups(self):
        """Inodes come again, and with them the groups' names: one that a killed executor of before left elsewhere in memory's hierarchy isn't ours."""
        found = []
        for path in cgroups_of(self.executor):
            try:
                found += [path] if os.stat(path).st_ctime >= self.began_s else []
            except OSError:
                pass
        return found

    def leftovers(self):
        """By the state folder's unique name: processes (environment or arguments), mounts, cgroups."""
        found = ["cgroup %s (processes %s, groups %s)" % ((path,) + inside_cgroup(path)) for path in self.own_cgroups()]
        marker = os.path.basename(self.root)
        for pid, (_, args) in processes().items():
            if pid == os.getpid():
                continue
            if any(marker in a for a in args):
                found.append("process %d: %s" % (pid, " ".join(args)[:160]))
                continue
            try:
                if ("TEE=" + self.tee).encode() in text_of("/proc/%d/environ" % pid):
                    found.append("process %d of the job: %s" % (pid, " ".join(args)[:160]))
            except OSError:
                pass
        with open("/proc/self/mountinfo") as f:
            found += ["mount " + line.strip() for line in f if marker in line]
        return found

    def wait_nothing_left(self):
        """A shim that still ends when its executor has left takes the cgroups with it, by itself."""
        left = []

        def nothing():
            left[:] = self.leftovers()
            return not left
        try:
            wait_for("what is left to go", nothing)
        except Failure:
            if not self.only_empty_folders(left):
                raise Failure("left behind: " + "; ".join(left))

    def only_empty_folders(self, left):
        """The node's own groups with nothing in them hold nothing, and its next start uses them. Seen twice on CI machines, in memory's
        hierarchy alone (perhaps one of a killed executor of before: own_cgroups), and in thousands of runs nowhere else: told with what is
        needed to explain it, and no failure while it is that rare."""
        folders = self.own_cgroups()
        if len(left) > len(folders) or any(inside_cgroup(f) != ([], []) for f in folders):
            return False
        Berth.folders_left += 1
        for folder in folders:
            print("    note: %s stayed and is empty, made %d s ago; rmdir: %s" % (folder, time.time() - os.stat(folder).st_ctime, rmdir_says(folder)))
        if Berth.folders_left > FOLDERS_LEFT_MAX:
            return False  # destroy() tells the rest
        self.tell()
        return True

    def tell(self):
        """What a failure is explained by, where the folder isn't at hand."""
        print("    this test's own groups: " + " ".join(text_of("/proc/self/cgroup").decode().split()))
        for name in ("up", "executor"):
            for line in text_of(os.path.join(self.state, name + ".log")).decode(errors="replace").splitlines()[-20:]:
                print("    %s.log: %s" % (name, line))

    def executor_is_back(self, node):
        """The executor that runs has spoken: one that was killed is only replaced after a while."""
        pids = self.daemons()["executor"]
        try:
            ticks = int(text_of("/proc/%d/stat" % pids[0]).rpartition(b")")[2].split()[19])
        except (IndexError, ProcessLookupError):
            return False
        begun_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
        return node["session"] and node["last_seen_ms"] > begun_s * 1000

    def idle(self):
        nodes = json.loads(self.cli("node", "list", "-o", "json").stdout)
        nodes = nodes["nodes"] if isinstance(nodes, dict) else nodes
        free = all(self.executor_is_back(n) and not n["tasks"] and n["free"]["cores"] == len(n["inventory"]["cores"]) and n["state"] == "idle" for n in nodes)
        return free and not os.listdir(os.path.join(self.executor, "tasks"))

    def down(self):
        self.cli("down", "--cancel", check=False)
        wait_for("all processes to leave", lambda: not any(self.daemons()[r] for r in ("supervisor", "scheduler", "executor")))

    def destroy(self, keep):
        for role, pids in self.daemons().items():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        if self.follower:
            self.follower.wait()
        if keep:
            print("    kept for a look: " + self.root)
            self.tell()
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    # what must hold

    def finish_follower(self):
        """A follower waits for a Berth that is away: one killed after the job's end is started again too."""
        try:
            wait_for("the follower", lambda: (self.revive(), self.follower.poll() is not None)[1])
        except Failure:
            self.follower.kill()
            self.follower.wait()
            raise Failure("the follower did not end with the job")

    def check_log(self, whole):
        """whole: the log is the tee's bytes, and a follower that saw the end has them too; else it breaks off where the job did."""
        log, tee, followed = self.cli("logs", "--raw", NAME).stdout, text_of(os.path.join(self.tee, "tee")), text_of(self.followed)
        if not whole:
            if not tee.startswith(log) and not log.startswith(tee):
                raise Failure("the log is not a prefix of what the job wrote")
        elif log != tee:
            raise Failure("the log (%d bytes) differs from the tee (%d bytes)" % (len(log), len(tee)))
        if self.follower.returncode == 0 and followed != log:
            raise Failure("what the follower saw (%d bytes) differs from the log (%d bytes)" % (len(followed), len(log)))

    def check_end(self, job, may_lose, expected):
        """expected: (state, exit code or None). may_lose: the task's own keeper or runtime was killed."""
        runs = [s for s in text_of(os.path.join(self.tee, "starts")).decode().split("\n") if s.startswith("start")]
        if len(runs) > 1:
            raise Failure("ran more than once: %s" % runs)
        state, code = expected
        as_expected = job["state"] == state and code in (None, job["exit_code"])
        if as_expected:
            self.check_log(whole=code == JOB_EXIT)
        elif not may_lose or job["state"] != "Failed":
            raise Failure("state %s, exit %s, cause %s: should be %s %s" % (job["state"], job["exit_code"], job["cause"], state, code))
        else:
            self.check_log(whole=False)
        if job["state"] == "Failed" and not job["cause"]:
            raise Failure("failed without a cause")
        if as_expected and code == JOB_EXIT:
            out = os.path.join(self.root, "out")
            self.cli("outputs", NAME, out)
            if text_of(os.path.join(out, "result.txt")) != b"kept\n":
                raise Failure("outputs/result.txt is not what the job wrote")
            self.cli("outputs", NAME, out, "--work")
            if text_of(os.path.join(out, "last.ckpt")) != b"before\nafter\n" or text_of(os.path.join(self.code, "last.ckpt")) != b"before\n":
                raise Failure("the ignored file is not what the job made of it")

    def check_after(self, may_lose, expected=("Failed", JOB_EXIT)):
        """All that must hold once a kill has happened and everything is up again."""
        job = self.wait_ended()
        self.finish_follower()
        if len(json.loads(self.cli("ps", "--all", "-o", "json").stdout)) != 1:
            raise Failure("there is not exactly one job")
        self.check_end(job, may_lose, expected)
        wait_for("every lease to be free and every task's folder to be gone", self.idle)
        wait_for("every task's cgroup to be gone", lambda: not cgroups_of(self.executor, tasks_only=True))
        self.down()
        self.wait_nothing_left()
        return job
