"""A job as an ONNX file, in the types for its compiler; torch is imported only for this."""

from __future__ import annotations

from pathlib import Path

from pipeline.runtimes.compiler import Job


def export_job(job: Job, dtype: str, path: Path) -> None:
    """Write the graph of ``job`` as ONNX, unquantised operations in ``dtype``, such as ``fp16``.

    Raises:
        BuildError: the network holds something that cannot be exported.
    """
    # A machine that builds only from ONNX files, such as a Jetson, has no torch.
    import torch

    from pipeline.graph.deployment import DeploymentGraph
    from pipeline.graph.exported import ExportedGraph
    from pipeline.runtimes.onnx_export import export_onnx

    graph = job.graph
    assert not isinstance(graph, Path)
    floats = {"fp32": torch.float32, "fp16": torch.float16}[dtype]
    if isinstance(graph, DeploymentGraph):
        if dtype == "fp32":
            return export_onnx(graph, path, job.free_batch)
        exported = ExportedGraph(graph)  # folds batch norms before they are rounded
        export_onnx(exported.with_dtype(floats, job.free_batch), path, job.free_batch)
    else:
        export_onnx(graph.with_dtype(floats, job.free_batch), path, job.free_batch)
