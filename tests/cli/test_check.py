"""`check`: its report, its JSON and its exit codes."""

import json

import pytest

GOOD = """
    '''A counter that visitors share.'''

    import attrs

    from supervisor import receives


    @attrs.frozen
    class Add:
        number: int


    @receives(Add, from_client=True)
    def on_add(doc, message):
        doc.data["sum"] += message.number


    def modify_document(doc):
        doc.data["sum"] = 0
"""


@pytest.fixture
def here(tmp_path, monkeypatch, write_files):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, {"good.py": GOOD, "warned.py": "def on_sesion_created(s): ...\ndef modify_document(d): ..."})
    write_files(tmp_path, {"empty.py": "x = 1", "hooks.py": "def on_application_load(app_context): 1 / 0"})
    return tmp_path


def test_the_report_says_what_there_is(cli, here):
    result = cli("check", "good.py")
    assert (result.code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "good: A counter that visitors share.",
        "  hooks",
        "    modify_document  good.py, line 19",
        "  messages",
        "    Add(number: int)  from clients, on_add in good.py, line 14",
        "  no templates/index.html: the generic page",
        "  it can be served",
    ]


def test_templates_and_static_files_are_told(cli, here, write_files):
    write_files(here / "shop", {"main.py": GOOD})
    write_files(here / "shop" / "templates", {"index.html": '{{ client_url }} <p nonce="{{ nonce }}">'})
    write_files(here / "shop" / "static", {"a.css": "", "b.css": ""})
    result = cli("check", "shop")
    assert "  templates\n    templates/index.html\n  static: 2 files\n  it can be served\n" in result.stdout


def test_warnings_are_no_failure_unless_they_shall_be(cli, here):
    result = cli("check", "warned.py")
    assert result.code == 0
    assert "  warning: warned.py: on_sesion_created is not a hook and is never called; did you mean " in result.stdout
    assert result.stdout.endswith("it can be served, 1 warning\n")
    assert cli("check", "warned.py", "--strict").code == 1
    assert cli("check", "good.py", "--strict").code == 0


def test_one_app_that_cannot_be_served_is_enough_for_exit_code_1(cli, here):
    result = cli("check", "good.py", "none.py", "empty.py")
    assert (result.code, result.stderr) == (1, "")
    assert result.stdout.count("it can be served") == 1
    assert result.stdout.count("it cannot be served") == 2
    assert "  error: there is no app at none.py: the file doesn't exist\n" in result.stdout
    assert "  error: there is no app in empty.py: it has no modify_document(doc)" in result.stdout


def test_an_error_of_several_lines_is_one(cli, here, write_files):
    write_files(here, {"bad.py": "raise RuntimeError('two\\nlines')"})
    assert "RuntimeError while the app was loaded: two lines\n" in cli("check", "bad.py").stdout


def test_json_is_a_list_with_an_object_for_each_app(cli, here):
    result = cli("check", "--json", "good.py", "none.py")
    good, none = json.loads(result.stdout)
    assert result.code == 1
    assert good["messages"] == [
        {
            "name": "Add",
            "fields": {"number": "int"},
            "from_client": True,
            "rules": [],
            "handler": "on_add",
            "where": "good.py, line 14",
        }
    ]
    assert good["hooks"] == [{"name": "modify_document", "where": "good.py, line 19"}]
    assert (good["app"], good["name"], good["errors"], good["warnings"]) == ("good.py", "good", [], [])
    assert (none["app"], none["name"], len(none["errors"])) == ("none.py", None, 1)


def test_what_is_declared_for_failures_and_full_mailboxes_is_told(cli, here, write_files):
    text = """
        import attrs
        from supervisor import FailurePolicy, receives
        failure_policy = FailurePolicy(directive="restart", max_restarts=5, within=30)
        @attrs.frozen
        class Tick:
            name: str
        @attrs.frozen
        class Stop: ...
        @receives(Tick, thread=True, when_full="refuse", conflate=lambda tick: tick.name)
        def on_tick(doc, tick): ...
        @receives(Stop, from_client=True, on_failure="stop")
        def on_stop(doc, stop): ...
    """
    write_files(here, {"rules.py": text})
    lines = cli("check", "rules.py").stdout.splitlines()
    assert "    Tick(name: str)  in a thread, conflated, when full: refuse, on_tick in rules.py, line 10" in lines
    assert "    Stop()           from clients, on failure: stop, on_stop in rules.py, line 12" in lines
    assert "  failure policy: restart, at most 5 times within 30 s, then stop" in lines
    (found,) = json.loads(cli("check", "--json", "rules.py").stdout)
    assert found["failure_policy"] == "restart, at most 5 times within 30 s, then stop"
    assert found["messages"][0]["rules"] == ["in a thread", "conflated", "when full: refuse"]


def test_no_hook_is_called(cli, here):
    assert cli("check", "hooks.py").code == 0


def test_what_an_app_prints_is_no_part_of_the_report(cli, here, write_files):
    write_files(here, {"loud.py": "print('loaded')\ndef modify_document(doc): ..."})
    result = cli("check", "--json", "loud.py")
    assert json.loads(result.stdout)[0]["name"] == "loud"
    assert result.stderr == "loaded\n"


def test_without_an_app_it_is_wrong_usage(cli):
    result = cli("check")
    assert result.code == 2
    assert "APP" in result.error
