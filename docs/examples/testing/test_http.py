"""What does the server answer to any program that speaks HTTP?"""

from pathlib import Path

TICKER = Path(__file__).parents[1] / "ticker"


async def test_static_files_and_health_are_served(supervise):
    async with supervise(TICKER) as app, app.http() as http:
        page = await http.get("/ticker")
        assert page.status_code == 200
        style = await http.get("/ticker/static/ticker.css")
        assert style.headers["content-type"].startswith("text/css")
        assert (await http.get("/-/health")).text.strip() == "ok"
