"""Search algorithms of the operator's and the tenants' own: read, checked, and run in child processes of their own.

`manifest` and `archive` read what was written and uploaded; they run nothing of it. `cache` makes it ready to run,
`process` starts it, `child` and what that imports run beside it: `loader` for `HPTAlgorithm`s, `dli` for the older
interface. `check` is what an author and an upload see of it all.
"""
