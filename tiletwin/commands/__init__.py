"""One module a command: `ABOUT`, `options(parser)` and `run(args) -> exit status`."""
