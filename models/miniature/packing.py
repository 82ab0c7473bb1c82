"""Documents into rows, each document attending only to itself."""

import torch

OPEN_ROWS = 64


def pack(documents: list[list[int]], row_tokens: int) -> list[list[list[int]]]:
    """Puts each document whole into the fullest row that still has room; a row is a list of documents."""
    closed, rows = [], []
    for document in documents:
        document = document[:row_tokens]
        room = [(row_tokens - used, i) for i, (used, _) in enumerate(rows) if row_tokens - used >= len(document)]
        if room:
            i = min(room)[1]
            rows[i] = (rows[i][0] + len(document), rows[i][1] + [document])
            continue
        if len(rows) == OPEN_ROWS:
            fullest = max(range(len(rows)), key=lambda i: rows[i][0])
            closed.append(rows.pop(fullest)[1])
        rows.append((len(document), [document]))
    return closed + [row for _, row in rows]


def attention_mask(rows: list[list[list[int]]], row_tokens: int, pad: int):
    """Token ids, positions that restart with each document, the causal mask within documents, and labels."""
    ids = torch.full((len(rows), row_tokens), pad)
    positions = torch.zeros((len(rows), row_tokens), dtype=torch.long)
    segments = torch.full((len(rows), row_tokens), -1)
    for i, row in enumerate(rows):
        at = 0
        for number, document in enumerate(row):
            span = slice(at, at + len(document))
            ids[i, span] = torch.tensor(document)
            positions[i, span] = torch.arange(len(document))
            segments[i, span] = number
            at += len(document)
    causal = torch.tril(torch.ones(row_tokens, row_tokens, dtype=torch.bool))
    allowed = (segments[:, :, None] == segments[:, None, :]) & causal
    mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]
    # The first token of a document is not predicted from the document before it.
    labels = torch.where((segments >= 0) & (positions > 0), ids, torch.full_like(ids, -100))
    return ids, positions, mask, labels
