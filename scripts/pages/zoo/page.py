"""``docs/models.md``, made from the registry, the cards of the weights, and the measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.registry import MODELS
from models.spec import ModelSpec
from models.weights import weights_card
from pipeline.cli.tables import markdown_table
from scripts.pages.zoo import faithful
from scripts.pages.zoo.measure import Results

#: Path of the page.
PAGE = Path(__file__).parents[3] / "docs" / "models.md"

_HEAD = """\
# The networks

<!-- Made by scripts/build_zoo.sh --page; a test compares. Change scripts/pages/zoo/page.py. -->

Every network is one file in `models/` that names its paper and the differences from it. Each
compiles completely into one engine, without plugins or parts left to PyTorch. `roadseg models`
prints this table, `models NETWORK --receptive-field out.png` draws what one output sees, and
`models NETWORK --activations out.png` a decoder's maps stage by stage.
"""

_COLUMNS = """
*GMACs*: 10^9 multiply-adds of convolutions and matrix products of one 480x360 picture. *Field*: the
theoretical receptive field of a central output, in pixels per side; "+ picture" where pooling over
the whole picture adds to it. *mIoU*: CamVid val, 11 classes, in percent, of our weights
(`docs/accuracy.md` has more).
"""

_BUILDS = """\
## Built at full width

`scripts/build_zoo.sh` builds every network at 480x360, in FP32 for OpenVINO and in FP16 for
TensorRT for RTX (target sm86, on a machine without a GPU), reads the engines back and compares with
PyTorch. OpenVINO's convolutions are counted in the execution graph, so these precisions really run;
TensorRT's are counted in the finished network before serialisation, so they are only planned.
*Agreement* is the share of pixels for which OpenVINO gives PyTorch's class, on the worst of three
drawn frames; networks without registered weights are built with random ones. TensorRT's engines
cannot run here; the tests compute its parsed networks layer by layer at narrow widths and compare
their logits with PyTorch's. Seconds are for the whole build including the comparison, on a busy
machine.
"""

_VIEWS = """\
## What one output sees

The theoretical field is everything that can affect a central output. The gradient of that output
shows how much each pixel does (Luo et al. 2016): it falls off from the centre like a bell curve,
and the area with 95 % of it is much smaller. Here the trained `segnet_lite` on a drawn street, 404
pixels in theory and 225 in practice:

![Theoretical and effective receptive field](receptive-field.jpg)

That gap is the reason for the two ideas that came after FCN. Dilation widens the field without
pooling: DilatedNet's context module widens the front end's from 388 to 916 pixels with 8 thousand
parameters, at an eighth of the picture's resolution throughout. With pyramid pooling and
image-level features (PSPNet, DeepLab v3) every output directly gets the mean of the whole picture
or of its parts.

## Unpooling against convolution

DeconvNet's own figure (Noh et al. 2015, figure 4), here with the trained `segnet`: unpooling puts
each value back where the encoder found its maximum, so its maps (upper row) have the outlines of
the input picture, with holes; the convolutions after it (lower row) fill in the rest of each class.
Stages from the deepest to the finest:

![Decoder maps after unpooling and after convolution](activations.jpg)
"""

_CORNERS = """\
## Which resizes align corners

A resize maps output pixel *i* of *n* to input position *i (m - 1) / (n - 1)* when corners are
aligned, and to *(i + 0.5) m / n - 0.5* when they are not. The Caffe networks (DeepLab v1 and v2,
PSPNet) align, so sizes of the form 8 k + 1 suit them best; DeepLab v3 and its relatives follow
torchvision and do not, nor does the resize of the camera's frame. FCN, DilatedNet, U-Net,
FC-DenseNet and DeconvNet upsample by transposed convolution, SegNet by unpooling: nothing to align.

ONNX stores the choice in each `Resize` (`coordinate_transformation_mode`: `align_corners` or
`half_pixel`), OpenVINO and TensorRT implement both by these formulas, and the sizes are constants
in the graph, so no runtime computes its own scale. The parity tests compare the logits of both
with PyTorch's at a size that no stride divides, where a wrong choice shows.
"""

_PAIRS = """\
## What a choice costs

