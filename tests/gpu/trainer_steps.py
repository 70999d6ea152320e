"""The steps of tests/gpu/run --trainer: each is a function that returns what it found, with `passed`. They run the real programs."""
import ctypes
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "bench"))
import trainings  # noqa: E402

ADDRESS = "127.0.0.1"
# Sizes by device. `throughput`: depth, dim, ffn, heads, target tokens a batch: Table 7's and the paper's depths, and its wider model.
SIZES = {
    "cuda": {"small": ("6L-6L", 256, 1024, 4), "updates": 300, "vocabulary": 8000, "pairs": 4000, "length": 30,
             "throughput": [("6L-6L", 512, 2048, 8, 3584), ("12L-12L", 512, 2048, 8, 3584), ("18L-18L", 512, 2048, 8, 3584),
                            ("6L-6L", 1024, 4096, 8, 3584)],
             "throughput_vocabulary": 32000, "throughput_pairs": 20000, "seconds": 12},
    "cpu": {"small": ("2L-2L", 32, 64, 2), "updates": 60, "vocabulary": 100, "pairs": 400, "length": 12,
            "throughput": [("2L-2L", 32, 128, 2, 256)], "throughput_vocabulary": 500, "throughput_pairs": 400, "seconds": 3},
}
EXHAUSTED_SECONDS = 300
GPU_LIMIT, PROCESSOR_LIMIT = 3 << 30, 2 << 30  # bytes in which the model of `out_of_memory` fits, and its batch does not


