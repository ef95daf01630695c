"""The engine of `auto`: Gaussian processes in numpy, and the search for the point that is worth most to try.

`engine.Engine` is the way in. Nothing here knows of jobs or the contract of algorithms; points are rows of the unit
cube (`cube.Cube`).
"""
