import itertools

import pytest
import torch

from spatialreward.errors import InvalidInputError
from spatialreward.training.optimisation import KeptState, learning_rate_factor
from spatialreward.training.processes import Processes


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    factors = [learning_rate_factor(step, 4, 100) for step in range(101)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert factors[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in itertools.pairwise(factors[4:]))


class WithAnother(Processes):
    """Two processes, the other of which has found this step: its disk is another one."""

    def __init__(self, step, rank=0):
        super().__init__(rank, world_size=2)
        self._step = step

    def from_all(self, value):
        others = [value, (self._step, "node-b", "/work/state.pt")]
        return others if self.is_first else others[::-1]


def kept_after(step, path):
    part = torch.nn.Linear(1, 1)
    KeptState(path, [part]).keep(step)
    return torch.nn.Linear(1, 1), part


def test_processes_that_found_the_same_step_go_on_after_it(tmp_path):
    fresh, kept = kept_after(4, tmp_path / "state.pt")
    assert KeptState(tmp_path / "state.pt", [fresh], WithAnother(4)).restore() == 4
    assert torch.equal(fresh.weight, kept.weight)


@pytest.mark.parametrize(("other", "told"), [(2, "step 2 in"), (None, "no file")])
def test_processes_that_found_different_steps_name_them_and_load_nothing(tmp_path, other, told):
    path = tmp_path / "state.pt"
    fresh, _ = kept_after(4, path)
    before = fresh.weight.clone()
    with pytest.raises(InvalidInputError, match="resume from different steps") as caught:
        KeptState(path, [fresh], WithAnother(other)).restore()
    assert f"step 4 in {path}" in str(caught.value)
    assert f"process 1 on node-b: {told} /work/state.pt" in str(caught.value)
    assert torch.equal(fresh.weight, before)
    # A process that has no state itself must not begin while another one goes on.
    with pytest.raises(InvalidInputError, match="different steps"):
        KeptState(tmp_path / "none.pt", [fresh], WithAnother(2)).restore()


def test_the_first_of_several_processes_alone_writes_the_state(tmp_path):
    path = tmp_path / "state.pt"
    KeptState(path, [torch.nn.Linear(1, 1)], WithAnother(4, rank=1)).keep(4)
    assert not path.exists()


def test_a_damaged_state_is_named(tmp_path):
    path = tmp_path / "state.pt"
    kept_after(4, path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InvalidInputError, match=r"state\.pt: this state cannot be read"):
        KeptState(path, []).restore()