class Steps:
    def __init__(self, build, device, folder):
        self.build, self.device, self.folder = os.path.abspath(build), device, folder
        self.sizes = SIZES[device]
        self.trainings = 0
        # Without a GPU in sight the CUDA build computes on the processor.
        self.environment = dict(os.environ) if device == "cuda" else dict(os.environ, CUDA_VISIBLE_DEVICES="")

    def program(self, name):
        folder = "worker" if name == "strata-trainer" else "tests"
        return os.path.join(self.build, folder, name)

    def dataset(self, name, pairs, length, vocabulary):
        folder = os.path.join(self.folder, name)
        if not os.path.exists(folder):
            subprocess.run([self.program("strata-bench-dataset"), folder, str(pairs), str(length), str(vocabulary)], check=True)
        return folder

    def small_dataset(self):
        return self.dataset("data", self.sizes["pairs"], self.sizes["length"], self.sizes["vocabulary"])

    def small_spec(self, **train):
        depth, dim, ffn, heads = self.sizes["small"]
        document = trainings.spec(dim, ffn, heads, depth, sentences=16, length=self.sizes["length"], ranks=1, threads=1)
        document["model"].update(attention_dropout=0.1, scheme="b2t")
        document["train"].update(dict(updates=self.sizes["updates"], validate_every=50, checkpoint_every=20, update_frequency=2), **train)
        return document

    def start(self, name, document, dataset, job="train", arguments=(), environment=None, before=None):
        """A trainer; (process, path of its spool)."""
        folder = os.path.join(self.folder, name)
        os.makedirs(folder, exist_ok=True)
        self.trainings += 1
        spool = os.path.join(folder, f"events-{self.trainings}")
        spec = os.path.join(folder, "spec.json")
        with open(spec, "w") as file:
            json.dump(document, file)
        with open(os.path.join(folder, "log"), "ab") as log:
            process = subprocess.Popen([self.program("strata-trainer"), "--spec", spec, "--job", job, "--dataset", dataset, "--out",
                                        os.path.join(folder, "out"), "--spool", spool, *arguments], stderr=log,
                                       env=environment or self.environment, preexec_fn=before)
        return process, spool

    def train(self, name, document, dataset, **more):
        """To its end: its last event."""
        process, spool = self.start(name, document, dataset, **more)
        process.wait()
        return last(spool)

    # The steps.

    def parity(self):
        """Our model against the authors' codes: tests/golden."""
        ended = subprocess.run([self.program("strata-golden"), "--device", self.device, os.path.join(ROOT, "tests", "golden", "data")],
                               stdout=subprocess.PIPE, env=dict(self.environment, CUBLAS_WORKSPACE_CONFIG=":4096:8"))
        cases = [json.loads(line) for line in ended.stdout.splitlines()]
        worst = {}
        for measure in ("logits_max_abs", "loss_rel", "grad_max_rel", "trajectory_max_rel"):
            worst[measure] = max((case[measure] for case in cases if isinstance(case.get(measure), float)), default=None)
        return {"passed": ended.returncode == 0, "cases": len(cases), "worst": worst,
                "beam_equal": [case["beam_equal"] for case in cases if case.get("beam_equal") is not None]}

    def resume(self):
        """A training that is killed and goes on ends in the bits of one that is not, and so does the same one again."""
        dataset, document = self.small_dataset(), self.small_spec()
        hashes = [self.train(name, document, dataset).get("weights_sha256") for name in ("undisturbed", "again")]
        process, spool = self.start("killed", document, dataset)
        while process.poll() is None and not any(event["kind"] == "resumable" for event in of_type(spool, "checkpoint")):
            time.sleep(0.005)
        killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
        ended, started = {}, {}
        if killed:
            process, spool = self.start("killed", document, dataset, arguments=["--resume"])
            process.wait()
            ended, started = last(spool), (of_type(spool, "started") or [{}])[0]
        hashes.append(ended.get("weights_sha256"))
        resumed_from = started.get("resumed_from")
        return {"passed": None not in hashes and len(set(hashes)) == 1 and bool(resumed_from), "hashes": hashes, "resumed_from": resumed_from}

    def collectives(self):
        """One rank through a process group, NCCL on a GPU and Gloo on processors: the bits of one without a group."""
        dataset, document = self.small_dataset(), self.small_spec()
        alone = self.train("alone", document, dataset)
        group = self.train("group", document, dataset, arguments=["--group-of-one", "--advertise-address", ADDRESS])
        hashes = [ended.get("weights_sha256") for ended in (alone, group)]
        return {"passed": None not in hashes and len(set(hashes)) == 1, "backend": "nccl" if self.device == "cuda" else "gloo",
                "hashes": hashes, "message": group.get("message")}

    def bf16(self):
        """Follows fp32, and repeats itself; or is refused, in one sentence, where the device lacks it."""
        dataset = self.small_dataset()
        fp32 = self.train("fp32", self.small_spec(), dataset)
        bf16 = [self.train(name, self.small_spec(precision="bf16"), dataset) for name in ("bf16", "bf16-again")]
        if bf16[0].get("type") == "failed":
            refused = bf16[0].get("cause") == "bad_spec" and "train.precision" in bf16[0].get("message", "")
            return {"passed": refused, "refused": bf16[0].get("message")}
        nlls = [ended.get("final_nll") for ended in (fp32, bf16[0])]
        near = all(isinstance(nll, float) for nll in nlls) and abs(nlls[1] - nlls[0]) < 0.02 * nlls[0]
        hashes = [ended.get("weights_sha256") for ended in bf16]
        return {"passed": near and hashes[0] == hashes[1] != fp32.get("weights_sha256"), "fp32_nll": nlls[0], "bf16_nll": nlls[1]}

    def probe(self):
        """Gradient norms and the rest of the diagnostics, all finite."""
        process, spool = self.start("probe", self.small_spec(), self.small_dataset(), job="probe")
        process.wait()
        rows = of_type(spool, "measurements")
        norms = [v["values"] for row in rows for v in row["vectors"] if v["name"] == "gradient_norm_output"]
        return {"passed": last(spool).get("type") == "finished" and bool(norms) and all(isinstance(n, float) for v in norms for n in v),
                "gradient_norm_output": norms}

    def out_of_memory(self):
        """A batch that does not fit fails as out_of_memory and says its shape."""
        dataset = self.dataset("long", 400, 200, 8000)
        document = trainings.spec(512, 2048, 8, "2L-2L", sentences=400, length=200, ranks=1, threads=1)
        limits = f"per_process_memory_fraction:{min(1, GPU_LIMIT / gpu_memory()):.6f}" if self.device == "cuda" else ""
        environment = dict(self.environment, PYTORCH_ALLOC_CONF=limits, PYTORCH_CUDA_ALLOC_CONF=limits)
        before = None if self.device == "cuda" else limit_memory
        process, spool = self.start("exhausted", document, dataset, environment=environment, before=before)
        try:
            process.wait(EXHAUSTED_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        ended = last(spool)
        return {"passed": ended.get("cause") == "out_of_memory" and "in update 1, with a batch of 400 sentences x" in ended.get("message", ""),
                "cause": ended.get("cause"), "message": ended.get("message")}

    def throughput(self):
        """Target tokens a second of whole trainings, at Table 7's sizes on a GPU."""
        dataset = self.dataset("wide", self.sizes["throughput_pairs"], self.sizes["length"], self.sizes["throughput_vocabulary"])
        rows = []
        for depth, dim, ffn, heads, tokens in self.sizes["throughput"]:
            for precision in ("fp32", "bf16"):
                document = trainings.spec(dim, ffn, heads, depth, 1, self.sizes["length"], ranks=1, threads=1)
                document["train"].update(max_tokens=tokens, precision=precision, log_every=1000)
                rows.append(dict(depth=depth, dim=dim, max_tokens=tokens, precision=precision, **self.speed(document, dataset)))
        return {"passed": all(row["target_tokens_per_second"] or row["refused"] for row in rows), "rows": rows}

    def speed(self, document, dataset):
        process, spool = self.start(f"throughput-{self.trainings}", document, dataset)
        began = None
        while process.poll() is None:
            time.sleep(0.1)
            if began is None and training(spool):
                began = time.monotonic()
            if began is not None and time.monotonic() - began > self.sizes["seconds"]:
                break
        process.kill()
        process.wait()
        events = training(spool)
        rates = [event["tokens_per_second"] for event in events[len(events) // 3:]]
        ended = last(spool)
        refused = ended.get("message") if ended.get("cause") == "bad_spec" and "train.precision" in ended["message"] else None
        return {"target_tokens_per_second": statistics.median(rates) if rates else None, "refused": refused,
                "failed": ended.get("message") if ended.get("type") == "failed" and not refused else None}


def limit_memory():
    """Of a trainer's address space, LibTorch and threads included."""
    resource.setrlimit(resource.RLIMIT_AS, (PROCESSOR_LIMIT, PROCESSOR_LIMIT))


def gpu_memory():
    """Bytes of the first GPU."""
    driver, total, device = ctypes.CDLL("libcuda.so.1"), ctypes.c_size_t(0), ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0) or driver.cuDeviceTotalMem_v2(ctypes.byref(total), device):
        raise OSError("the driver does not say how much memory the GPU has")
    return total.value


def events(spool):
    try:
        with open(spool) as file:
            return [json.loads(line) for line in file.read().split("\n")[:-1]]
    except FileNotFoundError:
        return []


def of_type(spool, kind):
    return [event for event in events(spool) if event["type"] == kind]


def last(spool):
    return (events(spool) or [{}])[-1]


def training(spool):
    return [event for event in of_type(spool, "progress") if event["phase"] == "train" and event["update"] > 0]


def run(build, device, only=()):
    """All steps, or those named: the object that tests/gpu/run prints."""
    names = ["parity", "resume", "collectives", "bf16", "probe", "out_of_memory", "throughput"]
    unknown = sorted(set(only) - set(names))
    if unknown:
        sys.exit(f"tests/gpu/run: there is no step {', '.join(unknown)}. There are: {', '.join(names)}.")
    found = {"device": device, "steps": {}}
    with tempfile.TemporaryDirectory(prefix="strata-gpu-") as folder:
        steps = Steps(build, device, folder)
        for name in names:
            if only and name not in only:
                continue
            print(f"-- {name}", file=sys.stderr)
            began = time.monotonic()
            try:
                result = getattr(steps, name)()
            except Exception as error:  # one step's fault leaves the others
                result = {"passed": False, "error": f"{type(error).__name__}: {error}"}
            found["steps"][name] = dict(result, seconds=round(time.monotonic() - began, 1))
        for started in (event for path in spools(folder) for event in of_type(path, "started")):
            found.update({"device_name": started["device"], "libtorch": started["libtorch"], "build": started["build"]})
    found["passed"] = all(step["passed"] for step in found["steps"].values())
    return found


def spools(folder):
    return [os.path.join(path, file) for path, _, files in os.walk(folder) for file in files if file.startswith("events-")]
