"""Networks as ONNX graphs: fitted to pictures of any size, one behind the other.

Every graph has one axis of any length, the batch. Only standard operators of `OPSET` are used.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime
import torch
from onnx import compose, parser
from torch import Tensor, nn

from deepobfuscator.core.errors import InputError, in_one_line
from deepobfuscator.data.files_source import CROP_SLACK
from deepobfuscator.nn.fit import Normed

OPSET = 18
"""The first with antialiased Resize; any onnxruntime since 1.15 runs it."""
IR_VERSION = 10

PICTURES, FEATURES, PAYLOAD, SCORES = "pictures", "features", "payload", "scores"
REBUILT = "rebuilt"
"""Names of inputs and outputs."""

HEAD = f'<ir_version: {IR_VERSION}, opset_import: ["" : {OPSET}]>'


def traced(network: nn.Module, shape: Sequence[int], name: str, output: str) -> onnx.ModelProto:
    """``network`` as a graph from ``name`` (n, *shape), float32, to ``output``.

    Raises:
        InputError: torch cannot export it.
    """
    batch = torch.export.Dim("n", min=1)
    example = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0))
    try:
        with quiet():
            program = torch.onnx.export(
                _Held(plain(network)).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[name],
                output_names=[output],
                dynamic_shapes=({0: batch},),
                verbose=False,
            )
    except Exception as error:
        raise InputError(
            f"torch cannot export this network ({in_one_line(error)}): build it of operators that "
            "torch.onnx.export knows"
        ) from error
    assert program is not None
    return folded(program.model_proto)


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its constants computed and norms folded into convolutions."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with TemporaryDirectory() as folder:
        options.optimized_model_filepath = f"{folder}/folded.onnx"
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        found = onnx.load(options.optimized_model_filepath)
    _bare(found.graph)
    del found.functions[:], found.metadata_props[:]
    imported = [entry for entry in found.opset_import if entry.domain == ""]
    del found.opset_import[:]
    found.opset_import.extend(imported)
    found.ir_version = IR_VERSION
    return found


class _Held(nn.Module):
    """A network one level down: some names of parts, as ``code``, are taken at the top."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(inputs)  # type: ignore[no-any-return]


def plain(network: nn.Module) -> nn.Module:
    """A copy with norms folded into convolutions, of which the exporter makes a tenth of the
    nodes, and so takes a fraction of the time.
    """
    network = deepcopy(network).float().cpu()
    for parent in list(network.modules()):
        for name, part in parent.named_children():
            if isinstance(part, Normed) and isinstance(part.convolution, nn.Conv2d):
                old, (weight, bias) = part.convolution, part.folded()
                new = nn.Conv2d(old.in_channels, old.out_channels, 3, padding=1)
                new.weight, new.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
                setattr(parent, name, nn.Sequential(new, nn.ReLU()))
    return network.requires_grad_(False)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what the exporter prints, logs and warns of; what goes wrong it raises."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _bare(graph: onnx.GraphProto) -> None:
    """Drop the notes of the exporter, which name files of this machine."""
    graph.doc_string = ""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]


def intake(size: tuple[int, int]) -> onnx.ModelProto:
    """``pictures`` (n, H, W, 3), uint8, of any height and width, to (n, 3, *size) in [0, 1].

    As `deepobfuscator.data.files_source.fit` does it with Pillow, but that the crop is rounded to
    whole pixels: the middle part of the aspect ratio of ``size``, resampled with antialiasing
    (cubic, a = -0.5); a picture at most 4 px larger on a side is cropped alone.
    """
    height, width = size
    # Four sizes, not two with axes: onnxruntime 1.32 fails when it moves the transposition then.
    return parser.parse_model(f"""{HEAD}
intake (uint8[n, H, W, 3] {PICTURES}) => (float[n, 3, {height}, {width}] fitted) {{
  shape = Shape <start = 1, end = 3> ({PICTURES})
  have = Cast <to = 1> (shape)
  want = Constant <value = float[2] {{{height}, {width}}}> ()
  ratios = Div (have, want)
  scale = ReduceMin <keepdims = 0> (ratios)
  scaled = Mul (want, scale)
  over = Sub (have, want)
  least = ReduceMin <keepdims = 0> (over)
  most = ReduceMax <keepdims = 0> (over)
  zero = Constant <value = float {{0}}> ()
  slack = Constant <value = float {{{CROP_SLACK}}}> ()
  not_smaller = GreaterOrEqual (least, zero)
  hardly_larger = LessOrEqual (most, slack)
  crop_alone = And (not_smaller, hardly_larger)
  half = Constant <value = float {{0.5}}> ()
  spare = Sub (have, scaled)
  margin = Mul (spare, half)
  whole_margin = Round (margin)
  margin_alone = Mul (over, half)
  whole_alone = Floor (margin_alone)
  start = Where (crop_alone, whole_alone, whole_margin)
  end_alone = Add (start, want)
  end_resampled = Sub (have, start)
  end = Where (crop_alone, end_alone, end_resampled)
  starts = Cast <to = 7> (start)
  ends = Cast <to = 7> (end)
  axes = Constant <value = int64[2] {{1, 2}}> ()
  cut = Slice ({PICTURES}, starts, ends, axes)
  planes = Transpose <perm = [0, 3, 1, 2]> (cut)
  outer = Shape <start = 0, end = 2> (planes)
  inner = Constant <value = int64[2] {{{height}, {width}}}> ()
  sizes = Concat <axis = 0> (outer, inner)
  resampled = Resize <mode = "cubic", cubic_coeff_a = -0.5, antialias = 1> (planes, , , sizes)
  levels = Cast <to = 1> (resampled)
  white = Constant <value = float {{255}}> ()
  fitted = Div (levels, white)
}}""")


def chained(*models: onnx.ModelProto) -> onnx.ModelProto:
    """Graphs one after the other, each the only input of the next.

    Raises:
        ValueError: they do not fit together.
    """
    first, *rest = models
    joined = compose.add_prefix(first, "0/", rename_inputs=False)
    for i, model in enumerate(rest, 1):
        last = i == len(rest)
        added = compose.add_prefix(model, f"{i}/", rename_outputs=not last)
        ends = [(joined.graph.output[0].name, added.graph.input[0].name)]
        joined = compose.merge_models(joined, added, io_map=ends)
    return joined


class Scored(nn.Module):
    """A classifier with a score between 0 and 1 in place of each logit."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, features: Tensor) -> Tensor:
        """Features to scores (n, labels)."""
        return torch.sigmoid(self.classifier(features).float())


def saved(model: onnx.ModelProto, path: Path) -> None:
    """Check ``model`` and write it.

    Raises:
        onnx.checker.ValidationError: it is no valid graph.
    """
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
