"""``run --config``: the same options in a file, checked as on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipeline.cli.parser import parse_arguments

Captured = pytest.CaptureFixture[str]

COMMAND = (
    "run", "front.xml", "--source", "rtsp://cam/1", "--source", "0", "--camera-size", "1280x720",
    "--sink", "http", "--segment", "10m", "--keep", "50GB", "--http-port", "9000", "--no-legend",
    "--show", "Car,Pedestrian", "--opacity", "0.7",
)  # fmt: skip


def printed(capsys: Captured, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parse_arguments([*words, "--print-config"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def refused(capsys: Captured, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parse_arguments(["run", *words])
    assert stop.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    return errors


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "camera.yaml"


def test_what_is_printed_means_the_same_when_it_is_read(capsys: Captured, file: Path) -> None:
    file.write_text(printed(capsys, *COMMAND), encoding="utf-8")
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert document["engine"] == "front.xml"
    assert document["source"] == ["rtsp://cam/1", "0"]
    assert document["no-legend"] is True
    assert "realtime" not in document
    given, read = (
        vars(parse_arguments(COMMAND)),
        vars(parse_arguments(["run", "--config", str(file)])),
    )
    assert {**read, "config": None} == given
    assert printed(capsys, "run", f"--config={file}") == file.read_text(encoding="utf-8")


def test_the_command_line_wins(file: Path) -> None:
    file.write_text("engine: a.xml\nsource: [0, 1]\nopacity: 0.2\nhttp-port: 9000\n")
    options = parse_arguments(["run", "--config", str(file), "--source", "2", "--opac", "0.9"])
    assert (options.source, options.opacity, options.http_port) == (["2"], 0.9, 9000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour: red\n", "has the key colour, which is no option of run; it knows engine, "),
        ("config: other.yaml\n", "the key config"),
        ("opacity: 7\n", "argument --opacity: '7' is no share"),
        ("realtime: perhaps\n", "realtime is 'perhaps', expected true or false"),
        ("opacity: true\n", "opacity is True, expected what --opacity takes"),
        ("trace: {a: 1}\n", "trace is {'a': 1}"),
        ("- a\n- b\n", "it holds a list"),
        ("a: [1\n", "cannot be read"),
        ("", "it holds a NoneType"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(
    capsys: Captured, file: Path, text: str, message: str
) -> None:
    file.write_text(text)
    assert message in refused(capsys, "a.xml", "--source", "0", "--config", str(file))


def test_a_file_that_is_missing_is_one_line(capsys: Captured, file: Path) -> None:
    assert "No such file" in refused(capsys, "a.xml", "--config", str(file))
    assert "expected one argument" in refused(capsys, "a.xml", "--source", "0", "--config")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_commands_networks_and_options(capsys: Captured, shell: str) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments(["--print-completion", shell])
    assert stop.value.code == 0
    script = capsys.readouterr().out
    for word in ("inspect", "deeplab_v3plus_lite", "print-config"):
        assert word in script


def test_a_shell_that_is_unknown_is_one_line(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments(["--print-completion", "fish"])
    assert stop.value.code == 2
    assert "expected bash, zsh, tcsh" in capsys.readouterr().err
