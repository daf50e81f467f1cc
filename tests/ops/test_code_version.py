import os
import subprocess
import sys

import pytest

from spatialreward.ops.code_version import CODE_VERSION, code_version


@pytest.fixture
def sources(tmp_path):
    """Two packages in place of the library and a component, with what a hash must not see."""
    for package in ("spatialreward", "components/training", "components/other"):
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / "work.py").write_text("first = 1\n")
    (tmp_path / "components" / "__init__.py").touch()
    return tmp_path


@pytest.fixture
def version_of(sources):
    """The version that a process sees, by its hash of these sources."""
    program = (
        "import sys\n"
        "from spatialreward.ops import code_version\n"
        "for name in [name for name in sys.modules if name.startswith('spatialreward')]:\n"
        "    del sys.modules[name]\n"
        f"sys.path.insert(0, {str(sources)!r})\n"
        "sys.path_importer_cache.clear()\n"
        "print(code_version.code_version(sys.argv[1]))\n"
    )

    def run(package="components.training", name=""):
        done = subprocess.run(
            [sys.executable, "-c", program, package],
            env=os.environ | {CODE_VERSION: name},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    return run


def test_the_same_sources_are_the_same_code_in_every_process(version_of, sources):
    before = version_of()
    assert len(before) == 64
    (sources / "spatialreward" / "README.md").write_text("words")
    (sources / "spatialreward" / "__pycache__").mkdir()
    (sources / "components" / "other" / "work.py").write_text("other = 1\n")
    (sources / "spatialreward" / "work.py").touch()
    assert version_of() == before
    assert version_of("components.other") != before


@pytest.mark.parametrize("package", ["spatialreward", "components/training"])
def test_a_changed_added_or_renamed_module_is_other_code(version_of, sources, package):
    seen = [version_of()]
    (sources / package / "work.py").write_text("first = 2\n")
    seen.append(version_of())
    (sources / package / "more.py").write_text("more = 1\n")
    seen.append(version_of())
    (sources / package / "more.py").rename(sources / package / "most.py")
    seen.append(version_of())
    assert len(set(seen)) == len(seen)


def test_the_environment_may_name_the_code(version_of, monkeypatch):
    assert version_of(name="sha256:1234") == "sha256:1234"
    monkeypatch.setenv(CODE_VERSION, "v7")
    assert code_version("components.reward_training") == "v7"
