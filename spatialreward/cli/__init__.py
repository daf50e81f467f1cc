"""The ``spatialreward`` command."""
