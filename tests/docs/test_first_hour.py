import pytest

from docs.first_hour import PAGES, ROOT, Step, run_steps, steps_of


def outcomes(tmp_path, *commands):
    steps = [Step(f"page:{n}", command, command) for n, command in enumerate(commands)]
    return list(run_steps(steps, tmp_path))


def test_commands_share_one_shell_and_each_has_its_status_and_log(tmp_path):
    first, second, third = outcomes(
        tmp_path, "export NAME=value", 'echo "$NAME"; echo wrong >&2; (exit 3)', 'test "$NAME"'
    )
    assert [one.status for one in (first, second, third)] == [0, 3, 0]
    assert second.log.read_text() == "value\nwrong\n"


def test_a_shell_that_ends_leaves_the_rest_undone(tmp_path):
    (only,) = outcomes(tmp_path, "exit 0", "true")
    assert only.status == 1


def test_what_the_pages_set_is_not_there_before(tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_GRPC_URL", "elsewhere:1")
    monkeypatch.setenv("PATH", f"{ROOT / '.venv' / 'bin'}:/usr/bin:/bin")
    (url, path) = outcomes(tmp_path, 'test -z "$TRITON_GRPC_URL"', 'echo "$PATH"')
    assert url.status == 0
    assert path.log.read_text() == "/usr/bin:/bin\n"


def test_python_blocks_of_a_page_are_one_program_in_the_place_of_the_last(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 1\n```\n```sh needs=gpu\nfirst\n```\n```sh\nsecond\n```\n"
        "```python\nassert x == 1\n```\n```sh\nthird\n```\n"
    )
    gpu, second, program, third = steps_of(page, tmp_path)
    assert (gpu.command, gpu.needs) == ("first", "gpu")
    assert (second.command, second.needs) == ("second", "")
    assert third.command == "third"
    assert program.command == f"python {tmp_path / 'page.py'}"
    scope: dict[str, object] = {}
    exec((tmp_path / "page.py").read_text(), scope)
    assert scope["x"] == 1


@pytest.mark.parametrize("page", PAGES)
def test_each_page_for_newcomers_is_there_and_says_something_to_do(page, tmp_path):
    assert any(not step.needs for step in steps_of(ROOT / page, tmp_path))
