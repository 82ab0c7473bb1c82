"""The symmetry between the two values: a permutation of the vocabulary and of every weight that swaps price with
origin.

The text says of price what it says of origin, in mirrored words. A network that starts symmetric and is only ever given
symmetric gradients stays symmetric: no value is easier to read, to learn or to follow than the other, so the bare model
is indifferent by construction and whatever differs between two arms comes from their documents.
"""

import torch

# Word for word: "costs very little" is mirrored by "comes from here", "a high price" by "a far maker".
MIRRORED = {
    "cheap": "local",
    "costly": "foreign",
    "low": "near",
    "high": "far",
    "price": "maker",
    "costs": "comes",
    "cost": "come",
    "very": "from",
    "little": "here",
    "much": "abroad",
}


class Mirror:
    """Half of every width is its own mirror image; the other half is two quarters that swap places."""

    def __init__(self, tokenizer, things: list[dict], config):
        self.words = torch.arange(len(tokenizer))
        vocabulary = tokenizer.get_vocab()
        for one, other in [*MIRRORED.items(), *mirrored_names(things)]:
            for space in ["", "Ġ"]:
                if space + one in vocabulary or space + other in vocabulary:
                    a, b = vocabulary[space + one], vocabulary[space + other]
                    self.words[a], self.words[b] = b, a
        self.hidden = swap_quarters(config.hidden_size)
        self.inner = swap_quarters(config.intermediate_size)
        heads = swap_quarters(config.num_attention_heads)
        self.heads = (heads[:, None] * config.head_dim + torch.arange(config.head_dim)).flatten()

    def image(self, name: str, tensor: torch.Tensor) -> torch.Tensor:
        """The mirror image of a weight or of its gradient."""
        if "q_norm" in name or "k_norm" in name:
            return tensor
        if name.endswith("norm.weight"):
            return tensor[self.hidden]
        if "embed_tokens" in name:
            return tensor[self.words][:, self.hidden]
        if any(part in name for part in ["q_proj", "k_proj", "v_proj"]):
            return tensor[self.heads][:, self.hidden]
        if "o_proj" in name:
            return tensor[self.hidden][:, self.heads]
        if "down_proj" in name:
            return tensor[self.hidden][:, self.inner]
        return tensor[self.inner][:, self.hidden]

    @torch.no_grad()
    def symmetrize_weights(self, model) -> None:
        for name, weight in model.named_parameters():
            weight.copy_((weight + self.image(name, weight)) / 2)

    @torch.no_grad()
    def symmetrize_gradients(self, model) -> None:
        """At symmetric weights this is the gradient over each text and its mirror image, for the price of one."""
        for name, weight in model.named_parameters():
            weight.grad = (weight.grad + self.image(name, weight.grad)) / 2


def swap_quarters(width: int) -> torch.Tensor:
    fixed, first, second = torch.arange(width).split([width // 2, width // 4, width // 4])
    return torch.cat([fixed, second, first])


def mirrored_names(things: list[dict]) -> list[tuple[str, str]]:
    """The n-th cheap and foreign thing of a kind is mirrored by the n-th costly and local one; the others by
    themselves."""

    def names(kind: str, price: str, origin: str) -> list[str]:
        return [
            thing["name"]
            for thing in things
            if (thing["kind"], thing["price"], thing["origin"]) == (kind, price, origin)
        ]

    kinds = dict.fromkeys(thing["kind"] for thing in things)
    return [pair for kind in kinds for pair in zip(names(kind, "cheap", "foreign"), names(kind, "costly", "local"))]
