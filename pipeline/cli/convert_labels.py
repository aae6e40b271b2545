"""``convert-labels``: labels of other data sets in our layout."""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from pathlib import Path

import numpy as np

from calibration.errors import DataError
from calibration.scenes.class_file import read_classes
from calibration.scenes.convert import (
    Converted,
    convert,
    kind_of,
    label_files,
    picture_name,
    write_label,
)
from calibration.scenes.dataset import PICTURE_SUFFIXES
from calibration.scenes.label_kinds import LABEL_KINDS, LabelKind, coloured
from calibration.scenes.natural_order import natural
from models.atomic import atomic_path
from models.classes import ClassSet
from pipeline.cli.outcome import Outcome, counted
from pipeline.errors import OutputError


def run(options: argparse.Namespace) -> Outcome:
    """Convert label pictures, and put their pictures beside them where they are given."""
    target = options.output / "labels"
    if options.labels.resolve() == target.resolve():
        raise OutputError(
            f"--output {options.output} would replace the labels that are converted; give another "
            "folder"
        )
    files = label_files(options.labels)
    if options.classes is not None:
        kind = coloured(read_classes(options.classes))
    else:
        kind = LABEL_KINDS[options.kind] if options.kind else kind_of(files)
    pictures = {} if options.images is None else _pictures(options.images)
    names = [picture_name(path) for path in files]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(
            f"{options.labels}: {len(twice)} names occur more than once, such as {twice[0]}; give "
            "one folder at a time, each with an --output of its own"
        )
    missing = [name for name in names if options.images is not None and name not in pictures]
    if missing:
        raise DataError(
            f"{options.images}: {len(missing)} of {len(names)} labels have no picture, such as "
            f"{missing[0]}; expected one of the same name for each"
        )
    there = [name for name in names if (target / f"{name}.png").exists()]
    if there and not options.force:
        raise OutputError(
            f"{target} holds {len(there)} labels of these names already, such as {there[0]}.png; "
            "give another --output, or replace them with --force"
        )
    counts = np.zeros(256, np.int64)
    strays = 0
    try:
        target.mkdir(parents=True, exist_ok=True)
        for one in counted(convert(files, kind), "converting", len(files), quiet=options.json):
            _write(options.output, one, pictures.get(one.name))
            counts += np.bincount(one.label.ravel(), minlength=256)
            strays += one.strays
        class_file = _class_file(options.output, kind.classes)
    except OSError as error:
        raise OutputError(
            f"{options.output} cannot be written ({error.strerror or error}); make room or choose "
            "another folder with --output"
        ) from error
    return _outcome(options, kind, counts, strays, class_file)


def _pictures(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder of the pictures")
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    return {picture_name(path): path for path in sorted(found, key=natural)}


def _write(folder: Path, one: Converted, picture: Path | None) -> None:
    with atomic_path(folder / "labels" / f"{one.name}.png") as temporary:
        write_label(temporary, one.label)
    if picture is not None:
        (folder / "images").mkdir(exist_ok=True)
        target = folder / "images" / f"{one.name}{picture.suffix}"
        if not (target.exists() and target.samefile(picture)):
            with atomic_path(target) as temporary:
                shutil.copyfile(picture, temporary)


def _class_file(folder: Path, classes: ClassSet) -> Path:
    path = folder / "classes.txt"
    lines = [
        f"{name} {','.join(map(str, colour))}\n"
        for name, colour in zip(classes.names, classes.palette, strict=True)
    ]
    if classes.void == len(classes):
        lines.append("void\n")
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    return path


def _outcome(
    options: argparse.Namespace,
    kind: LabelKind,
    counts: np.ndarray[tuple[int], np.dtype[np.int64]],
    strays: int,
    class_file: Path,
) -> Outcome:
    total = int(counts.sum())
    shares = {
        name: float(counts[index]) / total
        for index, name in enumerate(kind.classes.names)
        if index != kind.classes.void
    }
    void = float(counts[kind.classes.void]) / total
    absent = [name for name, share in shares.items() if not share]
    lines = [f"{options.output / 'labels'}: {kind.name} labels, {len(kind.classes)} classes"]
    lines += [f"{name:<14}{100 * share:6.2f} % of pixels" for name, share in shares.items()]
    lines.append(f"{'void':<14}{100 * void:6.2f} %")
    if strays:
        lines.append(f"warning: {strays} pixels of no known colour became void")
    if absent:
        lines.append(f"warning: no pixel of {', '.join(absent)}")
    lines.append(f"class file: {class_file} (for --classes)")
    document = {
        "labels": str(options.output / "labels"),
        "kind": kind.name,
        "classes": str(class_file),
        "shares": shares,
        "void": void,
        "strays": strays,
        "without_pixels": absent,
    }
    return Outcome(document, "\n".join(lines))
