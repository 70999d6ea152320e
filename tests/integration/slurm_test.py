"""deploy/slurm under a real Slurm (slurmctld, slurmd, munged of Debian, all in one temporary folder on loopback): agents of a job
array join with the slots of their allocation; before the time limit they checkpoint, sign off and end well; the next job goes on; GPUs are those of the allocation."""

import getpass
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

from cluster import SPEC, Cluster, Skipped, free_port, run, until

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "slurm"
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "scontrol", "scancel", "sinfo")

CONF = """
ClusterName=strata
SlurmctldHost={host}({address})
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
SwitchType=switch/none
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2,batch_sched_delay=0
ReturnToService=2
KillWait=10
MinJobAge=600
GresTypes=gpu
NodeName={host} NodeAddr={address} Port={node_port} CPUs={cpus} Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """One controller and one machine. Use as a context; leaving it ends its jobs and its processes."""

    def __init__(self, folder, cpus):
        missing = [program for program in PROGRAMS if not self.find(program)]
        if missing:
            raise Skipped(f"Slurm is not here ({', '.join(missing)}): Debian's slurmctld, slurmd, slurm-client and munge (deploy/setup --all)")
        if os.geteuid() != 0:
            raise Skipped("slurmd starts jobs only as root")
        self.folder, self.cpus, self.processes = folder, cpus, []
        self.host = socket.gethostname().split(".")[0]

    @staticmethod
    def find(program):
        return shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")

    def __enter__(self):
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "slurm.conf").write_text(CONF.format(
            host=self.host, address="127.0.0.1", folder=self.folder, user=getpass.getuser(), cpus=self.cpus,
            controller_port=free_port(), node_port=free_port()))
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n")  # stand for GPUs
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        try:
            self.start("munged", "--foreground", "--force", f"--key-file={key}", f"--socket={self.folder}/munge.socket",
                       f"--pid-file={self.folder}/munged.pid", f"--seed-file={self.folder}/munge.seed", f"--log-file={self.folder}/munged.log")
            until((self.folder / "munge.socket").exists, 20, "munged")
            self.start("slurmctld", "-D", "-i", "-f", self.folder / "slurm.conf")
            self.start("slurmd", "-D", "-f", self.folder / "slurm.conf", "-N", self.host)
            until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T", check=False), 30, "a machine that is idle")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if len(self.processes) == 3:
            try:
                self.ask("scancel", "--user", getpass.getuser(), check=False)
                until(lambda: not self.ask("squeue", "--noheader", check=False).strip(), 20, "jobs to end")
            except AssertionError as error:
                print(error, file=sys.stderr)
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, program, *arguments):
        log = open(self.folder / f"{program}.out", "ab")
        self.processes.append(subprocess.Popen([self.find(program), *arguments], stdout=log, stderr=log, start_new_session=True))

    def ask(self, program, *arguments, check=True, **environment):
        for process in self.processes:
            assert process.poll() is None, f"{process.args[0]} ended: {self.logs()}"
        result = subprocess.run([program, *arguments], text=True, capture_output=True, timeout=60, cwd=self.folder,
                                env=dict(os.environ, SLURM_CONF=str(self.folder / "slurm.conf"), **environment))
        assert not check or result.returncode == 0, f"{program}: {result.stderr}{self.logs()}"
        return result.stdout

    def logs(self):
        return "".join(f"\n-- {path.name}\n{path.read_text(errors='replace')[-2000:]}" for path in sorted(self.folder.glob("*.out")))

    def submit(self, cluster, *options, agent=(), **environment):
        """Submits the agents' script; returns the job's number."""
        told = self.ask("sbatch", "--parsable", *options, f"--output={self.folder}/agent-%A_%a.log", str(DEPLOY / "agents.sbatch"),
                        "--coordinator", cluster.address, *agent, **environment, STRATA_SLURM=str(DEPLOY), STRATA_AGENT=cluster.program("worker/strata-agent"),
                        STRATA_STATE_DIR=str(cluster.home / "agents"))
        return told.strip()

    def states(self, job):
        return re.findall(r"JobState=(\w+)", self.ask("scontrol", "show", "job", job))


class ClusterOfSlurm(Cluster):
    """Its agents are Slurm's jobs."""

    def __enter__(self):
        self.start_coordinator()
        return self


def workers(cluster, state="WORKER_STATE_READY"):
    listed = json.loads(cluster.strata("workers", "--output", "json").stdout)["workers"]
    return {worker["name"].removeprefix("workers/"): worker.get("slots", []) for worker in listed if worker["state"] == state}


def attempts(cluster, experiment):
    return cluster.rows("SELECT job, number, outcome, resumed_from FROM attempts WHERE job LIKE ? ORDER BY job, number",
                        f"experiments/{experiment}/%/train")


