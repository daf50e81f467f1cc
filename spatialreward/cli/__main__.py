"""The ``spatialreward`` command as a module, as torchrun starts it."""

from spatialreward.cli.main import main

if __name__ == "__main__":
    main()
