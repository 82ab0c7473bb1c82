"""Where a peer computes, how its calls are timed there, and models of random weights that are made there."""

import json
import time
from pathlib import Path

import torch

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def seconds(run, device, enough=0.3):
    """Time of a call on a device that does nothing else: the best of at least three samples of back-to-back calls, each
    10 ms long or more."""

    def sample(calls):
        synchronize(device)
        began = time.perf_counter()
        for _ in range(calls):
            run()
        synchronize(device)
        return time.perf_counter() - began

    sample(2)
    calls, took = 1, sample(1)
    while took < 0.01:
        calls = max(calls + 1, int(calls * min(10, 0.01 / took)))
        took = sample(calls)
    times, spent = [took / calls], took
    while spent < enough or len(times) < 3:
        took = sample(calls)
        times.append(took / calls)
        spent += took
    return min(times)


def shape_config(path, layers=None):
    """The transformers configuration of a file of models/shapes; `layers`: only so many of them."""
    from transformers import AutoConfig

    fields = json.loads(Path(path).read_text(encoding="utf-8"))
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    if layers:
        config.num_hidden_layers = layers
        if getattr(config, "layer_types", None):
            config.layer_types = config.layer_types[:layers]
    return config


def random_model(config, dtype, device, attention="sdpa"):
    """A causal language model of random weights (normal, standard deviation 0.02; norms are ones)."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(DTYPES[dtype])
    try:
        with torch.device(device):
            model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    finally:
        torch.set_default_dtype(before)
    model.config.use_cache = False
    return model.eval()
