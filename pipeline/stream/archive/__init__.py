"""Turns recordings into tables with a row per frame, on many machines through Ray Data.

If a process or machine dies, no row is lost or written twice.

::

    places -> plan -> decoding -> inference -> folder
    (which)   (cuts)  (tasks)     (actors)     (commits, in the driver)

Only ``cluster`` and ``flow`` import Ray.
"""
