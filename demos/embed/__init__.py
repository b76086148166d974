"""Two programs that know only each other's addresses: somebody's site, and a live app for a frame in it."""
