"""nginx and HAProxy with the configurations of the documentation, on free ports, as a user without rights."""

import contextlib
import glob
import os
import pathlib
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time

import pytest

DEADLINE = 60.0
"""Seconds that a start or an end may take: far more than it does on a slow machine."""


def find_free_port():
    """A port for a program that can't be told to take any: not of those that the system gives to others meanwhile."""
    while True:
        port = random.randrange(20_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def find_program(name, *, also=()):
    """Where a program is, on the path or where `also` has it; skips the test where it is missing."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    found = [path] if path else [found for pattern in also for found in sorted(glob.glob(pattern), reverse=True)]
    if not found:
        pytest.skip(f"the program {name} is missing")
    return found[0]


def wait_until(condition, what):
    """Wait until `condition()` is true; returns what it returned."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {DEADLINE:g} s: {what}"
        time.sleep(0.02)
    return value


def end(process):
    """End a program, by force if it must be: what goes on running would disturb the tests that come."""
    process.terminate()
    try:
        process.wait(DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def replace_all(text, replacements):
    """Replace what a configuration has only in production; each must be there."""
    for old, new in replacements.items():
        assert old in text, f"the configuration has no {old!r}"
        text = text.replace(old, str(new))
    return text


@contextlib.contextmanager
def open_folder():
    """A folder for a program without rights; pytest's own is closed to others."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="proxy"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def run_program(command, folder, *, port):
    """Run a program until the block is left; it has started when the port is open."""
    rights = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        rights = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **rights)

    def is_open():
        assert process.poll() is None, f"{command[0]} ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return True

    try:
        wait_until(is_open, f"{command[0]} has started")
        yield
    except BaseException:
        print((folder / "log").read_text())  # noqa: T201 (pytest shows it beside the failure)
        raise
    finally:
        end(process)


_NGINX = """
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@contextlib.contextmanager
def run_nginx(site, *, port):
    """Run nginx with the text of a site's configuration."""
    program = find_program("nginx")
    with open_folder() as folder:
        (folder / "site.conf").write_text(site)
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
        with run_program([program, "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"], folder, port=port):
            yield


@contextlib.contextmanager
def run_haproxy(configuration, *, port):
    """Run HAProxy with the text of a configuration."""
    program = find_program("haproxy")
    with open_folder() as folder:
        (folder / "haproxy.cfg").write_text(configuration)
        with run_program([program, "-db", "-f", folder / "haproxy.cfg"], folder, port=port):
            yield
