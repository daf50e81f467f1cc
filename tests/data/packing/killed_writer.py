"""Writes a shard and prints each step, for a test that kills it in between: ``PATH NUM_EDITS``."""

import sys
from pathlib import Path

from spatialreward.data.packing.shards import ShardWriter
from tests.data.packing.making import make_edit


def main() -> None:
    path, num_edits = Path(sys.argv[1]), int(sys.argv[2])
    with ShardWriter(path, rows_a_group=4) as writer:
        for number in range(num_edits):
            writer.write(make_edit(number))
            sys.stdout.write("written\n")
            sys.stdout.flush()
    sys.stdout.write("complete\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
