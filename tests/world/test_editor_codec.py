import torch

from spatialreward.world.editor_codec import PatchCodec, reconstruction_loss
from spatialreward.world.tiny_config import EditorNetworkConfig

CONFIG = EditorNetworkConfig(picture_side=32, patch_side=8, latent_channels=6)


def pictures(count, seed=0):
    """One plain colour a patch, so that six numbers are enough for each."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand((count, 3, 4, 4), generator=generator) * 2 - 1
    return colours.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)


def test_a_patch_becomes_a_few_numbers_where_it_stands():
    codec = PatchCodec(CONFIG).eval()
    whole = pictures(2)
    latents = codec.encode(whole)
    assert latents.shape == (2, 6, 4, 4)
    assert codec.decode(latents).shape == whole.shape
    whole[0, :, 8:16, 24:] = 0.5
    changed = (codec.encode(whole) != latents).any(dim=1)
    assert changed.nonzero().tolist() == [[0, 1, 3]]


def test_training_gives_pictures_back_from_noisy_latents_of_variance_one():
    torch.manual_seed(0)
    codec = PatchCodec(CONFIG)
    optimiser = torch.optim.AdamW(codec.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for seed in range(150):
        loss = reconstruction_loss(codec, pictures(8, seed), 0.1, generator)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    codec.eval()
    unseen = pictures(32, seed=1000)
    with torch.no_grad():
        latents = codec.encode(unseen)
        noisy = latents + 0.1 * torch.randn(latents.shape, generator=generator)
        error = (codec.decode(noisy) - unseen).square().mean()
    assert error < 0.1 * unseen.var()
    assert torch.allclose(latents.std(dim=(0, 2, 3)), torch.ones(6), atol=0.3)
