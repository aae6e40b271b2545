"""The first step of a build: the user's options checked, and completed with defaults."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.spec import LoadedWeights, NetworkSpec
from pipeline.build.bundle import check_bundle
from pipeline.build.network import Candidate, choose
from pipeline.build.options import BuildOptions
from pipeline.engine.replace import Origin, check_replaceable
from pipeline.errors import BuildError
from pipeline.evaluation.pictures import open_pictures
from pipeline.runtimes.compiler import Compiler
from pipeline.runtimes.registry import default_front_end, open_compiler


@dataclass(frozen=True)
class Plan:
    """What is built.

    Attributes:
        options: of the user, with targets and front end filled in.
        precision: one of the compiler's.
        network: with its weights.
        compiler: of the runtime.
        name: stem of the engine's files.
    """

    options: BuildOptions
    precision: str
    network: Candidate
    compiler: Compiler
    name: str

    @property
    def spec(self) -> NetworkSpec:
        return self.network.spec

    @property
    def weights(self) -> LoadedWeights:
        return self.network.weights

    def check_outputs(self) -> None:
        """Check that existing files may be replaced, before any work is done.

        Raises:
            OutputError: they may not.
        """
        options, origin = self.options, Origin(self.weights, self.spec.classes.names)
        suffixes = self.compiler.suffixes
        check_replaceable(options.output, self.name, suffixes, options.force, origin)
        if options.bundle:
            check_bundle(options.output, self.name, options.force, origin)


def resolve(options: BuildOptions) -> Plan:
    """Choose network, compiler and precision, and check the other options.

    Raises:
        RoadsegError: an option that this build cannot have.
    """
    network = choose(options)
    compiler = open_compiler(options.runtime)
    precision = options.precision or compiler.default_precision()
    if precision not in compiler.precisions:
        raise BuildError(
            f"--precision {precision} was given, {compiler.runtime} builds "
            f"{', '.join(compiler.precisions)}; choose one of these"
        )
    if options.data is not None:
        open_pictures(options.data, network.spec.classes)  # refuses bad data before the work
    asked = replace(
        options,
        targets=compiler.check_targets(options.targets, precision),
        front_end=options.front_end or default_front_end(),
    )
    return Plan(asked, precision, network, compiler, engine_name(network, options, precision))


def engine_name(network: Candidate, options: BuildOptions, precision: str) -> str:
    """Return the stem of an engine's files; it names what differs from the registered network."""
    suffix = network.suffix
    if options.batch != (1, 1, 1):
        suffix += f"-batch{options.batch[0]}to{options.batch[2]}"
    return f"{options.name or network.spec.name}-{options.runtime}-{precision}{suffix}"
