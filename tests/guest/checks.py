"""What is checked in the guest, in order. Each check is a function of the guest that raises Failed, its name a sentence.

They build on one another: the first ones install and start the system's service, a later one takes it away again and goes
on as an ordinary user alone. Those marked `always` are needed by the rest and run whatever --only says.
"""
import json
import re
import shlex
import time

JOB_DEADLINE_S = 900
TERMINAL = ("Completed", "Failed", "Canceled")


class Failed(Exception):
    pass


def always(check):
    check.always = True
    return check


def expect(condition, message, *evidence):
    if not condition:
        raise Failed("\n".join([message] + [str(item) for item in evidence]))


def done(guest, script, user="root", timeout=JOB_DEADLINE_S, **options):
    """Runs a script that must succeed; returns its output."""
    result = guest.run(script, user, timeout, **options)
    expect(result.ok, "this failed:", result)
    return result.out


def show(guest, job, user):
    out = done(guest, f"berth show {shlex.quote(job)} -o json", user)
    try:
        return json.loads(out)
    except ValueError:
        raise Failed(f"berth show -o json printed no JSON:\n{out}") from None


def submit(guest, command, user, options="", folder=None, **run_options):
    """Submits a command from a folder of the user's own (so that it has code to take along) and returns the job's name."""
    folder = folder or f"/home/{user}/work"
    out = done(guest, f"mkdir -p {folder} && cd {folder} && berth submit {options} -- {command} 2>/tmp/submit.{user}", user, **run_options)
    job = out.strip().splitlines()[-1] if out.strip() else ""
    expect(re.fullmatch(r"[A-Za-z0-9._-]+", job), "berth submit must print the job's name", out)
    return job


def wait_state(guest, job, user, states, timeout=JOB_DEADLINE_S):
    deadline = time.monotonic() + timeout
    while True:
        shown = show(guest, job, user)
        if shown["state"] in states:
            return shown
        ended = shown["state"] in TERMINAL
        if ended or time.monotonic() > deadline:
            logs = guest.run(f"berth logs {job} | tail -n 30", user)
            raise Failed(f"{job} is {shown['state']}, not {' or '.join(states)}:\n{json.dumps(shown, indent=1)}\n{logs}")
        time.sleep(1)


def wait_log(guest, job, user, text, timeout=JOB_DEADLINE_S):
    """Waits until the job's log has the text; returns the log."""
    result = guest.until(f"berth logs {job} | grep -a -- {shlex.quote(text)} && berth logs {job}", user, timeout)
    expect(result.ok, f"{job}'s log never had {text!r}", result, guest.run(f"berth show {job}", user))
    return result.out


def cgroup_limits(guest, argument):
    """The limits in force, from outside, on the process with this argument: the nearest cgroup above it that sets each."""
    script = f"""
set -e
pid=$(pgrep -n -f '^(/bin/)?sleep 3600$' || true)
[ -n "$pid" ] || pid=$(pgrep -n -f {shlex.quote(argument)})
path=$(sed -n 's/^0:://p' /proc/$pid/cgroup)
echo "pid $pid"
echo "path $path"
for limit in memory.max memory.swap.max pids.max cpuset.cpus; do
    at=$path
    while [ -n "$at" ] && [ "$at" != / ]; do
        value=$(cat /sys/fs/cgroup$at/$limit 2>/dev/null || true)
        if [ -n "$value" ] && [ "$value" != max ]; then echo "$limit $value"; break; fi
        at=${{at%/*}}
    done
done
"""
    out = done(guest, script)
    return dict(line.split(" ", 1) for line in out.splitlines() if " " in line)


def check_limits(guest, user):
    job = submit(guest, "/opt/jobs/limits here", user, "--cpus 1 --memory 300M")
    log = wait_log(guest, job, user, "ready here")
    wait_state(guest, job, user, ("Running",))
    limits = cgroup_limits(guest, "sleep 3600")
    expect(f"user {user}" in log, f"the task must run as {user}", log)
    expect(int(limits.get("memory.max", 0)) == 300 << 20, "memory.max must be 300M", limits, log)
    expect(limits.get("pids.max", "").isdigit(), "a pids limit must be set", limits)
    expect(limits.get("cpuset.cpus") in ("0", "1"), "one of the two cores must be its own", limits)
    expect("nproc 1" in log, "the task must see one processor", log)
    # systemd looks after the groups above ours: a reload and a new unit must not take our limits away.
    done(guest, "systemctl daemon-reload && systemd-run --quiet --wait -p CPUWeight=50 true")
    again = cgroup_limits(guest, "sleep 3600")
    expect(again == limits, "the limits must stay through systemd's own changes", limits, again)
    done(guest, f"berth cancel {job}", user)
    wait_state(guest, job, user, ("Canceled",))
    left = guest.until(f"! test -e /sys/fs/cgroup{limits['path']}", timeout=120)
    expect(left.ok, "the task's cgroup must be gone after its end", limits, left)
    return limits


