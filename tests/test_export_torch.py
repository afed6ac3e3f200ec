"""PyTorch gives what the model gives, and what comes back from there has the same bits."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from fastmlp.export import from_torch, to_torch, to_torch_file, torch_sequential
from tests.export_helpers import DTYPES, NETWORKS, assert_close, assert_same_bits, network, samples

torch = pytest.importorskip("torch")
nn = torch.nn

ROOT = Path(__file__).resolve().parents[1]


def forward(sequential, x):
    with torch.no_grad():
        return sequential(torch.from_numpy(x)).numpy()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_gives_the_logits_and_the_way_back_the_same_bits(name, dtype):
    model = network(name, dtype)
    x = samples(model)
    made = torch_sequential(model)
    assert_close(forward(made, x), model.logits(x))
    back = from_torch(made, loss=model.loss)
    assert_same_bits(back, model)
    for attribute in ("activation", "norm", "dropout", "input_dropout", "loss"):
        assert getattr(back, attribute) == getattr(model, attribute)
    np.testing.assert_array_equal(back.logits(x), model.logits(x))


def test_the_example_of_the_documentation_gives_the_same_model():
    (example,) = re.findall("```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(), re.S)
    model = network("tanh")
    names = {"model": model, "x": samples(model)}
    exec(example, names)
    assert_close(names["logits"].detach().numpy(), model.logits(names["x"]))
    assert_same_bits(names["again"], model)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["gelu", "both norms", "linear"])
def test_a_state_dict_comes_back_from_memory_and_from_a_file(name, dtype, tmp_path):
    model = network(name, dtype)
    path = tmp_path / "state.safetensors"
    to_torch_file(model, path)
    state = to_torch(model)
    arrays = {key: value.numpy() for key, value in state.items()}
    inside = {f"net.{key}": value for key, value in state.items()}
    given = {"activation": model.activation, "uint8_scale": 1 / 4}
    for source in (state, arrays, inside, path, str(path)):
        back = from_torch(source, **given)
        assert_same_bits(back, model)
        assert (back.activation, back.norm) == (model.activation, model.norm)
        assert back.uint8_scale == 1 / 4


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_keys_shapes_and_types_are_pytorch_s_own(dtype, tmp_path):
    model = network("both norms", dtype)
    twin = nn.Sequential(
        *(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.Mish()),
        *(nn.Linear(9, 8), nn.LayerNorm(8), nn.SELU(), nn.Linear(8, 4)),
    ).to(getattr(torch, dtype))
    assert [type(m) for m in torch_sequential(model)] == [type(m) for m in twin]
    state, expected = to_torch(model), twin.state_dict()
    assert [(k, v.shape, v.dtype) for k, v in state.items()] == [
        (k, v.shape, v.dtype) for k, v in expected.items()
    ]
    to_torch_file(model, tmp_path / "state")
    written = safetensors.numpy.load_file(tmp_path / "state")
    assert {k: v.tobytes() for k, v in written.items()} == {
        k: v.numpy().tobytes() for k, v in state.items()
    }
    twin.load_state_dict(state)
    x = samples(model)
    assert_close(forward(twin.eval(), x), model.logits(x))


def test_what_is_made_are_copies_that_train():
    model = network("one norm, dropout")
    before = model.state_dict()
    made = torch_sequential(model)
    assert not made.training
    made.train()
    loss = made(torch.from_numpy(samples(model))).square().sum()
    loss.backward()
    torch.optim.SGD(made.parameters(), lr=0.1).step()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    back = from_torch(made)
    assert (back.weights[0] != model.weights[0]).any()
    with torch.no_grad():
        made[1].weight.zero_()
    assert (back.weights[0] != 0).any()


def test_pytorch_s_own_random_numbers_are_left_as_they_are():
    before = torch.random.get_rng_state()
    torch_sequential(network())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_what_pytorch_may_leave_out_is_what_changes_nothing():
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Flatten(),
        nn.Sequential(nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5, affine=False), nn.ReLU()),
        *(nn.Identity(), nn.Linear(5, 5), nn.LayerNorm(5, elementwise_affine=False), nn.Identity()),
        *(nn.Linear(5, 4), nn.LayerNorm(4, bias=False), nn.ELU(), nn.Linear(4, 3)),
    ).eval()
    back = from_torch(made)
    assert back.layers == (6, 5, 5, 4, 3)
    assert back.activation == ("relu", "identity", "elu")
    assert back.norm == ("batch", "layer", "layer")
    x = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
    assert_close(back.logits(x), forward(made, x))


def test_a_module_that_stands_in_two_places_counts_twice():
    torch.manual_seed(0)
    relu, square = nn.ReLU(), nn.Linear(6, 6)
    made = nn.Sequential(square, relu, square, relu, nn.Linear(6, 2)).eval()
    back = from_torch(made)
    assert (back.layers, back.activation) == ((6, 6, 6, 2), "relu")
    x = np.random.default_rng(0).standard_normal((20, 6)).astype(np.float32)
    assert_close(back.logits(x), forward(made, x))


LINEAR = nn.Linear(3, 3)
REFUSED = {
    "a module": ([LINEAR, nn.Hardtanh(), LINEAR], "module 1 is Hardtanh, which has no counterpart"),
    "a slope": (
        [LINEAR, nn.LeakyReLU(0.2), LINEAR],
        r"module 1 is LeakyReLU with \{'negative_slope': 0.2\}; fastmlp has it with "
        r"\{'negative_slope': 0.01\}",
    ),
    "an alpha": ([LINEAR, nn.ELU(0.5), LINEAR], "module 1 is ELU with"),
    "an eps": ([LINEAR, nn.LayerNorm(3, eps=1e-6), LINEAR], "LayerNorm with eps 1e-06, not 1e-05"),
    "batches": (
        [LINEAR, nn.BatchNorm1d(3, track_running_stats=False), LINEAR],
        "module 1 is BatchNorm1d without running_mean",
    ),
    "the order": ([LINEAR, nn.ReLU(), nn.LayerNorm(3), LINEAR], "module 2 is LayerNorm, where"),
    "two activations": ([LINEAR, nn.ReLU(), nn.Tanh(), LINEAR], "module 2 is Tanh, where"),
    "a norm first": ([nn.LayerNorm(3), LINEAR], "module 0 is LayerNorm, where"),
    "an end": ([LINEAR, nn.Sigmoid()], "source ends in Sigmoid, and must in Linear"),
    "softmax": ([LINEAR, nn.Softmax(1)], "module 1 is Softmax, which has no counterpart"),
    "nothing": ([nn.Flatten()], "source has no Linear"),
    "sizes": ([LINEAR, nn.Linear(4, 3)], "layer 1 has 3 outputs, layer 2 4 inputs"),
    "a flatten of all": ([nn.Flatten(0), LINEAR], "module 0 is Flatten"),
    "a flatten within": ([LINEAR, nn.Flatten(), LINEAR], "module 1 is Flatten"),
    "a class of its own": ([type("Mine", (nn.ReLU,), {})(), LINEAR], "is Mine, which is none of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_module_without_a_counterpart_is_named(case):
    modules, message = REFUSED[case]
    with pytest.raises(ValueError, match=message) as caught:
        from_torch(nn.Sequential(*modules))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_what_computes_otherwise_than_it_is_called_is_refused():
    class Residual(nn.Sequential):
        def forward(self, x):
            return x + super().forward(x)

    with pytest.raises(ValueError, match="Residual of source has a forward of its own"):
        from_torch(nn.Sequential(Residual(nn.Linear(3, 3)), nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="ParametrizedLinear, which is none of"):
        from_torch(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))))
    with pytest.raises(ValueError, match="a Linear of source has weight_g, weight_v, unknown"):
        from_torch(nn.Sequential(nn.utils.weight_norm(nn.Linear(3, 3))))


def changed(**changes):
    state = to_torch(network("both norms")) | {k.replace("_", "."): v for k, v in changes.items()}
    return {key: value for key, value in state.items() if value is not None}


STATES = {
    "a key": ({"fc.weight": torch.zeros(3, 3)}, ValueError, "'fc.weight' is no key of an nn.Seq"),
    "no text": ({3: torch.zeros(3, 3)}, ValueError, "3 is no key"),
    "two": (
        {"a.0.weight": torch.zeros(3, 3), "b.1.weight": torch.zeros(3, 3)},
        ValueError,
        "keys of one nn.Sequential begin alike",
    ),
    "half": ({"0.weight": torch.zeros(3, 3).half()}, TypeError, "0.weight must be an array of"),
    "lists": ({"0.weight": [[1.0]]}, TypeError, "0.weight must be an array of .*, not list"),
    "a convolution": ({"0.weight": torch.zeros(3, 3, 2, 2)}, ValueError, "arrays weight of module"),
    "a bias alone": ({"0.bias": torch.zeros(3)}, ValueError, "arrays bias of module 0"),
    "nothing": ({}, ValueError, "source has no Linear"),
    "a bias of another size": (changed(**{"0_bias": torch.zeros(4)}), ValueError, r"b1 .*\(4,\)"),
    "a norm of another size": (changed(**{"4_bias": torch.zeros(4)}), ValueError, r"shift2 .*\(4,"),
    "two types": (changed(**{"0_bias": torch.zeros(9).double()}), ValueError, "of one dtype, not"),
    "nan": (changed(**{"0_bias": torch.full((9,), torch.nan)}), ValueError, "b1 holds NaN"),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_without_a_counterpart_is_named(case):
    state, error, message = STATES[case]
    with pytest.raises(error, match=message):
        from_torch(state, activation="relu")


def test_wrong_arguments_are_named(tmp_path):
    model = network()
    with pytest.raises(ValueError, match=r"^activation must be given with a state_dict"):
        from_torch(to_torch(model))
    with pytest.raises(ValueError, match=r"^activation must be one of .*'rleu'"):
        from_torch(to_torch(model), activation="rleu")
    with pytest.raises(ValueError, match=r"^activation must be one value, or one for each of 2"):
        from_torch(to_torch(model), activation=["relu"])
    with pytest.raises(ValueError, match=r"^activation is for a state_dict"):
        from_torch(torch_sequential(model), activation="relu")
    with pytest.raises(ValueError, match=r"^loss must be one of"):
        from_torch(torch_sequential(model), loss="hinge")
    for wrong in (3, None, nn.Linear(2, 3)):
        with pytest.raises(TypeError, match=r"^source must be an nn\.Sequential, a state_dict or"):
            from_torch(wrong, activation="relu")
    for make in (torch_sequential, to_torch):
        with pytest.raises(TypeError, match=r"^model must be a fastmlp\.MLP"):
            make(nn.Linear(2, 3))


def test_a_wrong_file_is_named_and_nothing_is_unpickled(tmp_path):
    path = tmp_path / "state"
    with pytest.raises(FileNotFoundError, match=str(path)):
        from_torch(path, activation="relu")
    torch.save(to_torch(network()), path)
    with pytest.raises(ValueError, match=f"^{path} is no safetensors file"):
        from_torch(path, activation="relu")
    network().save(path)
    with pytest.raises(ValueError, match=r"'[Wb]\d' is no key of an nn\.Sequential"):
        from_torch(path, activation="relu")


def test_without_pytorch_a_file_is_written_and_read_and_the_rest_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    model = network("both norms")
    to_torch_file(model, tmp_path / "state")
    back = from_torch(tmp_path / "state", activation=model.activation)
    assert_same_bits(back, model)
    for make in (torch_sequential, to_torch):
        with pytest.raises(ImportError, match="pip install torch"):
            make(model)
