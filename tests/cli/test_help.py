"""Help whose options stand in groups."""

import click

from supervisor.cli.help import OTHERS, Command, groups_of, option


@click.command(cls=Command)
@option("Second", "--b", help="B.")
@option("First", "--a", help="A.")
@option("Second", "--c", help="C.", hidden=True)
@click.option("--plain", help="P.")
@click.argument("app")
def example(**_):
    """Do it."""


def test_options_stand_under_their_headings_in_the_order_of_their_declaration():
    context = click.Context(example, info_name="example")
    text = example.get_help(context)
    places = [text.index(found) for found in ("Second:", "--b", "First:", "--a", f"{OTHERS}:", "--plain", "--help")]
    assert places == sorted(places)
    assert "--c" not in text


def test_groups_hold_every_option_once_and_no_argument():
    context = click.Context(example, info_name="example")
    groups = groups_of(example, context)
    assert list(groups) == ["Second", "First", OTHERS]
    assert [each.opts[-1] for group in groups.values() for each in group] == ["--b", "--c", "--a", "--plain", "--help"]
