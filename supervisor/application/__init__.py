"""An application: its handlers and hooks, its producers, and the sessions that it makes, finds and ends.

- what an author writes, and how it is found: `handlers`, `hooks`, `loading`, `source`, `reloading`, `options`
- at work: `actor`, and what authors hold of it, `context`; several of them: `stand_in`, `starting`; a failed one:
  `failed_application`
- its sessions: `registry`, `creation`, `crowd`, `visitors`; their connections: `porter`; all at once: `broadcast`
- what it does beside them: `background`, `producers`, `producer_life`, `roster`, `callback_actor`
- the last hooks: `deadline`, `batches`, `session_failed_hooks`, `callback_failed_hooks`
- what is told of it: `statistics`, `places`; and its export: `export`
"""
