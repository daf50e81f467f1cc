"""Annotates edits until it is killed; run by a test as a process of its own."""

import sys
from pathlib import Path

from spatialreward.data.teacher.config import TeacherConfig
from spatialreward.data.teacher.teaching import annotate_all
from tests.data.teacher.edits_to_annotate import edits

if __name__ == "__main__":
    config, ledger, count = sys.argv[1:]
    for result in annotate_all(
        edits(int(count)), TeacherConfig.model_validate_json(config), Path(ledger)
    ):
        sys.stdout.write(f"{result.id}\n")
        sys.stdout.flush()
