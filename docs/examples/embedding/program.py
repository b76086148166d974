"""A trio program that works through jobs, and lets people watch."""

import trio

from supervisor import Application, FunctionHandler, Server

jobs = {"waiting": 20, "done": 0}


def modify_document(doc):
    doc.data = dict(jobs)


def show_jobs(doc):
    doc.data.update(jobs)


async def work(watchers):
    while jobs["waiting"]:
        await trio.sleep(0.5)  # the program's own work
        jobs["waiting"] -= 1
        jobs["done"] += 1
        await watchers.update_sessions(show_jobs)


async def main(port=5006):
    app = Application(FunctionHandler(modify_document), name="jobs")
    async with Server(app, port=port) as server:
        print(f"Watch the jobs at {server.urls['jobs']}")
        await work(server.contexts["jobs"])
    print("All jobs are done, and nobody is connected any more.")


if __name__ == "__main__":
    trio.run(main)
