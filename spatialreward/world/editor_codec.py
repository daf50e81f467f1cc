"""The tiny editor's codec: maps each patch of a picture to a few numbers, and back.

In a latent space this small an editor has little room for meaningless noise, and the decoder turns
any latent into a picture that resembles its training world.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from spatialreward.world.tiny_config import EditorNetworkConfig

# B pictures, N patches, C latent channels, h w patches high and wide
_HIDDEN = 384


class PatchCodec(nn.Module):
    """An autoencoder of single patches, whose latent channels have mean 0 and variance 1."""

    def __init__(self, config: EditorNetworkConfig) -> None:
        """Build an untrained codec."""
        super().__init__()
        self.config = config
        pixels = 3 * config.patch_side**2
        self.encoder = nn.Sequential(
            nn.Linear(pixels, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, config.latent_channels)
        )
        self.scale = nn.BatchNorm1d(config.latent_channels, affine=False)
        self.decoder = nn.Sequential(
            nn.Linear(config.latent_channels, _HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, _HIDDEN),
            nn.GELU(),
            nn.Linear(_HIDDEN, pixels),
        )

    def encode(self, pictures_B3HW: Tensor) -> Tensor:
        """Encode pictures in -1..1 to latents ``[B, C, h, w]``."""
        side = self.config.patch_side
        patches_BNP = functional.unfold(pictures_B3HW, side, stride=side).transpose(1, 2)
        flat = self.scale(self.encoder(patches_BNP).flatten(0, 1))
        cells = self.config.picture_side // side
        return flat.view(len(pictures_B3HW), cells, cells, -1).permute(0, 3, 1, 2)

    def decode(self, latents_BCHW: Tensor) -> Tensor:
        """Decode latents to pictures ``[B, 3, H, W]``, not limited to -1..1."""
        patches_BPN = self.decoder(latents_BCHW.flatten(2).transpose(1, 2)).transpose(1, 2)
        side = self.config.patch_side
        return functional.fold(patches_BPN, self.config.picture_side, side, stride=side)


def reconstruction_loss(
    codec: PatchCodec, pictures_B3HW: Tensor, noise: float, generator: torch.Generator
) -> Tensor:
    """Squared error of pictures decoded from latents with ``noise``.

    The noise makes near latents similar in meaning, so that an editor's small errors stay small.
    """
    latents = codec.encode(pictures_B3HW)
    noisy = latents + noise * torch.randn(latents.shape, generator=generator)
    return functional.mse_loss(codec.decode(noisy).float(), pictures_B3HW)
