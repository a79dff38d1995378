"""What a SavedModel would do beside computing: found in its graph, before it is loaded.

A SavedModel is a program. TensorFlow runs parts of it when it is loaded, and the rest when it
is called; among its operations are some that read and write any file of the user's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from google.protobuf.message import DecodeError
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from atk_latent.errors import InputError

FILE = "saved_model.pb"
# Operations that touch files, the network or Python, by their names; new ones are named alike.
_OUTSIDE = re.compile(
    "File|PyFunc|Summary|Sql|LMDB|TFRecord|TextLine|FixedLengthRecord|Snapshot|Checkpoint"
    "|CacheDataset|SaveDataset|LoadDataset|DatasetToTF|DebugIdentity|DebugNumeric|DebugNan|Rpc"
    "|ImportEvent|DecodeProto|EncodeProto|WholeFile|CompileAndExecute|CustomCall"
)
_CHECKPOINT = re.compile("^(Save|Restore|MergeV2|ShardedFilename)")  # of weights: the saver's own
Functions = Mapping[str, Iterable[NodeDef]]


def check_saved_model(folder: Path) -> None:
    """Refuses a SavedModel whose graph touches files or runs Python.

    The functions with which TensorFlow saves and restores the weights are allowed what they
    need, where nothing else calls them.

    Args:
        folder: of `saved_model.pb`.

    Raises:
        InputError: naming the first operation, or if the file cannot be read.
    """
    if (folder / "saved_model.cpb").exists():
        raise InputError(
            f"SavedModel '{folder}' comes in parts (saved_model.cpb), which cannot be looked "
            "through. Export it again, or add --trust if you trust where it comes from"
        )
    try:
        model = SavedModel.FromString((folder / FILE).read_bytes())
    except (OSError, DecodeError) as problem:
        raise InputError(f"SavedModel '{folder}' cannot be read: {problem}") from None
    operations = sorted({name for graph in model.meta_graphs for name in _outside(graph)})
    if operations:
        raise InputError(
            f"SavedModel '{folder}' does more than compute: {', '.join(operations)} can touch "
            "your files. Add --trust to run it all the same, if you trust where it comes from"
        )


def _outside(graph: MetaGraphDef) -> Iterator[str]:
    """The operations of a graph that a classifier does not need."""
    functions = {
        function.signature.name: list(function.node_def)
        for function in graph.graph_def.library.function
    }
    saver = graph.saver_def
    ends = (saver.save_tensor_name, saver.restore_op_name, saver.filename_tensor_name)
    names = {name.removeprefix("^").partition(":")[0] for name in ends}
    saving = _called([n for n in graph.graph_def.node if n.name in names], functions)
    used = [n for n in graph.graph_def.node if n.name not in names]
    roots = [node for name, nodes in functions.items() if name not in saving for node in nodes]
    reached = _called([*used, *roots], functions)
    reached |= _called([], functions, graph.object_graph_def.concrete_functions)
    nodes = [*used, *roots, *(node for name in reached for node in functions[name])]
    yield from (node.op for node in nodes if _is_outside(node) or _CHECKPOINT.match(node.op))
    yield from (n.op for name in saving for n in functions[name] if _is_outside(n))


def _is_outside(node: NodeDef) -> bool:
    if node.op == "PrintV2":
        stream = node.attr["output_stream"].s or b"stderr"
        return not stream.startswith((b"stdout", b"stderr", b"log("))
    return bool(_OUTSIDE.search(node.op)) and not _CHECKPOINT.match(node.op)


def _called(nodes: Iterable[NodeDef], functions: Functions, names: Iterable[str] = ()) -> set[str]:
    """The functions that nodes, or functions of these names, call, and those that they call."""
    left, reached = [*nodes], {name for name in names if name in functions}
    left += [node for name in reached for node in functions[name]]
    while left:
        node = left.pop()
        called = {node.op}
        for value in node.attr.values():
            called |= {value.func.name, *(function.name for function in value.list.func)}
        new = {name for name in called if name in functions} - reached
        reached |= new
        left += [inner for name in new for inner in functions[name]]
    return reached
