"""An editor whose velocity is a line through its latents, so that all of RL can be done by hand."""

import copy

import torch
from torch import nn

from spatialreward.editors.sampling import step_times


class Rows(list):
    """A condition that says nothing but how many rows it has."""

    def rows(self, chosen):
        return Rows(self[chosen] if isinstance(chosen, slice) else [self[one] for one in chosen])

    def repeat(self, times):
        return Rows(one for one in self for _ in range(times))


class LinearEditor:
    """``v = slope * x + offset``, in float64; latents are ``[B, 2, 2, 3]``."""

    device = torch.device("cpu")

    def __init__(self, slope=-0.4, offset=0.3):
        self.module = nn.ParameterDict(
            {
                "slope": nn.Parameter(torch.tensor(slope, dtype=torch.float64)),
                "offset": nn.Parameter(torch.tensor(offset, dtype=torch.float64)),
            }
        )

    def noise(self, condition, generator):
        shape = (len(condition), 2, 2, 3)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def times(self, num_steps, condition):
        return step_times(num_steps, 1.0)

    def velocity(self, latents, times_B, condition, guided=True):
        return self.module["slope"] * latents + self.module["offset"]

    def grid(self, condition):
        return 2, 3

    def spread(self, map_Bhw, condition):
        return map_Bhw[:, None]

    def trainable(self):
        return self.module

    def reference(self):
        return copy.deepcopy(self)

    def set(self, slope, offset):
        with torch.no_grad():
            self.module["slope"].fill_(slope)
            self.module["offset"].fill_(offset)
        return self
