"""Parts that could not be inspected, as the page lists them."""

from dataclasses import dataclass

from vlm_inspect.service.station import Station

MOST_SHOWN = 10


@dataclass(frozen=True)
class FailedPart:
    """One part that could not be inspected."""

    id: str
    name: str
    rules: str
    error: str


def failed_parts(station: Station) -> list[FailedPart]:
    """Return the newest parts that failed, and why."""
    found = []
    for part_id in station.spool.failures()[:MOST_SHOWN]:
        job = station.spool.job(part_id)
        name, rules = (part_id, "") if job is None else (job.name, job.rules)
        found.append(FailedPart(part_id, name, rules, station.spool.failure(part_id)))
    return found
