"""A scheduler's side of the node protocol (docs/PROTOCOL.md section 4), scripted by a test: what a real one would never do on purpose can be tried."""
import contextlib
import hashlib
import http.server
import json
import os
import secrets
import signal
import socketserver
import subprocess
import tempfile
import threading
import shutil
import time

from berthtest import BERTH, Failure, clean_environment, processes_naming, wait_for


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "node"

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status, code, message):
        self.answer(status, {"error": {"code": code, "message": message}})

    def do_POST(self):
        f = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Berth-Node " + f.secret:
            return self.refuse(403, "denied", "wrong secret")
        if self.path == "/v1/node/hello":
            return f.hello(self, body)
        if self.path == "/v1/node/events":
            return f.take_events(self, body)
        return self.refuse(404, "not_found", "no such route")

    def do_GET(self):
        f = self.server.fake
        if self.path.startswith("/v1/node/blobs/"):
            sha = self.path.rsplit("/", 1)[1]
            f.blob_gets.append(sha)
            if sha in f.unavailable:
                return self.refuse(503, "unavailable", "later")
            if sha not in f.blobs:
                return self.refuse(403, "denied", "not a blob of this node's tasks")
            return self.answer(200, f.blobs[sha])
        return f.stream(self)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, address):
        pass  # connections that break are what is tested