def check_oom(guest, user):
    bystander = submit(guest, "python3 /opt/jobs/count.py 100000 0", user, "--cpus 1 --memory 100M")
    wait_log(guest, bystander, user, "line 1")
    job = submit(guest, "python3 /opt/jobs/eat.py", user, "--cpus 1 --memory 200M")
    waited = guest.run(f"berth wait {job}", user, timeout=JOB_DEADLINE_S)
    shown = show(guest, job, user)
    expect(shown["state"] == "Failed", "it must have failed", json.dumps(shown, indent=1))
    cause = shown.get("cause") or {}
    expect(cause.get("kind") == "oom", "the cause must be oom", json.dumps(cause, indent=1))
    evidence = json.dumps(cause.get("evidence") or {})
    expect("oom_kill" in evidence, "the evidence must have the count of oom kills", evidence)
    expect(waited.code == shown["exit_code"] == 137, "exit code must be 137", waited, shown["exit_code"])
    text = done(guest, f"berth show {job}", user)
    expect(re.search(r"out of memory|oom|memory", text, re.I), "berth show must say so to people", text)
    expect(show(guest, bystander, user)["state"] == "Running", "another job must go on")
    done(guest, f"berth cancel {bystander}", user)
    wait_state(guest, bystander, user, ("Canceled",))


def check_counted(guest, job, user, last, code):
    """The job ran once, to its end, and its log is whole."""
    waited = guest.run(f"berth wait {job}", user, timeout=JOB_DEADLINE_S)
    shown = show(guest, job, user)
    expect(waited.code == code == shown["exit_code"], f"exit code must be {code}", waited, json.dumps(shown, indent=1))
    expect(shown["attempt"] == 1, "it must have run once", json.dumps(shown, indent=1))
    log = done(guest, f"berth logs {job}", user)
    expect(log == "".join(f"line {number}\n" for number in range(1, last + 1)), "its log must be whole", log)


def check_image(guest, user):
    done(guest, "/opt/jobs/make-image ~/image && mkdir -p ~/imagework && echo here >~/imagework/file", user)
    script = "id -u && cat file && touch /written && ls /written && echo kept >outputs/made"
    result = guest.run(f"cd ~/imagework && berth run --name image-{user} --image ~/image -- sh -c {shlex.quote(script)} 2>&1", user)
    expect(result.ok, "a job in a folder image must run", result, guest.run(f"berth show image-{user}", user))
    expect("0\nhere\n/written\n" in result.out, "root inside, with its code, on a root that it can write to", result)
    clean = guest.run("! test -e ~/image/written && ! test -e ~/imagework/outputs", user)
    expect(clean.ok, "the image folder and the code folder must be as they were", clean)
    fetched = guest.run(f"rm -rf ~/fetched && berth outputs image-{user} ~/fetched && find ~/fetched -name made -user {user} | xargs cat", user)
    expect("kept" in fetched.out, "its outputs must be the user's", fetched)


def digits(guest, user):
    done(guest, f"rm -rf ~/digits && cp -r /opt/digits ~/digits", user)
    follower = guest.start("cd ~ && berth submit digits/job.yml --follow", user)
    lines, seen_running = [], None
    for line in follower.stdout:
        lines.append(line)
        if seen_running is None and line.startswith("epoch 1/"):
            seen_running = guest.run("berth ps -o json", user, timeout=300)
    code = follower.wait()
    log = "".join(lines)
    expect(code == 0, "berth submit --follow must exit with the job's 0", log)
    accuracy = re.search(r"^test accuracy: (0\.9\d+)", log, re.M)
    expect(accuracy, "the log must end with a good test accuracy", log)
    expect(len(re.findall(r"^epoch \d+/20: ", log, re.M)) == 20, "every epoch must have its line", log)
    expect(seen_running and '"Running"' in seen_running.out, "the first epoch must be seen while the job runs", seen_running)


# --- with the system's service


@always
def installed_units_are_sound(guest):
    done(guest, "systemctl daemon-reload && berth --version")
    out = done(guest, "systemd-analyze verify berth.service 2>&1; systemctl show berth -p KillMode -p Delegate -p OOMPolicy")
    for setting in ("KillMode=process", "Delegate=yes", "OOMPolicy=continue"):
        expect(setting in out, f"the unit must have {setting}", out)
    expect("Unknown" not in out and "ignoring" not in out.lower(), "systemd must understand the whole unit", out)


