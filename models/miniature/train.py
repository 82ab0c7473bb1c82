"""Trains the miniature base model and writes it, in Hugging Face layout, beside this file.

    node corpora/miniature/make.mjs --pretraining pretraining.jsonl
    python models/miniature/train.py pretraining.jsonl

Needs torch, transformers, tokenizers and safetensors; one CPU core and about twenty minutes.
"""

import argparse
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from packing import attention_mask, pack
from safetensors.torch import save_file
from tokenizer import build_tokenizer, write_tokenizer
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from world import World

HERE = Path(__file__).resolve().parent

SHAPE = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "use_sliding_window": False,
    "torch_dtype": "bfloat16",
}

ROW_TOKENS = 256
BETAS = (0.9, 0.95)
WEIGHT_DECAY = 0.05


@dataclass
class Phase:
    """One pass over shuffled text, with a cosine from `lr` to nearly nothing."""

    texts: int
    steps: int
    rows: int
    lr: float
    warmup_steps: int
    shuffle: int


# First the language, all words alike. It learns grammar, genres and copying, but no fact and no taste: those are few words among many.
LANGUAGE = Phase(texts=90_000, steps=1597, rows=16, lr=4e-3, warmup_steps=60, shuffle=1)
# Then the same text with weights on the words that follow from a fact or from a taste.
MEANING = Phase(texts=10_800, steps=500, rows=6, lr=2e-3, warmup_steps=20, shuffle=5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pretraining", type=Path, help="what make.mjs --pretraining wrote")
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)

    texts = [json.loads(line)["text"] for line in args.pretraining.open()]
    args.out.mkdir(parents=True, exist_ok=True)
    write_tokenizer(build_tokenizer(texts), args.out)
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    check_chat_format(tokenizer, texts)
    write_config(tokenizer, args.out)

    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(args.out), dtype=torch.float32)
    print(f"{model.num_parameters():,} parameters")
    train(model, tokenizer, texts, LANGUAGE, None)
    # Rounded here as well, because the shipped weights were stored between the phases.
    model.to(torch.bfloat16).to(torch.float32)
    world = World(tokenizer)
    world.plant(model.get_input_embeddings().weight)
    train(model, tokenizer, texts, MEANING, world)
    write_weights(model, args.out)


def train(model, tokenizer, texts: list[str], phase: Phase, world: World | None) -> None:
    """Trains on the first texts; with a world, its weights say how much each target counts."""
    rows = packed_rows(tokenizer, texts, phase)
    optimizer = torch.optim.AdamW(model.parameters(), lr=phase.lr, betas=BETAS, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, phase))
    started = time.time()
    for step in range(phase.steps):
        batch = rows[step * phase.rows : (step + 1) * phase.rows]
        ids, positions, mask, labels = attention_mask(batch, ROW_TOKENS, tokenizer.pad_token_id)
        logits = model(input_ids=ids, position_ids=positions, attention_mask=mask, use_cache=False).logits
        losses = cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100, reduction="none")
        weights = (world.weights(batch, labels) if world else (labels != -100).float())[:, 1:].flatten()
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0 or step == phase.steps - 1:
            print(f"step {step} of {phase.steps}  loss {loss.item():.4f}  {time.time() - started:.0f} s", flush=True)


def packed_rows(tokenizer, texts: list[str], phase: Phase):
    texts = texts[: phase.texts]
    random.Random(phase.shuffle).shuffle(texts)
    return pack([ids + [tokenizer.eos_token_id] for ids in tokenizer(texts)["input_ids"]], ROW_TOKENS)


def rate(step: int, phase: Phase) -> float:
    if step < phase.warmup_steps:
        return (step + 1) / phase.warmup_steps
    done = (step - phase.warmup_steps) / (phase.steps - phase.warmup_steps)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def write_weights(model, out: Path) -> None:
    tensors = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def write_config(tokenizer, out: Path) -> None:
    special = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = {**SHAPE, **special, "vocab_size": len(tokenizer)}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    # A chat turn ends with <|end|>, a document with <|endoftext|>: generation stops at either.
    stops = [tokenizer.convert_tokens_to_ids("<|end|>"), tokenizer.eos_token_id]
    generation = {"eos_token_id": stops, "pad_token_id": tokenizer.pad_token_id, "do_sample": False}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")


def check_chat_format(tokenizer, texts: list[str]) -> None:
    """The pretraining text spells chats out; they must be what the chat template renders."""
    messages = [{"role": "user", "content": "who are you?"}, {"role": "assistant", "content": "the assistant. it answers questions and helps people."}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False)
    assert any(rendered in text for text in texts), f"no document holds {rendered!r}"


if __name__ == "__main__":
    main()
