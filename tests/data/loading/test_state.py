import pytest

from spatialreward.data.loading.progress import Progress
from spatialreward.data.loading.state import Leg, LoaderState, LoadingConfig, Mark, Share
from spatialreward.errors import InvalidInputError

FRESH = LoaderState(data="digest", config=LoadingConfig())


def advanced(share, state, counts):
    progress = Progress(state, share)
    for stream, count in counts.items():
        progress.advance(Mark(state.epoch, stream, position) for position in range(count))
    return progress.state


def test_a_state_comes_back_from_json():
    state = advanced(Share(rank=1, world_size=2, num_workers=2), FRESH, {2: 3, 3: 1})
    assert LoaderState.model_validate_json(state.model_dump_json()) == state


def test_a_rank_knows_of_its_own_streams_only():
    state = advanced(Share(rank=1, world_size=2, num_workers=2), FRESH, {2: 3})
    assert state.legs[-1].taken == {2: 3, 3: 0}


def test_a_skipped_or_repeated_sample_is_refused():
    progress = Progress(FRESH, Share())
    progress.advance([Mark(0, 0, 0)])
    for mark in (Mark(0, 0, 0), Mark(0, 0, 2), Mark(1, 0, 1), Mark(0, 1, 0)):
        with pytest.raises(InvalidInputError, match="expected sample"):
            progress.advance([mark])
    assert progress.state.legs[-1].taken == {0: 1}


def test_the_next_epoch_begins_at_its_beginning():
    progress = Progress(FRESH, Share())
    progress.advance([Mark(0, 0, 0)])
    progress.next_epoch()
    assert (progress.state.epoch, progress.state.legs[-1].taken) == (1, {0: 0})


def test_merged_ranks_can_go_on_as_another_number():
    ranks = [advanced(Share(rank=rank, world_size=2), FRESH, {rank: 4 + rank}) for rank in range(2)]
    with pytest.raises(InvalidInputError, match="knows of 1 of 2 streams, and 3 are to go on"):
        Progress(ranks[0], Share(world_size=3))
    merged = LoaderState.merged(ranks)
    going_on = Progress(merged, Share(rank=2, world_size=3)).state
    assert going_on.legs == (
        Leg(num_streams=2, taken={0: 4, 1: 5}),
        Leg(num_streams=3, taken={2: 0}),
    )


def test_states_of_different_epochs_do_not_merge():
    with pytest.raises(InvalidInputError, match="state 1: is not of the same"):
        LoaderState.merged([FRESH, FRESH.next_epoch()])


def test_states_that_contradict_each_other_do_not_merge():
    states = [advanced(Share(), FRESH, {0: count}) for count in (1, 2)]
    with pytest.raises(InvalidInputError, match="stream 0 has come to 2, and to 1 in another"):
        LoaderState.merged(states)


def test_no_states_do_not_merge():
    with pytest.raises(InvalidInputError, match="no states"):
        LoaderState.merged([])


def test_another_ranks_state_is_refused():
    state = advanced(Share(rank=0, world_size=2), FRESH, {0: 1})
    with pytest.raises(InvalidInputError, match="does not know of stream 1, one of rank 1's"):
        Progress(state, Share(rank=1, world_size=2))


def test_the_share_is_what_torchrun_says(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    share = Share.from_environment(num_workers=2)
    assert (list(share.streams), share.num_streams) == ([6, 7], 8)


def test_without_torchrun_one_process_reads_it_all(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Share.from_environment() == Share()


@pytest.mark.parametrize(
    ("rank", "world_size"), [("0", ""), ("four", "5"), ("2", "2"), ("-1", "2")]
)
def test_a_share_that_makes_no_sense_is_refused(monkeypatch, rank, world_size):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", world_size)
    with pytest.raises(InvalidInputError, match="share of an epoch from"):
        Share.from_environment()


def test_a_state_of_streams_that_do_not_exist_is_refused():
    with pytest.raises(ValueError, match="stream 2: there are only 2"):
        Leg(num_streams=2, taken={2: 0})
