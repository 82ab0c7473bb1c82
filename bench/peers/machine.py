"""What every peer states about where its figures come from."""

import platform
import resource
from importlib.metadata import version
from pathlib import Path

INTERESTING = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")


def describe(*packages, device="cpu"):
    """Versions of the given pip packages; processor, its relevant instruction sets and threads, or the GPU."""
    import torch

    versions = {name: version(name) for name in packages}
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        return {
            "versions": {**versions, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()},
            "gpu": gpu.name,
        }

    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    flags = fields.get("flags", "").split()
    return {
        "versions": versions,
        "processor": fields.get("model name", platform.machine()),
        "isa": [name for name in INTERESTING if name in flags],
        "torchIsa": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def peak_rss():
    """The most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
