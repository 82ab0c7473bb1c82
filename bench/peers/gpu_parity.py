"""The oracle at real widths: a random checkpoint, an adapter, a batch, and what transformers + PEFT compute with them
in f32 and in bf16.

    python3 bench/peers/gpu_parity.py --shape models/shapes/llama-3.1-8b.json --layers 2 --out DIR --device cuda

Writes DIR/model (Hugging Face folder, BF16), DIR/adapter (PEFT folder) and DIR/truth.safetensors: input_ids and labels
[rows, T] (i32), and of the f32 run `loss` [1] and `grad.<name>`, the gradient of every adapter tensor. Prints one JSON
line: loss, gradient norm, and how far PyTorch's own bf16 run (bf16 base, f32 adapter) is from the f32 run.
"""

import argparse
import json
from pathlib import Path

import torch
from device import random_model, shape_config
from machine import describe
from peft_run import count_targets, load_model, new_adapter, save_adapter, token_losses, trainable
from safetensors.torch import save_file
from transformers.utils.logging import disable_progress_bar


def spread(model):
    """Norms around 1 and biases that are not 0, so that leaving one out would show."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith("norm.weight"):
                p.normal_(1, 0.1)
            elif name.endswith("bias"):
                p.normal_(0, 0.1)


def spread_adapter(model):
    """A as PEFT makes it, B no longer zero."""
    with torch.no_grad():
        for name, p in trainable(model).items():
            if "lora_B" in name:
                p.normal_(0, 0.02)


def gradients(model, ids, labels):
    """Loss, the mean over the targets of all rows, and its gradients by name, one row after the other."""
    targets = count_targets(list(zip(ids.tolist(), labels.tolist())))
    loss = 0.0
    for row_ids, row_labels in zip(ids.split(1), labels.split(1)):
        part = token_losses(model(input_ids=row_ids).logits, row_labels).sum() / targets
        part.backward()
        loss += part.item()
    grads = {name: p.grad.float().cpu().contiguous() for name, p in trainable(model).items()}
    model.zero_grad(set_to_none=True)
    return loss, grads


def norm(tensors):
    return torch.sqrt(sum(t.double().square().sum() for t in tensors)).item()


def errors(got, want):
    """Relative error of all gradients as one vector, and of each tensor 1 - cosine: mean and largest."""
    difference = norm([got[name] - want[name] for name in want]) / norm(want.values())
    cosines = [
        1 - torch.cosine_similarity(got[n].double().flatten(), want[n].double().flatten(), dim=0).item() for n in want
    ]
    return {"gradients": difference, "cosineMean": sum(cosines) / len(cosines), "cosineLargest": max(cosines)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", required=True, help="a file of models/shapes")
    parser.add_argument("--layers", type=int, default=0, help="only so many layers (default all)")
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--r", type=int, default=8)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()

    disable_progress_bar()
    out = Path(args.out)
    base = random_model(shape_config(args.shape, args.layers), "bf16", args.device)
    spread(base)
    base.save_pretrained(out / "model")
    ids = torch.randint(0, base.config.vocab_size, (args.rows, args.seq_len), device=args.device)
    labels = ids.clone()
    labels[:, : args.seq_len // 4] = -100

    del base
    model = new_adapter(load_model(out / "model", "f32").to(args.device), args.r, 2 * args.r)
    spread_adapter(model)
    save_adapter(model, out / "adapter", "model")
    adapter = {name: p.detach().clone() for name, p in trainable(model).items()}
    loss, want = gradients(model, ids, labels)
    save_file(
        {
            "input_ids": ids.int().cpu(),
            "labels": labels.int().cpu(),
            "loss": torch.tensor([loss]),
            **{f"grad.{k}": v for k, v in want.items()},
        },
        out / "truth.safetensors",
    )
    del model

    model = new_adapter(load_model(out / "model", "bf16").to(args.device), args.r, 2 * args.r)
    with torch.no_grad():
        for name, p in trainable(model).items():
            p.copy_(adapter[name])
    bf16_loss, got = gradients(model, ids, labels)
    print(json.dumps({
        **describe("torch", "transformers", "peft", device=args.device),
        "loss": loss,
        "gradNorm": norm(want.values()),
        "bf16": {
            "loss": abs(bf16_loss - loss),
            "gradNorm": abs(norm(got.values()) / norm(want.values()) - 1),
            **errors(got, want),
        },
    }))  # fmt: skip


if __name__ == "__main__":
    main()
