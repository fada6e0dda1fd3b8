"""An executor's side of the node protocol (docs/PROTOCOL.md section 4), scripted by a test, and a scheduler alone to talk to."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from berthtest import BERTH, DEADLINE_S, UnixConnection, check, clean_environment, wait_for

GIB = 1 << 30


def inventory(cores=4, memory_bytes=8 * GIB, threads=1, gpus=0):
    """A machine of one NUMA node."""
    return {
        "version": 1, "hostname": "fake", "os": "none", "kernel": "0", "cpu_model": "none", "packages": 1, "memory_bytes": memory_bytes, "cgroup": "none",
        "cores": [{"id": i, "package": 0, "numa": 0, "cpus": [i * threads + k for k in range(threads)]} for i in range(cores)],
        "numa": [{"id": 0, "memory_bytes": memory_bytes, "cpus": "0"}],
        "gpus": [{"index": i, "uuid": "GPU-%032x" % (i + 1), "name": "fake", "memory_bytes": 16 * GIB, "pci": "0", "compute_capability": "9.0", "numa": 0,
                  "minor": i, "driver": "0"} for i in range(gpus)],
        "gpu_driver": None, "gpu_error": None}


class Scheduler:
    """`berth scheduler` alone, with a state folder of its own. kill() and start() as often as wanted."""

    def __init__(self, *options, env=None, wait=True):
        self.root = tempfile.mkdtemp(prefix="berth-api-")
        self.state = os.path.join(self.root, "state")
        self.socket = os.path.join(self.state, "berth.sock")
        self.options = options
        self.wait = wait
        self.env = clean_environment(**(env or {}))
        self.process = None
        self.log = os.path.join(self.root, "log")

    def __enter__(self):
        return self.start(self.wait)

    def __exit__(self, kind, value, trace):
        if kind:
            with open(self.log) as f:
                print("---- scheduler, last lines\n%s" % "".join(f.readlines()[-25:]))
        self.kill(signal.SIGKILL)
        shutil.rmtree(self.root, ignore_errors=True)
        return False

    def start(self, wait=True, env=None):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([BERTH, "scheduler", "--state-dir", self.state, *self.options], env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log)
        if wait:
            wait_for("the scheduler to answer", self.answers)
        return self

    def answers(self):
        check(self.process.poll() is None, lambda: "the scheduler ended by itself: " + open(self.log).read()[-2000:])
        try:
            return self.get("/v1/version")[0] == 200
        except OSError:
            return False

    def kill(self, number=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_S) if self.process else None

    def request(self, method, path, body=None, headers=None, socket_path=None):
        connection = UnixConnection(socket_path or self.socket)
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, data

    def json(self, method, path, body=None, **more):
        status, data = self.request(method, path, body, **more)
        return status, json.loads(data) if data else None

    def get(self, path):
        return self.json("GET", path)

    def submit(self, **fields):
        status, job = self.json("POST", "/v1/jobs", {"command": "true", **fields})
        check(status == 201, "submit: %d %s" % (status, job))
        return job

    def job(self, name):
        return self.get("/v1/jobs/%s" % name)[1]

    def wait_state(self, name, state):
        return wait_for("%s to be %s" % (name, state), lambda: (lambda j: j if j["state"] == state else None)(self.job(name)))


class Executor:
    """One scripted executor on its node's socket. Reads the stream in a thread; sends what the test says."""

    def __init__(self, scheduler, name="local", instance="i1", machine=None, secret=None):
        self.scheduler = scheduler
        self.name, self.instance, self.machine = name, instance, machine or inventory()
        self.folder = os.path.join(scheduler.state, "nodes", name)
        self.socket = os.path.join(self.folder, "node.sock")
        self.given_secret = secret
        self.seq = 0
        self.session = None
        self.deltas, self.orders = [], {}
        self.stream = None
        self.lock = threading.Lock()

    def headers(self):
        secret = self.given_secret
        if secret is None:
            with open(os.path.join(self.folder, "secret")) as f:
                secret = f.read().strip()
        return {"Authorization": "Berth-Node " + secret}

    def call(self, method, path, body=None):
        return self.scheduler.json(method, path, body, headers=self.headers(), socket_path=self.socket)

    def hello(self, tasks=(), **more):
        body = {"protocol": 1, "name": self.name, "boot_id": "b", "instance_id": self.instance, "version": "test", "pid": os.getpid(), "inventory": self.machine,
                "isolation": {}, "tasks": list(tasks), "next_event_seq": self.seq + 1, **more}
        status, answer = self.call("POST", "/v1/node/hello", body)
        if status != 200:
            return status, answer
        self.session = answer["session"]
        self.orders = {o["task"]: o for o in answer["orders"]}
        self.answer = answer
        self.seq = max(self.seq, answer["acked_event_seq"])
        return status, answer

    def connect(self, tasks=(), **more):
        status, answer = self.hello(tasks, **more)
        check(status == 200, "hello: %d %s" % (status, answer))
        self.deltas = []
        self.open_stream(answer["stream_seq"])
        return self

    def open_stream(self, seq):
        connection = UnixConnection(self.socket, timeout=None)
        connection.request("GET", "/v1/node/stream?session=%s&from=%d" % (self.session, seq), headers=self.headers())
        answer = connection.getresponse()
        check(answer.status == 200, "stream: %d" % answer.status)
        self.stream = connection
        threading.Thread(target=self.read_stream, args=(answer,), daemon=True).start()

    def read_stream(self, answer):
        try:
            for line in answer:
                with self.lock:
                    self.deltas.append(json.loads(line))
        except (OSError, ValueError, http.client.HTTPException):
            pass
        with self.lock:
            self.deltas.append({"type": "end of stream"})

    def seen(self, kind, task=None):
        with self.lock:
            for d in self.deltas:
                if d["type"] == kind and (task is None or d.get("task") == task):
                    return d
        return None

    def wait_delta(self, kind, task=None):
        return wait_for("a delta %s %s" % (kind, task or ""), lambda: self.seen(kind, task))

    def order(self, task):
        """The start order of a task, by hello or by the stream."""
        return wait_for("the order of " + task, lambda: self.orders.get(task) or (self.seen("start", task) or {}).get("order"))

    def event(self, kind, task=None, **more):
        self.seq += 1
        return {"seq": self.seq, "type": kind, **({"task": task} if task else {}), **more}

    def send(self, *events, ack=0):
        return self.call("POST", "/v1/node/events", {"session": self.session, "stream_ack": ack, "events": list(events)})

    def say(self, *events):
        status, answer = self.send(*events)
        check(status == 200, "events: %d %s" % (status, answer))
        return answer["acked"]

    def start(self, task):
        self.say(self.event("state", task, state="preparing"), self.event("state", task, state="starting"), self.event("state", task, state="running"))

    def exit_of(self, task, code=0, signal=0, **cause):
        return self.event("exit", task, exit={"code": code, "signal": signal, "cause": cause or None, "started_ms": 1000, "ended_ms": 2000, "log_bytes": 0})

    def finish(self, task, code=0, signal=0, **cause):
        self.say(self.exit_of(task, code, signal, **cause), self.event("released", task), self.event("collected", task, outputs={"files": 0, "bytes": 0, "skipped": []}))

    def run(self, task, code=0):
        self.start(task)
        self.finish(task, code)
