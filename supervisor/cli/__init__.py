"""The command line.

- the program: `main`, `group`, `help`, `parameters`, `sentences`
- commands: `serve`, `new`, `check`, `export`, `watch`, `secret`, `completion`
- `serve`: `options`, `keys`, `logs`, `collector`, `exit_watchdog`; `check`: `inspection`
"""
