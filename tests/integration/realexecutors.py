"""Real executors of this machine under one scheduler, each behind a relay of the test that can be cut like a network."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

from berthtest import BERTH, PLACE, check, processes_naming, wait_for
from fakeexecutor import Scheduler, inventory


class Relay:
    """Between an executor and its node's socket: cut() is a network that is gone, both ways and without a word."""

    def __init__(self, path, target):
        self.path, self.target = path, target
        self.whole = True
        self.pairs = []
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.carry, args=(a, b), daemon=True).start()

    def carry(self, a, b):
        try:
            while True:
                data = a.recv(65536)
                if not data:
                    break
                if self.whole:  # else it is swallowed: the other side hears nothing, not even an end
                    b.sendall(data)
        except OSError:
            pass
        if self.whole:
            for s in (a, b):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def cut(self):
        self.whole = False

    def mend(self):
        with self.lock:
            for pair in self.pairs:
                for s in pair:
                    try:
                        s.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            self.pairs = []
            self.whole = True

    def close(self):
        self.listener.close()
        self.mend()


class Site:
    """A scheduler, and real executors of this machine behind relays. `shared` is a folder that jobs can mount. `machines`: what a node says that
    it is (name: inventory), 2 cores and 8 GiB where it isn't named; `options`: the scheduler's."""

    def __init__(self, *names, machines=None, options=()):
        self.names = names
        self.machines = machines or {}
        self.scheduler = Scheduler("--may-sleep", "no", *options)
        self.nodes, self.relays, self.processes = {}, {}, {}

    def __enter__(self):
        self.scheduler.__enter__()
        self.shared = tempfile.mkdtemp(prefix="berth-shared-", dir=PLACE)
        for name in self.names:
            status, node = self.scheduler.json("POST", "/v1/nodes", {"name": name})
            check(status == 201, "%s" % node)
            self.nodes[name] = node
            with open(self.path(name, "inventory"), "w") as f:
                json.dump(self.machines.get(name) or inventory(cores=2, memory_bytes=8 << 30), f)
            self.relays[name] = Relay(self.path(name, "sock"), node["socket"])
            self.start(name)
        self.wait_connected(*self.names)
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            for name in self.names:
                with open(self.path(name, "log")) as f:
                    print("---- executor %s, last lines\n%s" % (name, "".join(f.readlines()[-25:])))
        for name in self.names:
            self.kill(name)
            self.relays[name].close()
        for pid in processes_naming(self.scheduler.root):
            if pid != self.scheduler.process.pid:
                os.kill(pid, signal.SIGKILL)
        for pid in self.shims():
            os.kill(pid, signal.SIGKILL)
        self.scheduler.__exit__(kind, value, trace)
        shutil.rmtree(self.shared, ignore_errors=True)
        return False

    def path(self, name, what):
        return os.path.join(self.scheduler.root, "%s.%s" % (name, what))

    def start(self, name, *before):
        """`before`: words of a command that executes the rest of its own."""
        with open(self.path(name, "log"), "a") as log:
            self.processes[name] = subprocess.Popen(
                [*before, BERTH, "executor", "--socket", self.relays[name].path, "--secret-file", self.nodes[name]["secret_file"], "--state-dir", self.path(name, "executor"),
                 "--name", name, "--inventory", self.path(name, "inventory")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.scheduler.env)

    def kill(self, name):
        if self.processes[name].poll() is None:
            self.processes[name].kill()
        self.processes[name].wait(60)

    def wait_connected(self, *names):
        wait_for("%s to be connected" % (names,), lambda: set(names) <= {n["name"] for n in self.scheduler.get("/v1/nodes")[1]["nodes"] if n["session"]})

    def shims(self):
        """Of this site's tasks: their working folder stands in their environment, or they hold a task's folder open."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/comm" % pid) as f:
                    comm = f.read().strip()
                if comm == "berth-shim" and os.readlink("/proc/%s/fd/3" % pid).startswith(self.scheduler.root):
                    found.append(int(pid))
            except OSError:
                pass
        return found

    def job(self, name):
        return self.scheduler.job(name)

    def log(self, name, rank=0):
        status, text = self.scheduler.request("GET", "/v1/jobs/%s/logs?rank=%d" % (name, rank))
        check(status == 200, "the log of %s: %d" % (name, status))
        return text.decode()
