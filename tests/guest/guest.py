"""A Debian 12 virtual machine for one run of the tests: boots the cached image under emulation, answers over SSH.

Owns the QEMU process and a temporary folder (ssh key, payload disk, console log, QEMU's overlay); close() ends both. The
base image is never written: all changes go to an overlay that dies with QEMU.
"""
import io
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BOOT_DEADLINE_S = 900
MEMORY_MB = 4096
CPUS = 2


class GuestError(Exception):
    pass


class Result:
    """What a command in the guest did: code is None when its deadline passed."""

    def __init__(self, command, code, out):
        self.command, self.code, self.out = command, code, out

    @property
    def ok(self):
        return self.code == 0

    def __str__(self):
        ended = "passed its deadline" if self.code is None else f"exit code {self.code}"
        return f"$ {self.command.strip()}\n{self.out.rstrip()}\n({ended})"


class Guest:
    def __init__(self, keep=False):
        self.keep = keep
        self.dir = tempfile.mkdtemp(prefix="berth-guest-")
        self.console = os.path.join(self.dir, "console.log")
        self.qemu = None
        self.port = None

    # --- building and booting

    def build_image(self):
        """Returns the folder of the image, built first where the cache has none."""
        built = subprocess.run([os.path.join(HERE, "build-image")], stdout=subprocess.PIPE, text=True, check=False)
        if built.returncode != 0:
            raise GuestError("the guest's image can't be built; tests/guest/build-image says why")
        return built.stdout.strip()

    def payload(self, trees):
        """Makes the second disk, a bare tar file: each (folder here, folder there) and this run's ssh key."""
        key = os.path.join(self.dir, "key")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "guest", "-f", key], check=True)
        path = os.path.join(self.dir, "payload.tar")

        def rooted(member):
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            return None if "__pycache__" in member.name else member

        with open(key + ".pub", "rb") as file:
            public = file.read()
        with tarfile.open(path, "w") as tar:
            for home in ("root", "home/alice", "home/bob", "home/carol"):
                folder = tarfile.TarInfo(f"{home}/.ssh")
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(folder)
                entry = tarfile.TarInfo(f"{home}/.ssh/authorized_keys")
                entry.size, entry.mode = len(public), 0o644
                tar.addfile(entry, io.BytesIO(public))
            for here, there in trees:
                tar.add(here, arcname=there.lstrip("/"), filter=rooted)
        # The disk has whole sectors.
        with open(path, "ab") as file:
            file.truncate((file.tell() + (1 << 20)) // (1 << 20) * (1 << 20))
        return path

    def boot(self, image, trees):
        payload = self.payload(trees)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", str(CPUS), "-m", str(MEMORY_MB),
            "-nodefaults", "-display", "none", "-no-reboot", "-serial", f"file:{self.console}",
            "-kernel", f"{image}/vmlinuz", "-initrd", f"{image}/initrd.img",
            "-append", "root=/dev/vda rw console=ttyS0 panic=-1",
            "-drive", f"file={image}/root.img,format=raw,if=virtio,snapshot=on",
            "-drive", f"file={payload},format=raw,if=virtio,readonly=on",
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{self.port}-:22",
            "-device", "virtio-net-pci,netdev=net",
            "-device", "virtio-rng-pci",
        ]  # fmt: skip
        environment = dict(os.environ, TMPDIR=self.dir)
        with open(os.path.join(self.dir, "qemu.log"), "wb") as log:
            self.qemu = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + BOOT_DEADLINE_S
        while time.monotonic() < deadline:
            if self.qemu.poll() is not None:
                raise GuestError(f"QEMU ended with {self.qemu.returncode}: {self.read('qemu.log')}")
            if self.run("true", timeout=20, mux=False).ok:
                return
            time.sleep(0.5)
        raise GuestError(f"no answer over SSH after {BOOT_DEADLINE_S} s; the console's end:\n{self.read('console.log')}")

    def read(self, name, tail=4000):
        try:
            with open(os.path.join(self.dir, name), "rb") as file:
                return file.read()[-tail:].decode(errors="replace")
        except OSError:
            return ""

    # --- commands

    def ssh(self, user, mux=True, tty=False):
        """The ssh command line up to the remote command. mux: over one kept connection per user, else a login of its own."""
        command = [
            "ssh", "-q", "-F", "none", "-i", os.path.join(self.dir, "key"), "-p", str(self.port), "-l", user,
            "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
            "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=10",
        ]  # fmt: skip
        if mux:
            command += ["-o", "ControlMaster=auto", "-o", "ControlPersist=3600", "-o", f"ControlPath={self.dir}/%r"]
        if tty:
            command.append("-tt")
        return command + ["127.0.0.1"]

    def logout(self, user):
        """Ends the user's kept connection, and with it the login session."""
        subprocess.run(
            self.ssh(user)[:-1] + ["-O", "exit", "127.0.0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip

    def run(self, script, user="root", timeout=300, mux=True):
        """Runs a bash script in the guest; stdout and stderr come back together."""
        command = self.ssh(user, mux) + ["bash", "-lc", shlex.quote(script)]
        # A kept connection's first command forks a master, which must not hold on to our pipe: files do not mind.
        with tempfile.TemporaryFile(dir=self.dir) as out:
            try:
                code = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=timeout, check=False
                ).returncode
            except subprocess.TimeoutExpired:
                code = None
            out.seek(0)
            return Result(f"[{user}] {script}", code, out.read().decode(errors="replace"))

    def start(self, script, user="root"):
        """Starts a bash script over a login of its own and returns the Popen, stdout a pipe of text lines."""
        return subprocess.Popen(
            self.ssh(user, mux=False) + ["bash", "-lc", shlex.quote(script)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip

    def until(self, script, user="root", timeout=300, every=1.0):
        """Runs the script again and again until it succeeds or the deadline passes; returns the last result."""
        deadline = time.monotonic() + timeout
        while True:
            result = self.run(script, user, timeout=max(30, deadline - time.monotonic()))
            if result.ok or time.monotonic() > deadline:
                return result
            time.sleep(every)

    def close(self):
        if self.qemu is not None and self.qemu.poll() is None:
            if self.keep:
                print(f"guest: kept, pid {self.qemu.pid}: {shlex.join(self.ssh('root', mux=False))}")
                return
            for user in ("alice", "bob", "carol"):
                self.logout(user)
            self.run("poweroff", timeout=30)
            try:
                self.qemu.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(self.qemu.pid, signal.SIGKILL)
                self.qemu.wait()
            self.logout("root")
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
