"""What Berth is measured against, each set up and taken down by the bench itself in a private folder: Slurm (munged,
slurmctld and slurmd on loopback), task-spooler, a raw crun bundle. And Berth's own start and stop."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time

DEADLINE_S = 60


class Missing(Exception):
    """A peer that this machine lacks; its rows say so."""


def need(*programs):
    absent = [p for p in programs if not shutil.which(p)]
    if absent:
        raise Missing("not installed: " + ", ".join(absent))


def wait_until(what, condition, deadline_s=DEADLINE_S):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not come within {deadline_s} s")
        time.sleep(0.02)


def end_process(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Slurm:
    """One controller and one node of `cpus` CPUs. Past the machine's own CPUs the node is declared larger than it is,
    so that Slurm's launches overlap as its own limits allow."""

    def __init__(self, folder, cpus):
        self.folder, self.cpus, self.processes = os.path.join(folder, f"slurm-{cpus}"), cpus, []

    def __enter__(self):
        need("munged", "slurmctld", "slurmd", "srun", "sbatch")
        if os.geteuid() != 0:
            raise Missing("Slurm's daemons are started as root here")
        f = self.folder
        for part in ("munge", "state", "spool", "log"):
            os.makedirs(os.path.join(f, part))
        os.chmod(f"{f}/munge", 0o700)
        with open(f"{f}/munge/key", "wb", opener=lambda p, flags: os.open(p, flags, 0o600)) as key:
            key.write(os.urandom(1024))
        over = self.cpus > os.cpu_count()
        with open(f"{f}/slurm.conf", "w") as conf:
            conf.write(f"""ClusterName=bench
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={f}/munge.sock
StateSaveLocation={f}/state
SlurmdSpoolDir={f}/spool
SlurmctldPidFile={f}/slurmctld.pid
SlurmdPidFile={f}/slurmd.pid
SlurmctldLogFile={f}/log/slurmctld
SlurmdLogFile={f}/log/slurmd
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,default_queue_depth=1000
{"SlurmdParameters=config_overrides" if over else ""}
NodeName=bench NodeHostname=localhost NodeAddr=127.0.0.1 CPUs={self.cpus} State=UNKNOWN
PartitionName=main Nodes=bench Default=YES MaxTime=INFINITE State=UP
""")
        self.env = dict(os.environ, SLURM_CONF=f"{f}/slurm.conf")
        try:
            self.start("munged", "--foreground", "--force", f"--key-file={f}/munge/key", f"--socket={f}/munge.sock",
                       f"--pid-file={f}/munge/pid", f"--log-file={f}/munge/log", f"--seed-file={f}/munge/seed")
            wait_until("munged", lambda: os.path.exists(f"{f}/munge.sock"))
            self.start("slurmctld", "-D", "-i")
            self.start("slurmd", "-D", "-N", "bench")
            wait_until("Slurm's node", lambda: subprocess.run(
                ["sinfo", "-h", "-o", "%t"], env=self.env, capture_output=True, text=True).stdout.strip() == "idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self, *command):
        with open(f"{self.folder}/log/{command[0]}.out", "wb") as out:
            self.processes.append(subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def __exit__(self, *_):
        for process in reversed(self.processes):
            end_process(process)
        # A slurmstepd that could not tell its end any more would try for days: those of this folder go with it.
        for entry in os.listdir("/proc"):
            try:
                with open(f"/proc/{entry}/comm") as f:
                    if f.read().strip() != "slurmstepd":
                        continue
                with open(f"/proc/{entry}/environ", "rb") as f:
                    if f"SLURM_CONF={self.folder}/slurm.conf".encode() in f.read().split(b"\0"):
                        os.kill(int(entry), signal.SIGKILL)
            except OSError:
                continue


class Spooler:
    """task-spooler with a server of its own."""

    def __init__(self, folder):
        self.env = dict(os.environ, TS_SOCKET=os.path.join(folder, "tsp.sock"), TMPDIR=folder, TS_MAXFINISHED="2000")

    def __enter__(self):
        need("tsp")
        self.call("-S", "2")
        return self

    def call(self, *arguments):
        return subprocess.run(["tsp", *arguments], env=self.env, check=True, capture_output=True, text=True).stdout.strip()

    def __exit__(self, *_):
        subprocess.run(["tsp", "-K"], env=self.env)


def make_root(folder):
    """A root filesystem folder with /bin/true, /bin/sh and their libraries, for crun and for `--image`."""
    root = os.path.join(folder, "root")
    for part in ("bin", "proc", "sys", "dev", "tmp", "etc", "run", "usr"):
        os.makedirs(os.path.join(root, part), exist_ok=True)
    for program in ("true", "sh"):
        path = os.path.realpath(shutil.which(program))
        shutil.copy(path, os.path.join(root, "bin", program))
        for line in subprocess.run(["ldd", path], capture_output=True, text=True).stdout.splitlines():
            for word in line.split():
                if word.startswith("/"):
                    to = root + word
                    os.makedirs(os.path.dirname(to), exist_ok=True)
                    shutil.copy(os.path.realpath(word), to)
    return root


class Crun:
    """A bundle for `crun run`, with the namespaces that Berth gives a task (the network stays the node's)."""

    def __init__(self, folder, root):
        self.bundle, self.root = os.path.join(folder, "bundle"), root

    def __enter__(self):
        need("crun", "unshare")
        os.makedirs(self.bundle)
        subprocess.run(["crun", "spec"], cwd=self.bundle, check=True)
        with open(f"{self.bundle}/config.json") as f:
            config = json.load(f)
        config["process"].update(args=["/bin/true"], terminal=False)
        config["root"] = {"path": self.root, "readonly": True}
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]
        with open(f"{self.bundle}/config.json", "w") as f:
            json.dump(config, f)
        return self

    def wrap(self, *command):
        """crun 1.8 refuses cgroup v1 machines whose v2 mount it sees: run it where that is hidden."""
        if not os.path.ismount("/sys/fs/cgroup/unified"):
            return list(command)
        return ["unshare", "-m", "sh", "-c", 'umount -l /sys/fs/cgroup/unified && exec "$@"', "sh", *command]

    def __exit__(self, *_):
        pass


class Berth:
    def __init__(self, program, folder):
        self.program, self.state = program, os.path.join(folder, "berth")

    def __enter__(self):
        subprocess.run([self.program, "up", "--detach", "--state-dir", self.state], check=True, stdout=subprocess.DEVNULL)
        self.socket = os.path.join(self.state, "berth.sock")
        self.env = dict(os.environ, BERTH_HOST=self.socket)
        return self

    def call(self, *arguments):
        return subprocess.run([self.program, *arguments], env=self.env, check=True, stdout=subprocess.PIPE, text=True).stdout

    def pids(self):
        """The scheduler's and the executor's pids by name: children of `berth up`."""
        found = {}
        with open(os.path.join(self.state, "lock")) as f:
            up = int(f.read().split()[0])
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                with open(f"/proc/{entry}/stat") as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{entry}/cmdline") as f:
                    words = f.read().split("\0")
            except (OSError, IndexError):
                continue
            if parent == up and len(words) > 1:
                found[words[1]] = int(entry)
        return found

    def peak_mb(self, name):
        with open(f"/proc/{self.pids()[name]}/status") as f:
            for line in f:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def __exit__(self, *_):
        subprocess.run([self.program, "down", "--cancel", "--state-dir", self.state], stdout=subprocess.DEVNULL)
