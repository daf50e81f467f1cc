"""Our OmniGen2 against tensors of the published one: largest differences by comparison.

The tensors come from a tiny model with random weights; ``README.md`` beside them explains how they
were made and gives the tolerances.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel

CASES = ("t2i", "one_ref", "two_refs", "mixed", "five_refs")
_OUTPUT, _ALONE, _GRADIENT, _STEP, _ROLLOUT, _REPLAYED = 5e-4, 5e-5, 1e-3, 1e-5, 1e-3, 1e-5
_ONE_REFERENCE = "case_one_ref"


class Compared(NamedTuple):
    """The largest difference between corresponding values."""

    name: str
    difference: float
    allowed: float


class Case(NamedTuple):
    """A batch, with the published network's output."""

    latents: "list[Tensor]"
    times_B: "Tensor"
    text_BNC: "Tensor"
    mask_BN: "Tensor"
    references: "list[list[Tensor]]"
    outputs: "list[Tensor]"

    @classmethod
    def read(cls, folder: Path, name: str) -> "Case":
        """One of the files with a batch."""
        tensors = _tensors(folder, name)
        count = len(tensors["timestep"])
        return cls(
            [tensors[f"latent.{sample}"] for sample in range(count)],
            tensors["timestep"],
            tensors["text_hidden_states"],
            tensors["text_attention_mask"],
            [_numbered(tensors, f"ref.{sample}.") for sample in range(count)],
            [tensors[f"output.{sample}"] for sample in range(count)],
        )

    def inputs(self, *, stacked: bool) -> tuple[Any, ...]:
        """In the model's form; samples of one size may be one tensor."""
        import torch

        latents = torch.stack(self.latents) if stacked else self.latents
        references = self.references if any(self.references) else None
        return latents, self.times_B, self.text_BNC, self.mask_BN, references

    def alone(self, sample: int) -> tuple[Any, ...]:
        """The inputs of one sample, with the same padding."""
        row = slice(sample, sample + 1)
        return (
            self.latents[row],
            self.times_B[row],
            self.text_BNC[row],
            self.mask_BN[row],
            self.references[row],
        )


def compare(folder: Path) -> Iterator[Compared]:
    """All comparisons; some seconds.

    Raises:
        InvalidInputError: a file is missing.
    """
    yield from _outputs(folder)
    yield _inside(folder)
    yield _rotation(folder)
    yield from _gradients(folder)
    yield from _guidance(folder)
    yield from _rollout(folder)
    yield from _steps(folder)


@cache
def model(folder: Path) -> "OmniGen2Transformer2DModel":
    """The tiny model of the tensors."""
    from spatialreward.editors.omnigen2.transformer import OmniGen2Transformer2DModel

    config = json.loads((folder / "config.json").read_text())
    built = OmniGen2Transformer2DModel.from_config(config)
    built.load_state_dict(_tensors(folder, "weights"), strict=True)
    return built.eval()


def _outputs(folder: Path) -> Iterator[Compared]:
    import torch

    for name in CASES:
        case = Case.read(folder, f"case_{name}")
        stacked = len({one.shape for one in case.latents}) == 1
        with torch.no_grad():
            found = model(folder)(*case.inputs(stacked=stacked))
            alone = [model(folder)(*case.alone(one))[0] for one in range(len(case.latents))]
        yield Compared(f"output_{name}", _largest(found, case.outputs), _OUTPUT)
        yield Compared(f"alone_{name}", _largest(found, alone), _ALONE)


def _inside(folder: Path) -> Compared:
    """Outputs of the parts; padding, after a row's tokens, does not count."""
    import torch

    expected, network = _tensors(folder, "inside_one_ref"), model(folder)
    case, found = Case.read(folder, _ONE_REFERENCE), {}

    def keep(name: str, output: "Tensor | tuple[Tensor, ...]") -> None:
        if isinstance(output, tuple):
            found.update({f"{name}.{number}": one for number, one in enumerate(output)})
        else:
            found[name] = output

    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: keep(name, output))
        for name, module in network.named_modules()
        if name in expected or f"{name}.0" in expected
    ]
    with torch.no_grad():
        network(*case.inputs(stacked=True))
    for hook in hooks:
        hook.remove()
    words = case.mask_BN.sum(dim=1).tolist()
    differences = [
        _largest([found[name][row, :length]], [tensor[row, :length]])
        for name, tensor in expected.items()
        if not name.startswith("rotary.")
        for row, length in enumerate(_true_lengths(name, words, case))
    ]
    return Compared("inside", max(differences), _OUTPUT)