class FakeScheduler:
    """One node's scheduler and its executor, in a folder of their own. Leaves nothing behind when its `with` block ends."""

    def __init__(self, inventory=None):
        self.root = tempfile.mkdtemp(prefix="berth-fake-")
        self.node = os.path.join(self.root, "node")
        self.dir = os.path.join(self.root, "executor")
        self.home = os.path.join(self.root, "home")
        for folder in (self.node, self.home):
            os.mkdir(folder, 0o700)
        os.chmod(self.root, 0o755)
        os.chmod(self.home, 0o755)
        self.socket = os.path.join(self.node, "node.sock")
        self.secret = secrets.token_hex(32)
        self.secret_file = os.path.join(self.node, "secret")
        with open(self.secret_file, "w") as f:
            f.write(self.secret + "\n")
        self.inventory = inventory
        self.lock = threading.Condition()
        self.epoch = 1
        self.orders = {}
        self.events = []  # each once
        self.posts = []  # every POST's list of events
        self.hellos = []
        self.blobs = {}
        self.blob_gets = []
        self.unavailable = set()  # blobs that are answered with 503
        self.acked = {}  # instance id -> seq
        self.deltas = []  # (seq, object)
        self.stream_seq = 0
        self.stream_ack = 0
        self.session = None
        self.swallow = 0  # so many POSTs of events are taken and not answered
        self.refused = set()  # tasks whose events get 403
        self.full = False  # its disk: events get 507, heartbeats an answer that acknowledges nothing
        self.auto_release = True
        self.keepalive_s = 2
        self.server = None
        self.executor = None
        self.log = open(os.path.join(self.root, "executor.log"), "a+")

    def __enter__(self):
        return self.listen()

    def __exit__(self, kind, value, trace):
        if kind:
            self.log.seek(0)
            print("---- executor, last lines\n" + "".join(self.log.readlines()[-30:]))
        self.orders.clear()
        with contextlib.suppress(Exception):
            if not self.executor or self.executor.poll() is not None:
                self.start()
            if not self.server:
                self.listen()
            self.drop_session()
            wait_for("tasks to be ended", lambda: not os.listdir(os.path.join(self.dir, "tasks")), 30)
        self.kill(signal.SIGTERM)
        self.close()
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.log.close()
        shutil.rmtree(self.root, ignore_errors=True)
        return False

    def processes(self):
        return processes_naming(self.root)

    # the scheduler

    def listen(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.socket)
        self.server = Server(self.socket, Handler)
        self.server.fake = self
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def close(self):
        """The scheduler goes away: nobody listens, sessions break."""
        server, self.server = self.server, None
        if server:
            server.shutdown()
            server.server_close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.socket)
        self.drop_session()

    def restart(self):
        self.close()
        self.epoch += 1
        self.deltas.clear()
        self.stream_seq = self.stream_ack = 0
        return self.listen()

    def drop_session(self):
        with self.lock:
            self.session = None
            self.lock.notify_all()

    def hello(self, handler, body):
        with self.lock:
            self.hellos.append(body)
            self.session = secrets.token_hex(16)
            self.lock.notify_all()
            answer = {
                "session": self.session, "epoch": self.epoch, "node_id": 1, "acked_event_seq": self.acked.get(body["instance_id"], 0),
                "orders": [{**o, "epoch": self.epoch} for o in self.orders.values()], "log_dir": self.root, "outputs_dir": self.root,
                "stream_seq": self.stream_ack, "keepalive_s": self.keepalive_s,
            }
            self.instance = body["instance_id"]
        handler.answer(200, answer)

    def take_events(self, handler, body):
        with self.lock:
            if body["session"] != self.session:
                return handler.refuse(409, "conflict", "this session has ended")
            self.posts.append(body["events"])
            for event in body["events"]:
                if event.get("task") in self.refused:
                    return handler.refuse(403, "denied", "task %s is not leased to this node" % event["task"])
            if self.full:
                return handler.refuse(507, "no_space", "the disk is full") if body["events"] else handler.answer(200, {})
            self.stream_ack = max(self.stream_ack, body["stream_ack"])
            self.deltas = [d for d in self.deltas if d[0] > self.stream_ack]
            for event in body["events"]:
                if event["seq"] <= self.acked.get(self.instance, 0):
                    continue
                self.acked[self.instance] = event["seq"]
                self.events.append(event)
                if event["type"] == "collected" and self.auto_release:
                    self.orders.pop(event["task"], None)
                    self.push({"type": "release", "task": event["task"]})
            self.lock.notify_all()
            if self.swallow:
                self.swallow -= 1
                handler.close_connection = True
                return None
            return handler.answer(200, {"acked": self.acked.get(self.instance, 0)})

    def stream(self, handler):
        query = dict(p.split("=", 1) for p in handler.path.split("?", 1)[1].split("&"))
        session, at = query["session"], int(query["from"])
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        last = time.monotonic()
        while True:
            with self.lock:
                if self.session != session:
                    break
                lines = [d for d in self.deltas if d[0] > at]
                if not lines:
                    self.lock.wait(0.2)
                    lines = [d for d in self.deltas if d[0] > at]
            out = b"".join(json.dumps({"seq": seq, **delta}).encode() + b"\n" for seq, delta in lines)
            if not out and time.monotonic() - last > self.keepalive_s:
                out = b'{"type":"keepalive"}\n'
            if out:
                last = time.monotonic()
                at = max([at] + [seq for seq, _ in lines])
                # in two pieces, so that lines are cut anywhere
                for piece in (out[:7], out[7:]):
                    if piece:
                        handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                        handler.wfile.flush()
        handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    def push(self, delta):
        with self.lock:
            self.stream_seq += 1
            self.deltas.append((self.stream_seq, delta))
            self.lock.notify_all()

    def blob(self, data):
        sha = hashlib.sha256(data).hexdigest()
        self.blobs[sha] = data
        return sha

    def snapshot(self, files, links=()):
        """A manifest blob of {path: bytes}."""
        lines = ["644 %d %s %s\n" % (len(data), self.blob(data), path) for path, data in files.items()]
        lines += ["120000 %d - %s\0%s\n" % (len(target), path, target) for path, target in links]
        lines.sort(key=lambda line: line.split(" ")[3].split("\0")[0].rstrip("\n").encode())
        return self.blob(b"berth-tree 1\n" + "".join(lines).encode())

    def make_order(self, task, command, principal="root", **more):
        job, attempt, rank = task.split(".")
        spec = {"command": command, "runtime": "process", "submission": {"cwd": self.home, "environment": {}}}
        spec.update(more.pop("spec", {}))
        return {
            "task": task, "epoch": self.epoch, "principal": principal, "uid_hint": 0,
            "lease": {"cores": [0], "cpus": [0], "mems": [0], "memory_bytes": 256 << 20, "gpus": []}, "time_limit_ms": 0, "grace_ms": 2000,
            "fence": {"rule": "wait", "after_ms": 0}, "spec": spec, "job_name": "job-" + job,
            "log_path": "%s/logs/%s/%s.%s.log" % (self.root, job, attempt, rank),
            "outputs_path": "%s/outputs/%s/%s.%s" % (self.root, job, attempt, rank), "submitted_ms": int(time.time() * 1000), **more,
        }

    def order(self, task, command, **more):
        order = self.make_order(task, command, **more)
        with self.lock:
            self.orders[task] = order
        self.push({"type": "start", "order": order})
        return order

    # the executor

    def start(self, env=None, fault=None):
        command = [BERTH, "executor", "--socket", self.socket, "--secret-file", self.secret_file, "--state-dir", self.dir, "--name", "testnode"]
        if self.inventory:
            path = os.path.join(self.root, "inventory.json")
            with open(path, "w") as f:
                json.dump(self.inventory, f)
            command += ["--inventory", path]
        environment = clean_environment(**(env or {}))
        if fault:
            environment["BERTH_FAULT"] = fault
        self.executor = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env=environment, cwd="/")
        return self

    def kill(self, how=signal.SIGKILL):
        if self.executor and self.executor.poll() is None:
            self.executor.send_signal(how)
            self.executor.wait(60)

    # what tests wait for

    def of(self, task):
        return [e for e in self.events if e.get("task") == task]

    def types(self, task):
        return [e["state"] if e["type"] == "state" else e["type"] for e in self.of(task) if e["type"] != "note"]

    def wait(self, task, kind, deadline_s=60):
        def found():
            if self.executor and self.executor.poll() is not None:
                raise Failure("the executor has ended (%d) while the test waits for %s of %s" % (self.executor.returncode, kind, task))
            return next((e for e in self.of(task) if kind in (e["type"], e.get("state"))), None)
        return wait_for("%s of task %s (seen: %s)" % (kind, task, self.types(task)), found, deadline_s)

    def folder(self, task):
        return os.path.join(self.dir, "tasks", task)

    def text(self, task):
        job, attempt, rank = task.split(".")
        with contextlib.suppress(FileNotFoundError), open("%s/logs/%s/%s.%s.log" % (self.root, job, attempt, rank)) as f:
            return f.read()
        return ""