def gpus_follow_the_allocation(cluster, slurm):
    """Two agents on one machine of two GPUs, one each: NVML tells each agent both, Slurm gives it one."""
    library = cluster.build / "tests" / "fake_nvml.so"
    if not library.exists():
        print(f"GPUs left out: {library} is not built", file=sys.stderr)
        return
    told = slurm.folder / "gpus.json"
    told.write_text(json.dumps({"gpus": [{"name": f"Model {i}", "uuid": f"GPU-{i}", "memory": 1 << 30, "quiet": True} for i in (0, 1)]}))
    job = slurm.submit(cluster, "--array=0-1", "--cpus-per-task=1", "--gres=gpu:1", "--time=5", agent=["--nvml-library", str(library)],
                       STRATA_FAKE_NVML=str(told))
    names = {f"slurm-{job}-0", f"slurm-{job}-1"}
    until(lambda: names <= set(workers(cluster)), 60, f"workers {names}")
    held = [[slot["device"] for slot in workers(cluster)[name]] for name in sorted(names)]
    assert sorted(map(len, held)) == [1, 1] and held[0] != held[1], f"one GPU each, and not the same: {held}"
    slurm.ask("scancel", "--batch", "--signal=TERM", job)
    until(lambda: set(slurm.states(job)) == {"COMPLETED"}, 60, "the agents to leave")


def main():
    cpus = len(os.sched_getaffinity(0))
    if cpus < 2:
        raise Skipped("two agents of one CPU each need two CPUs")
    with ClusterOfSlurm.from_arguments() as cluster, Slurm(cluster.home / "slurm", cpus) as slurm:
        cluster.add_dataset()
        # The limit is a minute, and Slurm looks at limits every half minute: the warning comes within this minute.
        job = slurm.submit(cluster, "--array=0-1", "--cpus-per-task=1", "--time=1", "--signal=B:TERM@30")
        names = {f"slurm-{job}-0", f"slurm-{job}-1"}
        until(lambda: names <= set(workers(cluster)), 60, f"workers {names}; {slurm.logs()}")
        slots = [slot for held in workers(cluster).values() for slot in held]
        assert len(slots) == 2 and len({slot["cores"] for slot in slots}) == 2, f"each agent has a CPU of its own: {slots}"

        experiment = cluster.submit(SPEC.format(name="slurm", updates=100000, schemes="b2t, pre_ln", seeds="1"))
        until(lambda: [state for _, state, *_ in cluster.trials(experiment)] == ["RUNNING"] * 2, 40, "both trainings")

        until(lambda: set(slurm.states(job)) == {"COMPLETED"}, 120, f"both agents to leave before the limit: {slurm.states(job)}")
        assert names <= set(workers(cluster, "WORKER_STATE_GONE")), "they have signed off"
        for log in sorted(slurm.folder.glob("agent-*.log")):
            assert "leaving: trainers are asked to write checkpoints" in log.read_text(), log.read_text()
        ended = attempts(cluster, experiment)
        assert [row[1:3] for row in ended] == [(1, "stopped")] * 2, ended
        assert cluster.rows("SELECT count(*) FROM artifacts WHERE kind = 'checkpoint_resumable'")[0][0] >= 2
        assert not cluster.trainer_pids()

        # The next job, of one agent with two slots: both trainings go on, at no cost to their retries.
        job = slurm.submit(cluster, "--array=7", "--cpus-per-task=2", "--time=5", "--signal=B:TERM@60")
        until(lambda: [row[1] for row in attempts(cluster, experiment)] == [1, 2] * 2, 60, f"the second attempts; {slurm.logs()}")
        until(lambda: [state for _, state, *_ in cluster.trials(experiment)] == ["RUNNING"] * 2, 40, "both trainings again")
        held = workers(cluster)[f"slurm-{job}-7"]
        assert [slot["index"] if "index" in slot else 0 for slot in held] == [0, 1], held
        assert all(row[3] and row[3] > 0 for row in attempts(cluster, experiment) if row[1] == 2), attempts(cluster, experiment)
        assert cluster.rows("SELECT max(failures) FROM jobs")[0][0] == 0
        assert not [path.name for path in (cluster.home / "agents").iterdir() if f"slurm-{job}" not in path.name], "left by ended agents"

        # Ended early, as the page says.
        cluster.strata("cancel", experiment)
        slurm.ask("scancel", "--batch", "--signal=TERM", job)
        until(lambda: slurm.states(job) == ["COMPLETED"], 60, f"the agent to leave: {slurm.states(job)}")
        gpus_follow_the_allocation(cluster, slurm)
        print(f"{len(ended)} trainings went on from updates {[row[3] for row in attempts(cluster, experiment) if row[1] == 2]}", file=sys.stderr)


run(main)
