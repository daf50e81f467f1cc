from spatialreward.ops.kubeflow import ServerConfig
from spatialreward.ops.kubeflow.links import run_links
from tests.ops.kubeflow.conftest import run_of

SERVER = ServerConfig(url="http://kubeflow.test")


def told_by_the_plugin(**entries):
    told = {name: {"value": value} for name, value in entries.items()}
    return run_of({"run_id": "r", "plugins_output": {"mlflow": {"entries": told}}})


def test_a_page_that_is_none_is_no_link():
    for page in (
        "https://mlflow.test/\x1b[2J",
        "javascript:alert(1)",
        "https://[mlflow",
        "https://",
    ):
        run = told_by_the_plugin(run_url=page, root_run_id="a/b")
        assert run_links(SERVER, run).keys() == {"Kubeflow Pipelines"}
        links = run_links(SERVER, run, "https://mlflow.test/base/")
        assert links["MLflow"] == "https://mlflow.test/base/#/runs/a%2Fb"


def test_an_address_of_mlflow_that_is_none_is_no_link():
    for address in ("file:///runs", "https://[mlflow", ""):
        assert run_links(SERVER, run_of({"run_id": "r"}), address).keys() == {"Kubeflow Pipelines"}
