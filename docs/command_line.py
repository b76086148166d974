"""Writes the commands into docs/reference/command-line.md, from the help texts: `python docs/command_line.py`.

Everything between the two marks is generated; what stands around it is written by hand. A test compares.
"""

import inspect
import re
from pathlib import Path

import click

from supervisor.cli.help import OTHERS, groups_of
from supervisor.cli.main import commands
from supervisor.cli.parameters import Seconds

PAGE = Path(__file__).parent / "reference" / "command-line.md"
BEGIN = "<!-- commands: written by docs/command_line.py from the help texts; don't edit them here -->\n"
END = "<!-- end of the commands -->\n"
PROGRAM = "python -m supervisor"


def render_commands():
    """All commands, in the order of the program's own help."""
    # With its settings: click keeps the help option that it makes for the first context, and ours has two names.
    context = click.Context(commands, info_name=PROGRAM, **commands.context_settings)
    return "\n".join(render(name, command, context) for name, command in commands.commands.items())


def render(name, command, parent):
    context = click.Context(command, info_name=name, parent=parent)
    arguments = [each.metavar or each.name.upper() for each in command.params if isinstance(each, click.Argument)]
    parts = [f"## `{name}`", fenced("sh", " ".join([PROGRAM, name, "[OPTIONS]", *arguments]))]
    parts += [prose(paragraph) for paragraph in inspect.cleandoc(command.help).split("\n\n")]
    for heading, parameters in groups_of(command, context).items():
        rows = [row(each) for each in parameters if not is_help(each)]
        if rows:
            parts += ([] if heading == OTHERS else [f"### {heading}"]) + [
                table("option | default | what it means", rows)
            ]
    return "\n\n".join(parts) + "\n"


def is_help(parameter):
    return "--help" in parameter.opts


def prose(paragraph):
    """A paragraph of a help text; after a backspace, which keeps click from joining lines, a block of its own."""
    if not paragraph.startswith("\b"):
        return re.sub(r"(?<=[\w`)]\.) (?=[A-Z`])", "\n", " ".join(paragraph.split()))
    title, _, block = paragraph.removeprefix("\b").strip().partition("\n")
    block = inspect.cleandoc(block)
    if title == "Exit codes:":
        rows = re.sub(r"\n +", " ", block).splitlines()  # an indented line goes on with the one before it
        return table("exit code | meaning", [line.split(maxsplit=1) for line in rows])
    return f"{title}\n\n{fenced('sh' if title == 'Examples:' else 'text', block)}"


def row(option):
    names = ", ".join(f"`{name}`" for name in option.opts)
    value = None if option.is_flag else option.metavar or metavar(option.type)
    if value is not None:
        names = f"{names[:-1]} {value}`"
    text = option.help
    if isinstance(option.type, click.Choice):
        text += f" One of {', '.join(f'`{choice}`' for choice in option.type.choices)}."
    default = option.default
    unset = default in (None, "", (), False) or "UNSET" in repr(default).upper()
    shown = "" if unset else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
    return [names, shown, "required. " + text if option.required else text]


def metavar(kind):
    """Not click's own, which its versions write in different ways."""
    if isinstance(kind, click.Choice):
        return "WORD"
    if isinstance(kind, Seconds):
        return "SECONDS"
    return {"number": "NUMBER", "path": "PATH"}.get(kind.name, "TEXT")


def table(header, rows):
    columns = header.count("|") + 1
    lines = [
        header,
        " | ".join(["---"] * columns),
        *(" | ".join(cell.replace("|", "\\|") for cell in row) for row in rows),
    ]
    return "\n".join(f"| {line} |".replace("|  |", "| |") for line in lines)


def fenced(language, text):
    return f"```{language}\n{text}\n```"


def with_commands(page):
    """The page with its generated part made anew."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE} has lost its marks")
    return f"{before}{begin}\n{render_commands()}\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_commands(PAGE.read_text()))
