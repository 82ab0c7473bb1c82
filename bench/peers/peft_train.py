"""Throughput of a LoRA training step with PyTorch + PEFT; prints one JSON line.

    python3 bench/peers/peft_train.py --model DIR|smollm2-135m-random --dtype bf16 --batch 2 --seq 1024 --steps 3

The default settings are the fastest found for an ordinary user on the CPU (README.md): SDPA attention, adapters on all projections, AdamW,
no gradient checkpointing, no autocast.
"""

import argparse
import json
import statistics
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from machine import describe, peak_rss
from peft_run import load_model, new_adapter, trainable
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.utils.logging import disable_progress_bar

RANDOM = "smollm2-135m-random"


def random_smollm2(dtype):
    """Random weights of SmolLM2-135M's shape."""
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=8192, rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0}, use_cache=False,
    )  # fmt: skip
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").to(dtype).eval()


def open_base(name, dtype, attention="sdpa"):
    """A checkpoint folder, or the random model."""
    disable_progress_bar()
    if name == RANDOM:
        model = random_smollm2({"f32": torch.float32, "bf16": torch.bfloat16}[dtype])
        model.config._attn_implementation = attention
        return model
    return load_model(name, dtype, attention)


def attention_kernel(run):
    """The attention op that PyTorch picks in `run`, by its profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    names = {event.key for event in profile.key_averages()}
    found = sorted(n for n in names if "scaled_dot_product" in n and not n.endswith("backward"))
    return found[0] if len(found) == 1 else next((n for n in found if n != "aten::scaled_dot_product_attention"), "eager")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=RANDOM)
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--r", type=int, default=16)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seq", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=3, help="measured steps, after one that is not")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--adapter-dtype", choices=["f32", "bf16"], default="f32", help="of the adapter under a bf16 base")
    parser.add_argument("--autocast", action="store_true", help="torch.autocast, as Trainer with bf16=True")
    parser.add_argument("--compile", action="store_true", help="torch.compile (needs a C++ compiler)")
    args = parser.parse_args()

    if args.threads:
        torch.set_num_threads(args.threads)
    model = new_adapter(open_base(args.model, args.dtype, args.attention), args.r, 2 * args.r, adapter_dtype=args.adapter_dtype)
    vocabulary = model.config.vocab_size
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=1e-4, weight_decay=0.01)
    forward = torch.compile(model) if args.compile else model
    torch.manual_seed(0)

    def step():
        ids = torch.randint(0, vocabulary, (args.batch, args.seq))
        with torch.autocast("cpu", torch.bfloat16) if args.autocast else nullcontext():
            loss = forward(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainable(model).values(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def probe():
        with torch.no_grad():
            model(input_ids=torch.randint(0, vocabulary, (1, 64)))

    kernel = attention_kernel(probe)
    tokens, rates, cpu_rates = args.batch * args.seq, [], []
    for _ in range(args.steps + 1):
        began, cpu_began = time.perf_counter(), time.process_time()
        step()
        rates.append(tokens / (time.perf_counter() - began))
        cpu_rates.append(tokens / (time.process_time() - cpu_began))
    print(json.dumps({
        "peer": "peft",
        **describe("torch", "transformers", "peft"),
        "model": Path(args.model).name,
        "dtype": args.dtype,
        "settings": {key: getattr(args, key) for key in ("r", "batch", "seq", "attention", "adapter_dtype", "autocast", "compile")},
        "attentionKernel": kernel,
        "tokensPerSecond": {"median": statistics.median(rates[1:]), "first": rates[0], "steps": rates[1:]},
        "tokensPerCpuSecond": statistics.median(cpu_rates[1:]),
        "peakRssBytes": peak_rss(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
