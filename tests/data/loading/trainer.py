"""A training with two workers that keeps its state after every step, for the tests that kill it."""

import json
import sys
from pathlib import Path

from torch.utils.data import DataLoader

from spatialreward.data.loading.packed import open_packed
from spatialreward.data.loading.progress import Progress
from spatialreward.data.loading.state import LoaderState, LoadingConfig, Share
from spatialreward.data.loading.torch_dataset import EditDataset


def start(folder, kept):
    """The progress and batches of three ids each, from a state that was kept or from the start."""
    data = open_packed(folder)
    state = data.begin(LoadingConfig(seed=5, buffer_rows=16)) if kept is None else kept
    progress = Progress(state, Share(num_workers=2))
    loader = DataLoader(
        EditDataset(data, progress, prepare=lambda edit: edit.id),
        batch_size=3,
        num_workers=2,
        prefetch_factor=4,
        collate_fn=list,
    )
    return progress, loader


def main(folder, checkpoint, stop_at):
    """Train; checkpoint and state are one file that is replaced as a whole.

    The "weights" are the ids that were learnt. After ``stop_at`` steps it waits to be killed, its
    workers alive and full of samples that nobody has used.
    """
    kept = json.loads(checkpoint.read_text()) if checkpoint.exists() else None
    learnt = kept["learnt"] if kept else []
    progress, loader = start(folder, LoaderState.model_validate(kept["loader"]) if kept else None)
    for step, samples in enumerate(loader, 1):
        learnt += [sample.item for sample in samples]
        progress.advance(sample.mark for sample in samples)
        unfinished = checkpoint.with_suffix(".partial")
        state = progress.state.model_dump(mode="json")
        unfinished.write_text(json.dumps({"learnt": learnt, "loader": state}))
        unfinished.replace(checkpoint)
        sys.stdout.write(f"step {step}\n")
        sys.stdout.flush()
        if step == stop_at:
            sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