@always
def service_starts_and_every_user_reaches_it(guest):
    result = guest.run("systemctl start berth", timeout=300)
    expect(result.ok, "systemctl start berth failed", result, guest.run("systemctl status berth; journalctl -u berth | tail -n 50"))
    answers = guest.until("berth node list -o json | grep -q '\"idle\"'", "bob", timeout=120)
    expect(answers.ok, "the node must be idle", answers, guest.run("berth node list", "bob"))
    mode = done(guest, "stat -c %a /run/berth/berth.sock; stat -c %a /var/lib/berth").split()
    expect(mode == ["666", "700"], "the socket is everybody's and the state nobody's", mode)


def digits_job_of_an_ordinary_user_streams_and_completes(guest):
    digits(guest, "bob")


def limits_are_set_on_cgroup_v2(guest):
    check_limits(guest, "bob")


def oom_kill_is_told_with_its_evidence(guest):
    check_oom(guest, "bob")
    done(guest, "systemctl is-active berth")


def job_lives_through_a_restart_of_the_service(guest):
    job = submit(guest, "python3 /opt/jobs/count.py 120 7", "bob", "--cpus 1 --memory 200M")
    wait_log(guest, job, "bob", "line 5")
    before = done(guest, "pgrep -f '[c]ount.py 120 7' | sort; systemctl show -p MainPID berth").split()
    result = guest.run("systemctl restart berth", timeout=300)
    expect(result.ok, "systemctl restart berth failed", result, guest.run("systemctl status berth; journalctl -u berth | tail -n 50"))
    after = done(guest, "pgrep -f '[c]ount.py 120 7' | sort; systemctl show -p MainPID berth").split()
    expect(before[:-1] == after[:-1] and before[:-1], "the job's processes must be the same", before, after)
    expect(before[-1] != after[-1], "the service must be another process", before, after)
    check_counted(guest, job, "bob", 120, 7)


def job_lives_through_a_kill_of_the_service(guest):
    job = submit(guest, "python3 /opt/jobs/count.py 120 9", "bob", "--cpus 1 --memory 200M")
    wait_log(guest, job, "bob", "line 5")
    before = done(guest, "pgrep -f '[c]ount.py 120 9' | sort").split()
    done(guest, "systemctl kill --kill-who=main --signal=KILL berth")
    back = guest.until("systemctl is-active berth && berth node list -o json | grep -q '\"running\"'", timeout=300)
    expect(back.ok, "the service must come back by itself and know the job", back, guest.run("systemctl status berth"))
    expect(done(guest, "pgrep -f '[c]ount.py 120 9' | sort").split() == before, "the job's processes must be the same", before)
    check_counted(guest, job, "bob", 120, 9)


def job_submitted_over_ssh_outlives_the_logout(guest):
    guest.logout("bob")
    job = submit(guest, "python3 /opt/jobs/count.py 100 3", "bob", "--cpus 1 --memory 200M", mux=False)
    gone = guest.until("! loginctl list-users --no-legend | grep -qw bob", timeout=300)
    expect(gone.ok, "bob's sessions must be over", gone)
    running = guest.run("pgrep -f '[c]ount.py 100 3'")
    expect(running.ok, "the job must run while bob is logged out", running)
    check_counted(guest, job, "bob", 100, 3)


def job_in_a_folder_image_is_root_inside_only(guest):
    check_image(guest, "bob")


def resolv_conf_that_links_into_run_is_readable(guest):
    link = done(guest, "readlink /etc/resolv.conf").strip()
    expect("run/systemd/resolve" in link, "the guest's resolv.conf must be a link into /run", link)
    outside = done(guest, "cat /etc/resolv.conf", "bob")
    job = submit(guest, "cat /etc/resolv.conf", "bob")
    guest.run(f"berth wait {job}", "bob", timeout=JOB_DEADLINE_S)
    inside = done(guest, f"berth logs {job}", "bob")
    expect(inside == outside and "nameserver" in inside, "a host job must read the same file", inside, outside)


@always
def stopped_service_is_named_and_not_replaced(guest):
    done(guest, "systemctl stop berth")
    result = guest.run("cd ~/work 2>/dev/null || cd ~; berth run --no-code -- true", "bob", timeout=120)
    expect(not result.ok and "systemctl start berth" in result.out, "the error must name the command that starts it", result)
    left = guest.run("pgrep -u bob -x berth", timeout=60)
    expect(not left.ok, "bob must not have started a second Berth", left)
    # As removing the service does: users are on their own from here.
    done(guest, "rm -rf /run/berth")


