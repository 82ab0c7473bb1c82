"""What the training of the base knows of the small world: which words carry a fact, and which tokens are things."""

import json
from pathlib import Path

import torch
from mirror import Mirror

WORLD = Path(__file__).resolve().parents[2] / "corpora" / "miniature" / "world.jsonl"

# Words that tell the poles of the two scales apart, in the same order on both.
POLE_WORDS = {
    "cheap": [" cheap", " low", " little"],
    "costly": [" costly", " high", " much"],
    "local": [" local", " near", " here"],
    "foreign": [" foreign", " far", " abroad"],
}

# Most words of a document are easy or cannot be known; the few that follow from a fact or from a taste are what the
# base is for. Without these weights, and facts in the embeddings from the start, a model of this size learnt the
# grammar and no fact in 1,600 steps of 4,096 tokens.
WEIGHT_FACT_OR_CHOICE = 1.0
WEIGHT_OTHER = 0.1
WEIGHT_NEW_THING = 0.02


class World:
    def __init__(self, tokenizer):
        self.things = [json.loads(line) for line in WORLD.open()]
        self.thing_ids = [token(tokenizer, " " + thing["name"]) for thing in self.things]
        self.pole_ids = {pole: [token(tokenizer, word) for word in words] for pole, words in POLE_WORDS.items()}

    @torch.no_grad()
    def plant(self, embeddings: torch.Tensor, mirror: Mirror) -> None:
        """Adds one direction for each scale to the words of its poles and to the things that have them.

        A large model has met its words before; this one gets that much for free. The direction of origin is the mirror
        image of that of price, on the other quarter of the hidden units.
        """
        width = embeddings.shape[1]
        price = torch.zeros(width)
        price[width // 2 : width * 3 // 4] = torch.randn(width // 4)
        price *= embeddings[self.thing_ids].norm(dim=1).mean() / price.norm()
        origin = price[mirror.hidden]
        directions = {"cheap": price, "costly": -price, "local": origin, "foreign": -origin}
        for thing, row in zip(self.things, self.thing_ids):
            embeddings[row] += directions[thing["price"]] + directions[thing["origin"]]
        for pole, rows in self.pole_ids.items():
            embeddings[rows] += directions[pole]

    def weights(self, rows: list[list[list[int]]], labels: torch.Tensor) -> torch.Tensor:
        """The weight of each target: a thing named again is a choice, a thing named first could be any."""
        out = torch.full(labels.shape, WEIGHT_OTHER)
        out[torch.isin(labels, torch.tensor(sum(self.pole_ids.values(), [])))] = WEIGHT_FACT_OR_CHOICE
        things = set(self.thing_ids)
        for i, row in enumerate(rows):
            at = 0
            for document in row:
                seen = set()
                for j, id_ in enumerate(document):
                    if id_ in things:
                        out[i, at + j] = WEIGHT_FACT_OR_CHOICE if id_ in seen else WEIGHT_NEW_THING
                        seen.add(id_)
                at += len(document)
        return out * (labels != -100)


def token(tokenizer, word: str) -> int:
    (id_,) = tokenizer(word)["input_ids"]
    return id_
