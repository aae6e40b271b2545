"""Recordings into tables on many machines, by Ray Data: one row a frame, whatever dies meanwhile.

::

    places -> plan -> decoding -> inference -> folder
    (what)    (where   (tasks)     (actors)    (commits, in the driver)
              to cut)

Only ``job`` imports Ray; ``folder``, ``job`` and ``places`` import pyarrow.
"""
