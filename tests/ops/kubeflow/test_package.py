import pytest
import yaml

from spatialreward.errors import InvalidInputError
from spatialreward.ops.kubeflow import parse_parameters, read_package, steps_of
from spatialreward.ops.kubeflow.package import Step
from spatialreward.ops.kubeflow.triggers import trigger_of


def test_steps_come_after_those_that_they_wait_for(package):
    assert steps_of(package.spec) == [
        Step("build-shard-2", "build-heldout"),
        Step("build-shard", "build-shard"),
        Step("merge-shards", "merge-shards"),
        Step("train-judge", "train-judge"),
    ]
    assert steps_of({"pipeline_spec": package.spec, "platform_spec": {}}) == steps_of(package.spec)
    assert steps_of({"templates": []}) == []


def test_a_version_is_named_after_what_the_pipeline_says(write_package):
    one = read_package(write_package(file="one.yaml"))
    path = write_package(file="two.yaml")
    text = yaml.safe_dump(yaml.safe_load(path.read_text()), default_flow_style=True)
    path.write_text(f"# written another way\n{text}")
    assert read_package(path).version_name == one.version_name
    assert one.version_name == f"0.1.0-{one.sha256[:12]}"
    assert read_package(write_package(sdkVersion="other")).version_name != one.version_name
    further = write_package({"platforms": {"kubernetes": {}}})
    assert read_package(further).version_name != one.version_name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no compiled pipeline"),
        (b"- 1\n", "no compiled pipeline"),
        (b"apiVersion: argoproj.io/v1alpha1\n", "no compiled pipeline"),
        (b"pipelineInfo: {name: x}\nroot: {}\n", "no compiled pipeline"),
        (b"a: [1\n", "no YAML"),
        (b"\xff\xfe\xff", "no YAML"),
    ],
)
def test_what_is_no_pipeline_is_named(tmp_path, content, words):
    path = tmp_path / "pipeline.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=f"{path}: {words}"):
        read_package(path)
    with pytest.raises(InvalidInputError, match="No such file"):
        read_package(tmp_path / "other.yaml")


def test_parameters_are_of_the_types_that_the_pipeline_declares(package):
    given = [
        "steps=5",
        "share=0.25",
        "rerun=TRUE",
        "seeds=[2, 3]",
        'more={"a": 1}',
        "parent_run_id=",
    ]
    assert parse_parameters(package, given) == {
        "steps": 5,
        "share": 0.25,
        "rerun": True,
        "seeds": [2, 3],
        "more": {"a": 1},
        "parent_run_id": "",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("steps", "expected NAME=VALUE"),
        ("step=1", "has no step, did you mean steps?"),
        ("xyz=1", "it has: more, parent_run_id, rerun"),
        ("steps=1.5", "expected a NUMBER_INTEGER, got '1.5'"),
        ("share=nan", "expected a NUMBER_DOUBLE"),
        ("rerun=maybe", "expected a BOOLEAN"),
        ("seeds={}", "expected a LIST"),
        ("more=1", "expected a STRUCT"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(package, given, words):
    with pytest.raises(InvalidInputError) as error:
        parse_parameters(package, [given])
    assert words in str(error.value)


def test_a_parameter_without_a_default_is_asked_for(write_package):
    root = {
        "dag": {"tasks": {}},
        "inputDefinitions": {"parameters": {"data": {"parameterType": "STRING"}}},
    }
    with pytest.raises(InvalidInputError, match="needs --param data=VALUE"):
        parse_parameters(read_package(write_package(root=root)), [])


def test_five_fields_are_a_crontab_and_six_have_seconds():
    assert trigger_of("0 3 * * 1", None) == {"cron_schedule": {"cron": "0 0 3 * * 1"}}
    assert trigger_of("30 0 3 * * MON", None) == {"cron_schedule": {"cron": "30 0 3 * * MON"}}
    assert trigger_of("@daily", None) == {"cron_schedule": {"cron": "@daily"}}
    for text in ("", "3 * *", "0 3 * * 1; rm", "0 0 0 3 * * 1"):
        with pytest.raises(InvalidInputError, match="--schedule"):
            trigger_of(text, None)


def test_intervals_have_units():
    assert trigger_of(None, "1d12h") == {"periodic_schedule": {"interval_second": "129600"}}
    assert trigger_of(None, "90s") == {"periodic_schedule": {"interval_second": "90"}}
    for text in ("", "90", "0h", "6 h", "h6", "6h!"):
        with pytest.raises(InvalidInputError, match="--every"):
            trigger_of(None, text)
    assert trigger_of(None, None) is None
    with pytest.raises(InvalidInputError, match="got both"):
        trigger_of("@daily", "6h")