def _true_lengths(name: str, words: list[int], case: Case) -> list[int]:
    """Number of non-padding tokens per row; the whole row if it has no tokens."""
    if name.startswith(("context_refiner.", "time_caption_embed.1")):
        return words
    if name.startswith(("layers.", "norm_out", "rotary.joint")):
        # A token is a patch of 2 x 2.
        pictures = [
            sum(one[0].numel() // 4 for one in (latent, *references))
            for latent, references in zip(case.latents, case.references, strict=True)
        ]
        return [one + other for one, other in zip(words, pictures, strict=True)]
    return [2**31] * len(words)


def _rotation(folder: Path) -> Compared:
    import torch

    from spatialreward.editors.omnigen2.patches import Positions, grid_of, rotations

    expected, config = _tensors(folder, "inside_one_ref"), model(folder).config
    case, differences = Case.read(folder, _ONE_REFERENCE), []
    words = case.mask_BN.sum(dim=1).tolist()
    for row, length in enumerate(_true_lengths("rotary.joint", words, case)):
        grids = [grid_of(one, config.patch_size) for one in case.references[row]]
        target = grid_of(case.latents[row], config.patch_size)
        places = Positions.of(words[row], grids, target)
        joint_NA = torch.cat([places.text_NA, *places.references_NA, places.target_NA])
        [found] = rotations(joint_NA[None], config.axes_dim_rope)
        for part, values in (("real", found.real), ("imag", found.imag)):
            differences.append(_largest([values], [expected[f"rotary.joint.{part}"][row, :length]]))
    return Compared("rotation", max(differences), _OUTPUT)


def _gradients(folder: Path) -> Iterator[Compared]:
    """Relative to the largest number of each tensor."""
    expected, network = _tensors(folder, "gradients_one_ref"), model(folder)
    case = Case.read(folder, _ONE_REFERENCE)
    network.zero_grad()
    loss = (network(*case.inputs(stacked=True)) * expected["probe"]).mean()
    loss.backward()
    weights = dict(network.named_parameters())
    relative = []
    for name in expected:
        if name.startswith("grad."):
            gradient = weights[name.removeprefix("grad.")].grad
            largest = float(expected[name].abs().max())
            relative.append(_largest([gradient], [expected[name]]) / largest)
    network.zero_grad()
    yield Compared("loss", abs(float(loss.detach()) - float(expected["loss"])), _OUTPUT)
    yield Compared("gradients_relative", max(relative), _GRADIENT)


def _guidance(folder: Path) -> Iterator[Compared]:
    import torch

    from spatialreward.editors.omnigen2.guidance import guide

    expected, case = _tensors(folder, "guidance_one_ref"), Case.read(folder, _ONE_REFERENCE)
    latents = torch.stack(case.latents)
    found = _predictions(folder, latents, case.times_B)
    names = ("v_full", "v_ref_only", "v_uncond")
    predicted = [_largest(*pair) for pair in zip(found, (expected[n] for n in names), strict=True)]
    yield Compared("guidance_predictions", max(predicted), _OUTPUT)
    both, text_only = guide(found, 4.0, 2.0), guide([found[0], found[2]], 4.0, 1.0)
    yield Compared("guided_text4_image2", _largest(both, expected["guided_text4_image2"]), _OUTPUT)
    yield Compared(
        "guided_text4_image1", _largest(text_only, expected["guided_text4_image1"]), _OUTPUT
    )


def _predictions(folder: Path, latents: "Tensor", times_B: "Tensor") -> "list[Tensor]":
    """With all inputs, without the text, and without the text and the pictures."""
    import torch

    case, network = Case.read(folder, _ONE_REFERENCE), model(folder)
    empty = _tensors(folder, "guidance_one_ref")
    text = case.text_BNC, case.mask_BN
    nothing = empty["negative_text_hidden_states"], empty["negative_text_attention_mask"]
    with torch.no_grad():
        return [
            network(latents, times_B, *text, case.references),
            network(latents, times_B, *nothing, case.references),
            network(latents, times_B, *nothing),
        ]


def _rollout(folder: Path) -> Iterator[Compared]:
    """Six stochastic steps from given initial noise, with given noise per step."""
    from spatialreward.editors.omnigen2.guidance import guide
    from spatialreward.editors.sampling import log_prob, step_times, transition

    settings = json.loads((folder / "rollout_one_ref.json").read_text())
    expected = _tensors(folder, "rollout_one_ref")
    latents = ode = expected["start_noise"]
    rows, columns = latents.shape[-2:]
    shift = (rows * columns) ** 0.5 / (settings["shift_base"] / 8)
    times = step_times(settings["steps"], shift)
    scales = settings["text_guidance"], settings["image_guidance"]
    yield Compared("rollout_times", max(_off(times, row) for row in expected["times"]), _STEP)

    def velocity(at: "Tensor", step: int) -> "Tensor":
        found = _predictions(folder, at, at.new_full((len(at),), times[step]))
        return guide(found, *scales) if settings["guided"][step] else found[0]

    replayed = []
    for step, (time, following) in enumerate(itertools.pairwise(times)):
        given, next_given = expected["latents"][step], expected["latents"][step + 1]
        again = transition(given, velocity(given, step), time, following, settings["eta"])
        replayed.append(_largest(log_prob(again, next_given), expected["log_probs"][step]))
        drawn = transition(latents, velocity(latents, step), time, following, settings["eta"])
        latents = drawn.mean + drawn.deviation * expected["noise"][step]
        ode = ode + velocity(ode, step) * (following - time)
    yield Compared("rollout_end", _largest(latents, expected["latents"][-1]), _ROLLOUT)
    yield Compared("rollout_log_probs", max(replayed), _REPLAYED)
    yield Compared("ode_end", _largest(ode, expected["ode_final"]), _ROLLOUT)


def _steps(folder: Path) -> Iterator[Compared]:
    """Single stochastic steps, of both conventions of time."""
    cases = json.loads((folder / "scheduler_cases.json").read_text())
    tensors = _tensors(folder, "scheduler")
    for name, dynamics in (("steps", None), ("steps_from_sigma", "Flow-SDE")):
        differences = [
            difference
            for case in cases
            if case.get("dynamics") == dynamics
            for row in range(2)
            for difference in _step_differences(tensors, case, row)
        ]
        yield Compared(name, max(differences), _STEP)


def _step_differences(
    tensors: "Mapping[str, Tensor]", case: Mapping[str, Any], row: int
) -> Iterator[float]:
    """Of one sample, ignoring its padding tokens."""
    from spatialreward.editors.sampling import log_prob, transition

    key, step = case["key"], case["step"]
    group = key.rpartition("step")[0]
    if "dynamics" in case:
        times, sign, tokens = 1 - tensors[f"{group}sigmas"], -1, slice(None)
        velocity, log_probs = tensors[f"{key}u"], ("log_prob",)
    else:
        times, sign, tokens = tensors[f"{group}times"][row], 1, tensors[f"{group}mask"][row].bool()
        velocity, log_probs = tensors[f"{key}v"], ("log_prob", "log_prob_replayed")

    def of(name: str) -> "Tensor":
        return tensors[key + name][row : row + 1, tokens]

    time, following = times[step : step + 2].tolist()
    found = transition(
        of("x"), sign * velocity[row : row + 1, tokens], time, following, case["eta"]
    )
    yield _largest(found.mean, of("mean"))
    yield abs(found.deviation - float(tensors[f"{key}deviation"][row]))
    yield _largest(found.mean + found.deviation * of("noise"), of("next"))
    for name in log_probs:
        yield _largest(log_prob(found, of("next")), tensors[key + name][row : row + 1])


def _largest(found: "Tensor | list[Tensor]", expected: "Tensor | list[Tensor]") -> float:
    pairs = zip(found, expected, strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs)


def _off(times: list[float], expected_T: "Tensor") -> float:
    return max(abs(one - float(other)) for one, other in zip(times, expected_T, strict=True))


def _numbered(tensors: "Mapping[str, Tensor]", prefix: str) -> "list[Tensor]":
    count = sum(name.startswith(prefix) for name in tensors)
    return [tensors[f"{prefix}{number}"] for number in range(count)]


def _tensors(folder: Path, name: str) -> "dict[str, Tensor]":
    """The tensors of a file.

    Raises:
        InvalidInputError: it is missing.
    """
    from safetensors.torch import load_file

    from spatialreward.errors import InvalidInputError

    path = folder / f"{name}.safetensors"
    if not path.is_file():
        raise InvalidInputError(f"{path}: no such file")
    return load_file(path)
