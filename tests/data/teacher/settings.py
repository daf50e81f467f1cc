"""Configurations that differ a little."""

from spatialreward.data.teacher.config import TeacherConfig


def changed(config: TeacherConfig, **settings: object) -> TeacherConfig:
    """A configuration with other settings, checked like any other."""
    return TeacherConfig.model_validate(config.model_dump(mode="json") | settings)