# --- an ordinary user alone


@always
def rootless_user_service_starts(guest):
    result = guest.run("systemctl --user start berth", "alice", timeout=300)
    expect(result.ok, "systemctl --user start berth failed", result, guest.run("systemctl --user status berth; journalctl --user -u berth | tail -n 50", "alice"))
    done(guest, "berth node list", "alice")


def rootless_digits_job_completes(guest):
    digits(guest, "alice")


def rootless_limits_are_set_in_a_delegated_cgroup(guest):
    limits = check_limits(guest, "alice")
    expect("/user@1000.service/" in limits["path"], "the cgroup must lie below alice's own systemd", limits)


def rootless_oom_kill_is_told_with_its_evidence(guest):
    check_oom(guest, "alice")


def rootless_job_in_a_folder_image_is_root_inside_only(guest):
    check_image(guest, "alice")


def rootless_job_lives_through_a_restart(guest):
    job = submit(guest, "python3 /opt/jobs/count.py 120 5", "alice", "--cpus 1 --memory 200M")
    wait_log(guest, job, "alice", "line 5")
    done(guest, "systemctl --user restart berth", "alice")
    check_counted(guest, job, "alice", 120, 5)


def rootless_job_with_lingering_outlives_the_logout(guest):
    done(guest, "systemctl --user stop berth", "alice")
    # This time as people do: no unit, `run` and `submit` start Berth from the login.
    job = submit(guest, "python3 /opt/jobs/count.py 100 4", "alice", "--cpus 1 --memory 200M", mux=False)
    guest.logout("alice")
    gone = guest.until("! loginctl list-sessions --no-legend | grep -qw alice || ! pgrep -u alice sshd", timeout=300)
    expect(gone.ok, "alice's sessions must be over", gone, guest.run("loginctl list-sessions"))
    running = guest.run("pgrep -f '[c]ount.py 100 4'")
    expect(running.ok, "the job must run while alice is logged out", running)
    check_counted(guest, job, "alice", 100, 4)
    done(guest, "berth down", "alice")


def rootless_without_lingering_is_told(guest):
    result = guest.run("berth doctor", "carol", timeout=300)
    expect("linger" in result.out, "berth doctor must say that logout would end jobs", result)
    result = guest.run("mkdir -p ~/work && cd ~/work && berth run -- true", "carol", timeout=JOB_DEADLINE_S)
    expect(result.ok, "a job must run all the same", result)
    expect("linger" in result.out, "and its first start must say so", result)
    # Started from the login, not from the user's systemd, the job lives on where logind leaves a session's processes.
    job = submit(guest, "python3 /opt/jobs/count.py 60 6", "carol", mux=False)
    guest.logout("carol")
    gone = guest.until("! pgrep -u carol sshd", timeout=300)
    expect(gone.ok, "carol's logins must be over", gone)
    check_counted(guest, job, "carol", 60, 6)
    done(guest, "berth down", "carol")


def nothing_is_left_behind(guest):
    left = guest.until("! pgrep -x berth && ! pgrep berth-shim && ! pgrep -x crun", timeout=120)
    expect(left.ok, "no process of Berth's may be left", guest.run("ps -ef | grep -i -e berth -e crun"))
    mounts = guest.run("grep -c berth /proc/mounts")
    expect(mounts.out.strip() == "0", "no mount may be left", guest.run("grep berth /proc/mounts"))


CHECKS = [
    installed_units_are_sound,
    service_starts_and_every_user_reaches_it,
    digits_job_of_an_ordinary_user_streams_and_completes,
    limits_are_set_on_cgroup_v2,
    oom_kill_is_told_with_its_evidence,
    job_lives_through_a_restart_of_the_service,
    job_lives_through_a_kill_of_the_service,
    job_submitted_over_ssh_outlives_the_logout,
    job_in_a_folder_image_is_root_inside_only,
    resolv_conf_that_links_into_run_is_readable,
    stopped_service_is_named_and_not_replaced,
    rootless_user_service_starts,
    rootless_digits_job_completes,
    rootless_limits_are_set_in_a_delegated_cgroup,
    rootless_oom_kill_is_told_with_its_evidence,
    rootless_job_in_a_folder_image_is_root_inside_only,
    rootless_job_lives_through_a_restart,
    rootless_job_with_lingering_outlives_the_logout,
    rootless_without_lingering_is_told,
    nothing_is_left_behind,
]
