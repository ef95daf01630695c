"""Log parsers: small state machines that read measurements out of a training's output. Standard library only."""
