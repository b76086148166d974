"""`python -m supervisor`."""

from supervisor.cli.main import main

main()
