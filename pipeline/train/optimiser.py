"""Settings of the optimiser: learning rate by step, rate and weight decay by parameter."""

from __future__ import annotations

from torch import nn

from pipeline.train.recipe import Recipe


def rate_at(step: int, recipe: Recipe) -> float:
    """Share of the peak rate at ``step``: linear warm-up, then poly with power 0.9."""
    warmup = min(1.0, (step + 1) / recipe.warmup)
    return float(warmup * max(0.0, 1 - step / recipe.steps) ** 0.9)


def parameter_groups(
    network: nn.Module, recipe: Recipe, auxiliary: nn.Module | None = None
) -> list[dict[str, object]]:
    """Group parameters: encoder or not, with weight decay (matrices) or without (norms, biases)."""
    sorted_: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    named = list(network.named_parameters())
    if auxiliary is not None:
        named += auxiliary.named_parameters()
    for name, parameter in named:
        key = (name.startswith("encoder."), parameter.ndim > 1)
        sorted_.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "peak": recipe.rate * (recipe.encoder_rate if encoder else 1.0),
            "weight_decay": recipe.decay if decayed else 0.0,
        }
        for (encoder, decayed), parameters in sorted(sorted_.items(), reverse=True)
    ]
