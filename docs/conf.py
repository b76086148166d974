"""How the documentation is built: `python -m sphinx -W docs build/docs`, with the packages of the extra `docs`.

`python -m sphinx -b linkcheck docs build/links` asks for every link that leads elsewhere; the tests ask no network.
"""

import importlib
import os
import re
import sys
from pathlib import Path

import attrs

import supervisor
import supervisor.testing

project = "session-supervisor"
author = "the authors of session-supervisor"
project_copyright = author
version = release = supervisor.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
exclude_patterns = ["examples/**"]
nitpicky = True  # a name that a docstring mentions as an error or a type, and that isn't there, fails the build

# Sources are read on their own too, so links are those of files: `[Delivery](../explanation/delivery.md#order)`.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"session-supervisor {version}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_sphinx = False
html_copy_source = False
# Furo, Sphinx and Pygments bring what their pages need: nothing of a built page is fetched from elsewhere.
pygments_style = "friendly"
pygments_dark_style = "github-dark"

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 90
add_module_names = False
toc_object_entries_show_parents = "hide"
linkcheck_ignore = [r"http://(localhost|127\.0\.0\.1)\b.*"]

nitpick_ignore = [("py:exc", "TooSlowError"), ("py:exc", "PatchError")]  # trio's, and one of our inside
nitpick_ignore += [("py:class", "SearchStrategy")]  # hypothesis's
# Types of others and of our inside lead nowhere: a build asks no network, and the inside is no reference.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(?:trio|attrs?|collections|contextlib|enum|httpx|hypothesis|os|pathlib|re|ssl|types|typing|supervisor\.\w+)\..*",
    ),
]

_ROOT = Path(__file__).parents[1]
_PUBLIC = {name: f"{module.__name__}.{name}" for module in (supervisor.testing, supervisor) for name in dir(module)}
_MADE_BY_AUTHORS = {"Application", "FunctionHandler", "KeyRing", "Server"}
_SPAN = re.compile(r"(?<![`:\w])`([^`\n]+)`(?!`)")
_RELATIVE_LINK = re.compile(r"\[((?:[^][]|\[[^]]*\])*)\]\((?![a-z]+:|#)([^)]+)\)")
_SECTION = re.compile(r"(Args|Raises|Returns):")
_ITEM = re.compile(r" {4}([\w.]+): (.*)")


def _read_docstring(app, what, name, obj, options, lines):
    """Turn a docstring of ours into reStructuredText: code between single backticks, and sections in Google's form.

    Sphinx's napoleon does the same, but takes the first words of a property's sentence for a type if a colon follows.
    """
    read, field, is_first, is_code = [], "", False, False
    for line in lines:
        is_code = is_code and (not line or line.startswith("    "))
        if section := _SECTION.fullmatch(line):
            field, line = {"Args": "param", "Raises": "raises", "Returns": "returns"}[section[1]], ""
            is_first = True
        elif field == "returns" and line and is_first:
            line, is_first = f":returns: {_mark_code(line.strip())}", False
        elif field and field != "returns" and (item := _ITEM.fullmatch(line)):
            line = f":{field} {item[1]}: {_mark_code(item[2])}"
        elif field and line and not line.startswith(" "):
            raise ValueError(f"{name}: text after the section of {field}: {line}")
        elif not field and line.startswith("    ") and read[-1:] == [""] and not is_code:
            read += ["::", "", line]  # an indented block is code
            is_code = True
            continue
        else:
            line = line if not field and line.startswith("    ") else _mark_code(line)
        read.append(line)
    lines[:] = read
    if what == "attribute" and (default := _default_of(name)) is not None:
        lines += ["", f"Default: ``{default}``.", ""]


def _mark_code(line):
    parts = _SPAN.split(line)  # every second one was between backticks
    parts[0::2] = [re.sub(r"(?<=/)\*", r"\*", part) for part in parts[0::2]]  # "/notes/*" begins no emphasis
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)


def _default_of(name):
    """What a field of an attrs class is if nobody says; None where that isn't short, or where there is none."""
    path, _, field = name.rpartition(".")
    module, _, owner = path.rpartition(".")
    cls = getattr(importlib.import_module(module), owner, None)
    found = getattr(attrs.fields(cls), field, None) if isinstance(cls, type) and attrs.has(cls) else None
    if found is None or found.default is attrs.NOTHING or isinstance(found.default, attrs.Factory):
        return None
    return repr(found.default)


def _read_demos(app, docname, source):
    """Let a page of `docs/demos/` be the README of its demo, and lead links to READMEs of demos there."""
    folder, _, demo = docname.partition("/")
    if folder == "demos":
        home = _ROOT / "demos" / demo

        def move(link):
            target = (home / link[2]).resolve()
            here = os.path.relpath(target, _ROOT / "docs" / "demos")
            return link[1] if not target.is_file() else f"[{link[1]}]({here})"

        source[0] = _RELATIVE_LINK.sub(move, (home / "README.md").read_text())
    source[0] = re.sub(r"\]\((?:\.\./)+demos/(\w+)/README\.md", r"](/demos/\1.md", source[0])


def _mend_signature(app, what, name, obj, options, signature, return_annotation):
    """Leave constructors out that only the package itself calls, and show constants by their values."""
    if what == "class" and obj.__name__ not in _MADE_BY_AUTHORS:
        return "", None
    known = vars(sys.modules.get(getattr(obj, "__module__", None), re))

    def show(constant):
        return f"= {known[constant[1]]!r}" if constant[1] in known else constant[0]

    return signature and re.sub(r"= ([A-Z][A-Z_]+)\b", show, signature), return_annotation


def _find_public(app, env, node, contnode):
    """Lead a name to where it is public: types are told with the module that defines them, errors with none."""
    module, _, name = node["reftarget"].rpartition(".")
    target = _PUBLIC.get(name)
    if node.get("refdomain") != "py" or target is None or (module and not module.startswith("supervisor.")):
        return None
    return env.get_domain("py").resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, contnode)


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _read_demos)
    app.connect("autodoc-process-docstring", _read_docstring)
    app.connect("autodoc-process-signature", _mend_signature)
    app.connect("missing-reference", _find_public)
    return {"parallel_read_safe": True}
