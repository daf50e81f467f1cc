import pytest
import torch

from spatialreward.judges.qwen_vl.folder import MODEL_TYPES
from spatialreward.judges.qwen_vl.positions import token_positions
from tests.judges.models import small_model

GRIDS = torch.tensor([[1, 6, 8], [1, 4, 4], [1, 4, 6]])


def rows(padded):
    """Two rows: pictures of 12 and 4 tokens between words, and one of 6 that ends the row."""
    kinds = torch.zeros(2, 40, dtype=torch.int)
    kinds[0, 12:24] = kinds[0, 30:34] = kinds[1, 34:40] = 1
    mask = torch.ones(2, 40, dtype=torch.long)
    if padded:
        mask[1, :7] = 0
        mask[0, 38:] = 0
    return kinds, mask if padded else None


@pytest.mark.parametrize("kind", MODEL_TYPES)
@pytest.mark.parametrize("padded", [True, False])
def test_tokens_have_the_places_that_transformers_gives_them(kind, padded, untrained):
    model = small_model(kind, untrained[1].tokenizer)
    kinds, mask = rows(padded)
    ids = torch.ones(2, 40, dtype=torch.long)
    expected = model.model.get_rope_index(ids, kinds, image_grid_thw=GRIDS, attention_mask=mask)
    got = token_positions(2, ids, kinds, image_grid_thw=GRIDS, attention_mask=mask)
    for one, other in zip(expected, got, strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()


def test_words_alone_are_counted():
    ids = torch.ones(1, 4, dtype=torch.long)
    mask = torch.tensor([[0, 1, 1, 1]])
    places, deltas = token_positions(2, ids, torch.zeros_like(ids), attention_mask=mask)
    assert places.tolist() == [[[0, 0, 1, 2]]] * 3
    assert deltas.tolist() == [[0]]


def test_pictures_that_do_not_fit_their_tokens_are_refused():
    kinds, _ = rows(padded=False)
    with pytest.raises(ValueError, match="expected 16 tokens for 2 pictures, got 22"):
        token_positions(2, torch.ones(2, 40), kinds, image_grid_thw=GRIDS[:2])
