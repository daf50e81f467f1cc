import importlib
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from kfp import dsl
from typer.testing import CliRunner

import components
from spatialreward.cli.container import container_entry, run_as_task
from spatialreward.errors import InvalidInputError

ROOT = Path(components.__file__).parents[1]
NAMES = sorted(path.parent.name for path in (ROOT / "components").glob("*/component.py"))
FINAL_STATUS = "PipelineTaskFinalStatus"
HEAVY = {"torch", "transformers", "mlflow", "matplotlib", "tritonclient", "scipy", "pyarrow"}


def entry(name):
    return importlib.import_module(f"components.{name}.__main__").app


def tasks(name):
    """The component's functions as kfp sees them, by the subcommand they stand for."""
    module = importlib.import_module(f"components.{name}.component")
    return {
        value.name: value
        for value in vars(module).values()
        if isinstance(value, dsl.base_component.BaseComponent)
    }


def test_every_image_has_an_entry_and_a_page_that_explains_it():
    assert NAMES == [
        "data_building",
        "editor_evaluation",
        "reward_deployment",
        "reward_evaluation",
        "reward_training",
        "rl_finetuning",
    ]
    for name in NAMES:
        assert (ROOT / "components" / name / "__main__.py").is_file()
        assert (ROOT / "components" / name / "README.md").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_a_component_and_its_entry_take_the_same_arguments(name):
    commands = typer.main.get_command(entry(name)).commands
    found = tasks(name)
    assert set(found) == set(commands)
    for command, task in found.items():
        options = {parameter.name for parameter in commands[command].params} - {"help"}
        assert set(task.component_spec.inputs) == options
        required = {parameter.name for parameter in commands[command].params if parameter.required}
        # How the steps before have ended is the platform's to fill in.
        filled_in = {
            key for key, one in task.component_spec.inputs.items() if one.type == FINAL_STATUS
        }
        assert required <= set(task.required_inputs) | filled_in


@pytest.mark.parametrize("name", NAMES)
def test_a_component_runs_in_the_image_of_its_folder(name):
    for task in tasks(name).values():
        image = task.component_spec.implementation.container.image
        assert image == f"spatialreward/{name.replace('_', '-')}:0.1.0"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("module", ["component", "__main__"])
def test_interfaces_and_entries_load_nothing_heavy(name, module):
    code = (
        f"import sys, components.{name}.{module}\n"
        f"loaded = {HEAVY!r} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_wrong_setting_is_one_line():
    arguments = ["build-shard", "--config", '{"seeed": 1}', "--split", "train", "--shard", "0"]
    result = CliRunner().invoke(entry("data_building"), arguments)
    assert result.exit_code == 1
    assert result.stderr == "error: --config: seeed: no such key, did you mean seed?\n"


@pytest.fixture
def echo():
    """An entry whose step answers with what it got, or fails."""
    app = container_entry("for tests")

    @app.command()
    def say(words: str = typer.Option(), fail: str = typer.Option("")) -> str:
        if fail:
            raise InvalidInputError(fail)
        logging.getLogger("spatialreward.test").info("saying")
        return words

    return app


@pytest.fixture
def root_logging():
    """Put the root logger back as pytest has set it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_task_gets_the_answer_that_the_container_prints(echo, root_logging, capsys):
    assert CliRunner().invoke(echo, ["say", "--words", "a b"]).stdout == "a b\n"
    assert run_as_task(echo, "say", words="--odd 'words'\n") == "--odd 'words'\n"
    assert " say: saying\n" in capsys.readouterr().err
    assert json.loads(run_as_task(echo, "say", words=["a", "b"])) == ["a", "b"]


def test_a_task_that_fails_says_so_in_one_line_and_ends(echo, root_logging, capsys):
    with pytest.raises(SystemExit) as caught:
        run_as_task(echo, "say", words="x", fail="no\nway")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: no way\n"
