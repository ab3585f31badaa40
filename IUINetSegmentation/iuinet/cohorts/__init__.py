"""Many scans, one after the other and side by side: from a tree of studies to one folder of results.

    from iuinet import cohort
    summary = cohort("studies", "results", workers=2)

find      which cases there are, by headers        names     neutral ids, and the one file that maps them
linked    reads a case without its names           case      one case: read, segment, write
pipeline  the stages in a worker, side by side     marks     which case ended a worker
run       one run from its beginning to its end
engine    Dask's workers                           ledger    what was made with what, what became of each
figures   volumes against those of the others      table     organs.csv and organs.parquet
page      index.html, for people
"""

from .run import Choice, Summary, cohort

__all__ = ["Choice", "Summary", "cohort"]
