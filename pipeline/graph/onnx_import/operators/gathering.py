"""Gathering with several indices at once, which PyTorch's newer exporter writes for indexing."""

from __future__ import annotations

from typing import Any

import torch

from pipeline.graph.onnx_import.call import Call, Operator


def _gather_nd(call: Call) -> Any:
    """Flatten the indexed dimensions, and select by the flat index.

    Exporters write this for an adaptive pooling whose bins overlap.
    """
    indices = call.constant(1)
    assert indices is not None
    batch, depth = call.attribute("batch_dims", 0), indices.shape[-1]
    if batch > 1 or (batch == 1 and indices.shape[0] != 1):
        raise call.refused(f"it has batch_dims = {batch}", "indices that are the same for a batch")
    sizes = torch.tensor(call.x.shape[batch : batch + depth])
    indices = torch.where(indices < 0, indices + sizes, indices)
    strides = sizes.flip(0).cumprod(0).flip(0) // sizes
    numbers = (indices * strides).sum(-1)
    shape = list(numbers.shape[batch:])
    flat = torch.flatten(call.x, batch, batch + depth - 1) if depth > 1 else call.x
    picked = torch.index_select(flat, batch, numbers.reshape(-1))
    if len(shape) == 1:
        return picked
    # Not a reshape: that would fix the other sizes, such as the number of pictures.
    return torch.unflatten(picked, batch, shape) if shape else torch.squeeze(picked, batch)


OPERATORS: dict[str, Operator] = {"GatherND": _gather_nd}
