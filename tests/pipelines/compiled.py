"""A compiled pipeline, as tests look at it."""

from pathlib import Path
from typing import NamedTuple

import yaml


class Compiled(NamedTuple):
    """Its specification, and what kfp-kubernetes has added for each executor."""

    name: str
    spec: dict
    pods: dict

    @classmethod
    def read(cls, path: Path, name: str = "") -> "Compiled":
        spec, platform = yaml.safe_load_all(path.read_text())
        executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        return cls(name, spec, executors)

    @property
    def parts(self) -> dict:
        """Tasks of the pipeline inside: parts, and steps beside them."""
        (inner,) = (
            task["componentRef"]["name"]
            for task in self.outer.values()
            if task["componentRef"]["name"].startswith("comp-steps-")
        )
        return self.tasks(inner)

    def tasks(self, component: str) -> dict:
        """Tasks of a pipeline by its component's name."""
        return self.spec["components"][component]["dag"]["tasks"]

    @property
    def steps(self) -> dict:
        """Tasks inside of the parts, and beside them."""
        found = {}
        for name, task in self.parts.items():
            component = task["componentRef"]["name"]
            is_part = "dag" in self.spec["components"][component]
            found |= self.tasks(component) if is_part else {name: task}
        return found

    @property
    def outer(self) -> dict:
        """Tasks around them."""
        return self.spec["root"]["dag"]["tasks"]

    def edges(self) -> set:
        return edges(self.steps)

    def all_tasks(self) -> dict:
        """Every task that a container does, by executor."""
        dags = [self.spec["root"], *self.spec["components"].values()]
        found = {}
        for part in dags:
            for task in part.get("dag", {}).get("tasks", {}).values():
                component = self.spec["components"][task["componentRef"]["name"]]
                if "executorLabel" in component:
                    found[component["executorLabel"]] = task
        return found

    def container(self, executor: str) -> dict:
        return self.spec["deploymentSpec"]["executors"][executor]["container"]

    def images(self) -> set:
        return {self.container(executor)["image"] for executor in self.all_tasks()}


def edges(tasks: dict) -> set:
    return {
        (before, name) for name, task in tasks.items() for before in task.get("dependentTasks", [])
    }
