from typer.testing import CliRunner

from spatialreward.cli.main import app
from spatialreward.protocol.choice import protocol_of
from tests.protocol.test_importing import CODE, checkout


def run(*arguments):
    return CliRunner().invoke(app, ["protocol", "import", *map(str, arguments)])


def test_a_protocol_file_is_made_of_a_checkout(tmp_path):
    out = tmp_path / "new" / "mine.json"
    done = run(checkout(tmp_path / "code", CODE), "--out", out, "--name", "mine")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"protocol mine is in {out}\n"
    assert protocol_of(tmp_path, out).perceptual.startswith("{edited}Look.")


def test_a_protocol_says_what_its_judge_can_do(tmp_path):
    done = CliRunner().invoke(app, ["protocol", "show", "full"])
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert told["scale"] == "0..25"
    assert told["regions"] == "yes"


def test_nothing_is_written_where_something_is_wrong(tmp_path):
    out = tmp_path / "mine.json"
    done = run(tmp_path, "--out", out)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "no checkout of the code of a judge that is known, expected one of " in done.stderr
    assert not out.exists()
    done = run(checkout(tmp_path / "code", CODE), "--out", tmp_path)
    assert f"--out {tmp_path}: is there already" in done.stderr
