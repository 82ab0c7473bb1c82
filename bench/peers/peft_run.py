"""LoRA training with transformers + PEFT, in the terms of `train-msm midtrain`: the oracle that its runs are compared
with.

    python3 bench/peers/peft_run.py --model DIR --data rows.jsonl --out OUT --max-steps 20 --batch-size 4 \
      --micro-batch 2

Rows are {"input_ids": [...], "labels": [...]} (labels as long as input_ids, -100 is no target; without labels every
token is a target), taken in the order of the file, again from the start when they run out. A row's first token is never
a target. The loss of a step is the mean over all target tokens of its rows, whatever the micro-batch. One JSON object a
step goes to standard output, with the names of train-msm's log.jsonl. OUT/start is the adapter that training began from
(give it to train-msm as --adapter), OUT/adapter the trained one.
"""

import argparse
import json
import math
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f64": torch.float64}
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
IGNORED = -100


def load_model(folder, dtype="f32", attention="sdpa"):
    """The checkpoint's causal language model in the given dtype, ready for training (no dropout in any of the
    families)."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype], attn_implementation=attention)
    model.config.use_cache = False
    return model.eval()


def new_adapter(model, r, alpha, targets=PROJECTIONS, rslora=False, seed=0, adapter_dtype="f32"):
    """Adds a LoRA adapter with PEFT's own initialisation. PEFT keeps it in f32 under a bf16 base unless told
    otherwise."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=r,
        lora_alpha=alpha,
        target_modules=list(targets),
        use_rslora=rslora,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config, autocast_adapter_dtype=adapter_dtype == "f32")


def load_adapter(model, folder):
    """Continues the adapter in a PEFT folder."""
    return PeftModel.from_pretrained(model, folder, is_trainable=True)


def save_adapter(model, folder, base):
    """Writes the PEFT folder; `base` is the name of the checkpoint it records. PEFT's model card is left out."""
    for config in model.peft_config.values():
        config.base_model_name_or_path = base
        config.target_modules = sorted(config.target_modules)
    model.save_pretrained(folder, save_embedding_layers=False)
    (Path(folder) / "README.md").unlink(missing_ok=True)


def trainable(model):
    """The adapter's tensors, by the names they have in adapter_model.safetensors."""
    return {name.replace(".default.", "."): p for name, p in model.named_parameters() if p.requires_grad}


def read_rows(path):
    """The (input_ids, labels) lists of a JSONL file."""
    rows = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                record = json.loads(line)
                rows.append((record["input_ids"], record.get("labels") or record["input_ids"]))
    return rows


def batch(rows):
    """Rows as two tensors, padded on the right. Padding is never a target and causal attention never looks at it."""
    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([list(ids) + [0] * (length - len(ids)) for ids, _ in rows])
    labels = torch.tensor([list(labels) + [IGNORED] * (length - len(labels)) for _, labels in rows])
    return ids, labels


def token_losses(logits, labels):
    """Cross-entropy of each next token, [rows, length - 1], 0 where the label is no target; in f32, or f64 if the
    logits are."""
    logits = logits if logits.dtype == torch.float64 else logits.float()
    targets = labels[:, 1:]
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")


def count_targets(rows):
    """Target tokens of the rows: labels that are not -100, the first of each row aside."""
    return sum(label != IGNORED for _, labels in rows for label in labels[1:])


def make_schedule(name, optimizer, warmup, steps):
    """transformers' schedule. A warm-up below 1 is a share of the steps, otherwise a number of steps."""
    warmup = math.ceil(warmup * steps) if warmup < 1 else int(warmup)
    if name == "constant":
        return get_constant_schedule_with_warmup(optimizer, warmup)
    make = {"cosine": get_cosine_schedule_with_warmup, "linear": get_linear_schedule_with_warmup}[name]
    return make(optimizer, warmup, steps)


def train(
    model,
    rows,
    steps,
    batch_size,
    micro_batch,
    lr,
    warmup=0,
    schedule="cosine",
    weight_decay=0.01,
    clip=1.0,
    autocast=False,
):
    """Trains the adapter; yields one record a step."""
    parameters = list(trainable(model).values())
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=weight_decay)
    scheduler = make_schedule(schedule, optimizer, warmup, steps)
    for step in range(steps):
        began = time.perf_counter()
        chosen = [rows[(step * batch_size + i) % len(rows)] for i in range(batch_size)]
        targets = count_targets(chosen)
        loss = 0.0
        for first in range(0, batch_size, micro_batch):
            ids, labels = batch(chosen[first : first + micro_batch])
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                logits = model(input_ids=ids).logits
            part = token_losses(logits, labels).sum() / targets
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(parameters, clip if clip > 0 else math.inf).item()
        rate = scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        tokens = sum(len(ids) for ids, _ in chosen)
        yield {
            "type": "step",
            "step": step + 1,
            "loss": loss,
            "gradNorm": norm,
            "lr": rate,
            "tokens": tokens,
            "targetTokens": targets,
            "tokensPerSecond": tokens / (time.perf_counter() - began),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="Hugging Face folder")
    parser.add_argument("--data", required=True, help="JSONL of input_ids and labels")
    parser.add_argument("--out", required=True)
    parser.add_argument("--adapter", help="PEFT folder to continue; without it a new one is made")
    parser.add_argument("--r", type=int, default=64)
    parser.add_argument("--alpha", type=float, default=128)
    parser.add_argument("--rslora", action="store_true")
    parser.add_argument("--targets", default=",".join(PROJECTIONS), help="comma-separated module names (q_proj,...)")
    parser.add_argument("--max-steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=4, help="rows an optimiser step")
    parser.add_argument("--micro-batch", type=int, default=1, help="rows a forward and backward pass")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--warmup", type=float, default=0)
    parser.add_argument("--schedule", choices=["cosine", "linear", "constant"], default="cosine")
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--clip", type=float, default=1.0, help="0: no clipping")
    parser.add_argument("--dtype", choices=["f32", "bf16"], default="f32")
    parser.add_argument(
        "--autocast", action="store_true", help="run the passes under torch.autocast, as Trainer does with bf16=True"
    )
    parser.add_argument("--attention", choices=["sdpa", "eager"], default="sdpa")
    parser.add_argument("--seed", type=int, default=0, help="of a new adapter")
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()

    if args.threads:
        torch.set_num_threads(args.threads)
    model = load_model(args.model, args.dtype, args.attention)
    if args.adapter:
        model = load_adapter(model, args.adapter)
    else:
        model = new_adapter(model, args.r, args.alpha, args.targets.split(","), args.rslora, args.seed)
    out, base = Path(args.out), Path(args.model).name
    save_adapter(model, out / "start", base)
    records = train(
        model, read_rows(args.data), args.max_steps, args.batch_size, args.micro_batch,
        args.lr, args.warmup, args.schedule, args.weight_decay, args.clip, args.autocast,
    )  # fmt: skip
    with open(out / "log.jsonl", "w", encoding="utf-8") as log:
        for record in records:
            line = json.dumps(record)
            print(line, flush=True)
            log.write(line + "\n")
    save_adapter(model, out / "adapter", base)


if __name__ == "__main__":
    main()