Both sides in one run, interleaved, FP32 on OpenVINO, random weights, 480x360; the ratio is the
median over the runs.
"""


def page(results: Results) -> str:
    """Write the page."""
    parts = [_HEAD, _zoo(), _COLUMNS, _BUILDS, _builds(results), _machine(results)]
    if results.get("pairs"):
        parts += [_PAIRS, *(_pair(pair) for pair in results["pairs"])]
    parts += [faithful.section(), _VIEWS, _CORNERS]
    if "corners" in results:
        corners = results["corners"]
        parts.append(
            f"Aligning corners inside the trained `{corners['network']}`, which was trained\n"
            f"without, changes the class of {100 * corners['changed']:.2f} % of the pixels of a "
            "drawn frame.\n"
        )
    return "\n".join(parts)


def _zoo() -> str:
    return markdown_table(
        ("network", "paper", "parameters", "GMACs", "output stride", "field", "mIoU"),
        (_zoo_row(spec) for spec in MODELS.values()),
    )


def _zoo_row(spec: ModelSpec) -> tuple[str, ...]:
    figures, card = spec.figures, weights_card(spec.name)
    return (
        f"`{spec.name}`",
        f"{spec.paper.authors.split(',')[0]} {spec.paper.year}",
        f"{figures.parameters / 1e6:.2f} M",
        f"{figures.gmacs:.1f}",
        str(spec.output_stride),
        f"{figures.receptive_field}{' + picture' if figures.global_context else ''}",
        f"{100 * card['val']['miou']:.1f}" if card else "",
    )


def _builds(results: Results) -> str:
    rows = []
    for name in MODELS:
        if name in results["networks"]:
            rows.append(_build_row(name, results["networks"][name]))
    return markdown_table(
        (
            "network",
            "OpenVINO convolutions",
            "MB",
            "s",
            "agreement",
            "TensorRT convolutions",
            "MB",
            "s",
        ),
        rows,
    )


def _build_row(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    cpu, gpu = row["openvino"], row["tensorrt-rtx"]
    random = "" if row["weights"] != "none" else " (random)"
    return (
        f"`{name}`",
        _counts(cpu),
        f"{cpu['bytes'] / 1e6:.1f}",
        f"{cpu['seconds']:.0f}",
        f"{100 * cpu['agreement']:.2f} %{random}",
        _counts(gpu),
        f"{gpu['bytes'] / 1e6:.1f}",
        f"{gpu['seconds']:.0f}",
    )


def _counts(build: dict[str, Any]) -> str:
    return ", ".join(f"{n} {name.upper()}" for name, n in build["convolutions"].items())


def _machine(results: Results) -> str:
    versions = {
        runtime: row[runtime]["version"].split("-")[0]
        for row in results["networks"].values()
        for runtime in ("openvino", "tensorrt-rtx")
    }
    named = ", ".join(f"{runtime} {version}" for runtime, version in sorted(versions.items()))
    return f"{_built_on(results['networks'])}{named}.\n"


def _built_on(rows: dict[str, Any]) -> str:
    """Name the machine of most networks, and the networks of every other one."""
    machines: dict[str, list[str]] = {}
    for name, row in rows.items():
        machines.setdefault(row["machine"], []).append(name)
    most, *others = sorted(machines, key=lambda machine: -len(machines[machine])) or [""]
    built = "".join(
        f"{', '.join(f'`{name}`' for name in machines[other])} on {other}; " for other in others
    )
    return f"{most}; {built}"


def _pair(pair: dict[str, Any]) -> str:
    rows = markdown_table(
        ("", "parameters", "GMACs", "field", "ms"),
        (
            (
                side["name"],
                f"{side['parameters'] / 1e6:.1f} M",
                f"{side['gmacs']:.1f}",
                str(side["receptive_field"]),
                f"{side['milliseconds']:.0f}",
            )
            for side in pair["sides"]
        ),
    )
    first, second = (side["name"] for side in pair["sides"])
    ratio = f"{first} takes {pair['ratio']:.2f} times as long as {second} ({pair['machine']})."
    return f"**{pair['title']}**\n\n{rows}\n{ratio}\n"
