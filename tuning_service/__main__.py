"""`python -m tuning_service` and the command `tuning-service`."""

from tuning_service.cli.app import app


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    app(prog_name="tuning-service")


if __name__ == "__main__":
    main()
