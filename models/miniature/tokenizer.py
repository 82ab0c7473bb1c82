"""A tokenizer in which every word of the small world is one token, and everything else falls apart into bytes."""

import json
from collections import Counter
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = ["<|endoftext|>", "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def build_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE without merges: `ignore_merges` takes a word whole where the vocabulary has it."""
    split = Tokenizer(models.BPE(vocab={name: i for i, name in enumerate(SPECIAL)}, merges=[], ignore_merges=True))
    add_parts(split)
    # Words as the pre-tokenizer cuts them, special tokens taken out first as in any encoding.
    words = Counter()
    for text in texts:
        for name in SPECIAL:
            text = text.replace(name, "\n")
        for part in text.split("\n"):
            words.update(piece for piece, _ in split.pre_tokenizer.pre_tokenize_str(part))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    ordered = [word for word, _ in sorted(words.items(), key=lambda item: (-item[1], item[0])) if len(word) > 1]
    vocab = {token: i for i, token in enumerate([*SPECIAL, *alphabet, *ordered])}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], ignore_merges=True))
    add_parts(tokenizer)
    return tokenizer


def add_parts(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])


def write_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    tokenizer.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|pad|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "chat_template": CHAT_TEMPLATE,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
