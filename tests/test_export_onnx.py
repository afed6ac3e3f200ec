"""onnxruntime gives of an exported model what the model gives, to 1e-6."""

import json
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

import fastmlp
from fastmlp.export import to_onnx
from fastmlp.model_file import FORMAT, header_of
from tests.export_helpers import DTYPES, NETWORKS, network, outputs, samples


def session_of(content):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(made, x):
    (given,) = session_of(made.SerializeToString()).run(None, {"x": x})
    return given


def tolerance(name, dtype):
    """Rounding; in float64, too, gelu has the erf of float32, and a norm the eps, to 3e-8 of it."""
    return 1e-10 if dtype == "float64" and "gelu" not in str(NETWORKS[name]) else 1e-6


def assert_close(actual, expected, most):
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=most * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_gives_what_the_model_gives(name, dtype):
    model = network(name, dtype)
    made = to_onnx(model)
    onnx.checker.check_model(made, full_check=True)
    for n in (1, 60):
        x = samples(model, n)
        assert_close(run(made, x), outputs(model, x), tolerance(name, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", ["elu", "selu", "gelu", "gelu_tanh", "silu", "mish", "softplus", "leaky_relu"]
)
def test_large_numbers_stay_finite_on_both_sides_of_zero(name, dtype):
    model = fastmlp.MLP([1, 2, 1], activation=name, loss="squared_error", dtype=dtype)
    model.weights[0] = [[1, -1]]
    model.weights[1] = [[1], [0.5]]
    x = np.array([[0], [1e-3], [-1e-3], [30], [-30], [1e3], [-1e3], [1e15], [-1e15]], dtype)
    expected = model.logits(x)
    actual = run(to_onnx(model), x)
    np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_uint8_is_cast_and_scaled_in_the_graph(dtype):
    model = network(dtype=dtype, uint8_scale=1 / 64)
    x = np.random.default_rng(0).integers(0, 256, (60, 7)).astype(np.uint8)
    made = to_onnx(model, dtype="uint8")
    onnx.checker.check_model(made, full_check=True)
    assert made.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert_close(run(made, x), model.predict_proba(x), tolerance("relu", dtype))


@pytest.mark.parametrize("name", ["relu", "huber"])
def test_versions_names_and_shapes_are_pinned(name):
    model = network(name)
    made = to_onnx(model)
    assert [(o.domain, o.version) for o in made.opset_import] == [("", 17)]
    assert made.ir_version == 8
    assert (made.producer_name, made.producer_version) == ("fastmlp", fastmlp.__version__)
    properties = {entry.key: entry.value for entry in made.metadata_props}
    assert properties == {FORMAT: json.dumps(header_of(model))}
    (x,), (y,) = made.graph.input, made.graph.output
    shapes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (x, y)]
    assert shapes == [["n", 7], ["n", 4]]
    assert (x.name, y.name) == ("x", "outputs" if name == "huber" else "probabilities")


@pytest.mark.parametrize("activation", ["relu", "gelu", "mish", "elu"])
def test_the_graph_has_no_more_operators_than_it_needs(activation):
    made = to_onnx(network(activation))
    allowed = {"relu": {"Relu"}, "elu": {"Elu"}, "mish": {"Mul", "Tanh", "Softplus"}}
    allowed["gelu"] = {"Mul", "Erf", "Add"}
    assert {n.op_type for n in made.graph.node} == {"Gemm", "Softmax"} | allowed[activation]


def test_the_file_holds_the_same_model_and_is_the_same_each_time(tmp_path):
    model = network("both norms")
    contents = []
    for name in ("a.onnx", "b.onnx"):
        made = to_onnx(model, tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
        assert contents[-1] == made.SerializeToString()
    assert contents[0] == contents[1]
    (given,) = session_of(contents[0]).run(None, {"x": samples(model)})
    assert_close(given, model.predict_proba(samples(model)), 1e-6)


def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch):
    model = network()
    with pytest.raises(TypeError, match=r"^model must be a fastmlp\.MLP, not 3$"):
        to_onnx(3)
    for wrong in ("float64", "int8", 8):
        with pytest.raises(ValueError, match=r"^dtype must be one of float32, uint8, not"):
            to_onnx(model, dtype=wrong)
    with pytest.raises(FileNotFoundError, match="absent"):
        to_onnx(model, tmp_path / "absent" / "model.onnx")
    monkeypatch.setattr("fastmlp.export.onnx.MOST_BYTES", 100)
    with pytest.raises(ValueError, match="the model has 752 bytes of parameters"):
        to_onnx(model)
    model.biases[1][0] = np.nan
    with pytest.raises(ValueError, match=r"^the model is not exported: b2 holds NaN or infinity$"):
        to_onnx(model)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'fastmlp\[onnx\]'"):
        to_onnx(network())
