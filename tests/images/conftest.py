"""Programs that note how they are called."""

import json
import shutil
import stat
import sys

import pytest


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs, of Python code that has their arguments; PATH has these and git only."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").symlink_to(shutil.which("git"))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CONTAINER_ENGINE", raising=False)

    def make(name, code=""):
        program = folder / name
        program.write_text(
            f"#!{sys.executable} -IS\nimport json, sys\narguments = sys.argv[1:]\n"
            f"open({str(tmp_path / name)!r}, 'a').write(json.dumps(arguments) + '\\n')\n{code}\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    make.calls = lambda name: [
        json.loads(line) for line in (tmp_path / name).read_text().splitlines()
    ]
    return make
