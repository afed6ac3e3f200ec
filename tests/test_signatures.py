"""Every implementation has the same API: names, parameters, defaults, fields, in one order."""

import dataclasses
import inspect

import pytest

from benchmarks.implementations import IMPLEMENTATIONS, SHARED_NAMES

EXPECTED = IMPLEMENTATIONS["reference"]
OTHERS = {name: module for name, module in IMPLEMENTATIONS.items() if module is not EXPECTED}

FUNCTIONS = ["evaluate", "fit", "loss_and_gradients", "train_step"]
METHODS = {
    "MLP": [
        "__init__",
        "load_state_dict",
        "logits",
        "predict",
        "predict_proba",
        "state_dict",
    ],
    "Callback": [
        "on_epoch_begin",
        "on_epoch_end",
        "on_progress",
        "on_train_begin",
        "on_train_end",
    ],
    "EarlyStopping": [
        "__init__",
        "check",
        "on_epoch_end",
        "on_train_begin",
        "on_train_end",
        "set_state",
        "state",
    ],
    "History": ["__init__", "to_dataframe", "to_dict", "to_jsonl"],
}
DESCRIPTIONS = [
    *("AbsoluteError", "BinaryCrossEntropy", "CrossEntropy", "Huber", "Poisson", "SquaredError"),
    *("SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "Lion", "LBFGS"),
    *("Constant", "Cosine", "Exponential", "InverseScaling", "Linear", "OneCycle"),
    *("ReduceOnPlateau", "Step", "EMA", "SWA", "Augmentation"),
]
"""Dataclasses of settings."""

BEYOND = {("MLP", "logits"): {"out"}, ("MLP", "predict_proba"): {"out"}}
"""Parameters that the reference does without, which makes new arrays whatever it is told."""

ATTRIBUTES = [
    "activation",
    "biases",
    "dropout",
    "dtype",
    "init",
    "input_dropout",
    "layers",
    "n_parameters",
    "norm",
    "running_means",
    "running_variances",
    "scales",
    "seed",
    "shifts",
    "uint8_scale",
    "weights",
]
other = pytest.mark.parametrize("name", OTHERS)


def signature(function):
    """Names, kinds and defaults; annotations may say more or less."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default) for p in parameters]


def assert_equal_methods(name, cls, method):
    """``method`` of ``cls`` has the reference's signature, but for what is beyond it."""
    ours = signature(getattr(getattr(OTHERS[name], cls), method))
    beyond = BEYOND.get((cls, method), set())
    assert beyond <= {parameter for parameter, *_ in ours}
    expected = signature(getattr(getattr(EXPECTED, cls), method))
    assert [parameter for parameter in ours if parameter[0] not in beyond] == expected


def public(cls):
    return [name for name, _ in inspect.getmembers(cls, callable) if not name.startswith("_")]


@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_every_shared_name_is_public(name):
    module = IMPLEMENTATIONS[name]
    for shared in SHARED_NAMES:
        assert hasattr(module, shared)
        assert shared in module.__all__


def test_every_shared_name_is_compared_here():
    classes = ["Epoch", "Evaluation", "Gradients", "TrainingState"]
    assert sorted([*FUNCTIONS, *METHODS, *DESCRIPTIONS, *classes]) == sorted(SHARED_NAMES)


@other
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_have_equal_signatures(name, function):
    ours, expected = getattr(OTHERS[name], function), getattr(EXPECTED, function)
    assert signature(ours) == signature(expected)


@other
@pytest.mark.parametrize(("cls", "method"), [(c, m) for c, ms in METHODS.items() for m in ms])
def test_methods_have_equal_signatures(name, cls, method):
    assert_equal_methods(name, cls, method)


@other
def test_methods_of_one_name_have_equal_signatures(name):
    """Those beyond the table above, too, as soon as both have them."""
    for cls in METHODS:
        ours, expected = getattr(OTHERS[name], cls), getattr(EXPECTED, cls)
        for method in set(public(ours)) & set(public(expected)):
            assert_equal_methods(name, cls, method)


@other
def test_models_have_the_same_attributes_of_the_same_types_and_values(name):
    ours, expected = OTHERS[name].MLP([3, 4, 2]), EXPECTED.MLP([3, 4, 2])
    for attribute in ATTRIBUTES:
        value, wanted = getattr(ours, attribute), getattr(expected, attribute)
        assert isinstance(value, type(wanted))
        if isinstance(wanted, list):
            assert [(a.shape, a.dtype) for a in value] == [(a.shape, a.dtype) for a in wanted]
        else:
            assert value == wanted


@other
@pytest.mark.parametrize("cls", ["Epoch", "History", *DESCRIPTIONS])
def test_dataclasses_have_the_same_fields_in_one_order(name, cls):
    ours, expected = getattr(OTHERS[name], cls), getattr(EXPECTED, cls)
    fields = [(field.name, field.default) for field in dataclasses.fields(ours)]
    assert fields == [(field.name, field.default) for field in dataclasses.fields(expected)]
    assert signature(ours.__init__) == signature(expected.__init__)
    frozen = ours.__dataclass_params__.frozen
    assert frozen == expected.__dataclass_params__.frozen


@other
@pytest.mark.parametrize("cls", ["Evaluation", "Gradients"])
def test_named_tuples_have_the_same_fields_in_one_order(name, cls):
    assert getattr(OTHERS[name], cls)._fields == getattr(EXPECTED, cls)._fields
