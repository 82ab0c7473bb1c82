"""Throughput of a LoRA training step with PyTorch + PEFT; prints one JSON line.

    python3 bench/peers/peft_train.py --model DIR | --shape models/shapes/smollm2-135m.json --dtype bf16 --batch 2 \
      --seq 1024 --steps 3
    python3 bench/peers/peft_train.py --shape models/shapes/qwen3-8b.json --device cuda --batch 4 --seq 4096 [--liger]

The default settings are the fastest found for an ordinary user on the CPU (README.md): SDPA attention, adapters on all
projections, AdamW, no autocast. A step that does not fit in memory is split into micro-batches, and only then gradient
checkpointing is turned on. """

import argparse
import json
import statistics
import time
from contextlib import nullcontext
from pathlib import Path

STARTED = time.perf_counter()  # before PyTorch loads

import torch
from device import random_model, shape_config, synchronize
from machine import describe, peak_rss
from peft_run import load_model, new_adapter, trainable
from transformers.utils.logging import disable_progress_bar

SHAPE = Path(__file__).resolve().parents[2] / "models" / "shapes" / "smollm2-135m.json"


def add_model_arguments(parser):
    parser.add_argument("--model", help="Hugging Face folder; without it random weights")
    parser.add_argument(
        "--shape", default=str(SHAPE), help="config.json of the random weights: a file of models/shapes"
    )
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--threads", type=int, default=0)


def open_base(args):
    """The checkpoint of `--model`, or random weights of `--shape`, and its name."""
    disable_progress_bar()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.model:
        return load_model(args.model, args.dtype, args.attention).to(args.device), Path(args.model).name
    return random_model(shape_config(args.shape), args.dtype, args.device, args.attention), Path(args.shape).stem


def attention_kernel(run):
    """The attention op that PyTorch picks in `run`, by its profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    names = {event.key for event in profile.key_averages()}
    found = sorted(n for n in names if "scaled_dot_product" in n and not n.endswith("backward"))
    return (
        found[0] if len(found) == 1 else next((n for n in found if n != "aten::scaled_dot_product_attention"), "eager")
    )


def apply_liger(model):
    """Liger's kernels in place of the model's norms, RoPE, SwiGLU and loss."""
    from liger_kernel.transformers import _apply_liger_kernel_to_instance

    _apply_liger_kernel_to_instance(model=model)


def plans(batch):
    """(rows of a micro-batch, gradient checkpointing), the fastest first."""
    rows = batch
    while rows > 0:
        yield rows, False
        rows //= 2
    yield 1, True


def make_step(args, model, forward, optimizer, micro_batch):
    vocabulary = model.config.vocab_size

    def step():
        for _ in range(args.batch // micro_batch):
            ids = torch.randint(0, vocabulary, (micro_batch, args.seq), device=args.device)
            with torch.autocast(args.device, torch.bfloat16) if args.autocast else nullcontext():
                loss = forward(input_ids=ids, labels=ids).loss * micro_batch / args.batch
            loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable(model).values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        synchronize(args.device)

    return step


def first_step(args, model, forward, optimizer):
    """A step of the first plan that fits, after it has run once; its plan; how long it took."""
    for micro_batch, checkpointing in plans(args.batch):
        if checkpointing:
            model.enable_input_require_grads()
            model.gradient_checkpointing_enable({"use_reentrant": False})
            model.train()  # transformers checkpoints in training mode only; there is no dropout
        step = make_step(args, model, forward, optimizer, micro_batch)
        try:
            began = time.perf_counter()
            step()
            return step, (micro_batch, checkpointing), time.perf_counter() - began
        except torch.OutOfMemoryError:
            optimizer.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
    raise SystemExit("not enough memory for one row, even with gradient checkpointing")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    parser.add_argument("--r", type=int, default=16)
    parser.add_argument("--batch", type=int, default=2, help="rows of a step")
    parser.add_argument("--seq", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=3, help="measured steps, after one that is not")
    parser.add_argument(
        "--adapter-dtype", choices=["f32", "bf16"], default="f32", help="of the adapter under a bf16 base"
    )
    parser.add_argument("--autocast", action="store_true", help="torch.autocast, as Trainer with bf16=True")
    parser.add_argument("--liger", action="store_true", help="with Liger's kernels")
    parser.add_argument("--compile", action="store_true", help="torch.compile (needs a C++ compiler)")
    args = parser.parse_args()

    base, name = open_base(args)
    if args.liger:
        apply_liger(base)
    model = new_adapter(base, args.r, 2 * args.r, adapter_dtype=args.adapter_dtype)
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=1e-4, weight_decay=0.01, fused=args.device == "cuda")
    forward = torch.compile(model) if args.compile else model
    torch.manual_seed(0)

    def probe():
        with torch.no_grad():
            model(input_ids=torch.randint(0, model.config.vocab_size, (1, min(args.seq, 64)), device=args.device))

    step, (micro_batch, checkpointing), first = first_step(args, model, forward, optimizer)
    until_first = time.perf_counter() - STARTED
    kernel = attention_kernel(probe)
    tokens, rates, cpu_rates = args.batch * args.seq, [], []
    for _ in range(args.steps):
        began, cpu_began = time.perf_counter(), time.process_time()
        step()
        rates.append(tokens / (time.perf_counter() - began))
        cpu_rates.append(tokens / (time.process_time() - cpu_began))
    settings = {
        key: getattr(args, key)
        for key in ("r", "batch", "seq", "attention", "adapter_dtype", "autocast", "liger", "compile")
    }
    print(json.dumps({
        "peer": "peft",
        **describe("torch", "transformers", "peft", device=args.device),
        "model": name,
        "dtype": args.dtype,
        "settings": {**settings, "microBatch": micro_batch, "checkpointing": checkpointing},
        "attentionKernel": kernel,
        "tokensPerSecond": {"median": statistics.median(rates), "first": tokens / first, "steps": rates},
        "firstStepSeconds": until_first,
        "tokensPerCpuSecond": statistics.median(cpu_rates),
        "peakRssBytes": peak_rss(),
        "peakDeviceBytes": torch.cuda.max_memory_reserved() if args.device == "cuda" else None,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
