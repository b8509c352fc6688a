"""`judge_many`: parts in, judgements out, in the order of the parts and with few of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from converters.errors import ConversionError
from converters.in_memory import Source, path_of
from vlm_inspect.errors import InspectError

if TYPE_CHECKING:
    from vlm_inspect.examination import Examination

OneSource = TypeVar("OneSource", bound=Source)


@dataclass(frozen=True, eq=False)
class Judged(Generic[OneSource]):
    """What became of one part: an examination, or why there is none."""

    source: OneSource
    examination: "Examination | None"
    error: str = ""
    """One line; empty where there is an examination."""


def judge_many(
    examine: "Callable[[OneSource], Examination]",
    sources: Iterable[OneSource | None],
    *,
    workers: int = 1,
    waiting: int = 4,
) -> Iterator[Judged[OneSource]]:
    """Yield what becomes of each part; one that fails is told as such and holds up no other.

    Args:
        examine: judges one part; called from several threads.
        sources: the parts; no more than `workers + waiting` are taken ahead of what the caller has been given. None
            among them says that there is nothing new at present: then what is judged already is given out.
        workers: threads that judge, >= 1.
        waiting: judgements and parts that may wait beside those at work, >= 0.

    Raises:
        ValueError: a number is out of range, or `sources` is one part.
    """
    if isinstance(sources, str | bytes | Path):  # its letters or bytes would be taken for parts
        raise ValueError("this is one part; give a list of parts, such as sorted(Path(FOLDER).iterdir())")
    if workers < 1 or waiting < 0:
        raise ValueError("workers must be at least 1 and waiting at least 0")
    return _judge(examine, iter(sources), workers, workers + waiting)


def _judge(
    examine: "Callable[[OneSource], Examination]", sources: Iterator[OneSource | None], workers: int, most: int
) -> Iterator[Judged[OneSource]]:
    ahead: deque[Future[Judged[OneSource]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="judge")
    try:
        for source in sources:
            if source is not None:
                ahead.append(pool.submit(judge_one, examine, source))
            while ahead and (len(ahead) >= most or (source is None and ahead[0].done())):
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:  # a caller that stops early waits for the parts at work, not for those that wait
        pool.shutdown(cancel_futures=True)


def judge_one(examine: "Callable[[OneSource], Examination]", source: OneSource) -> Judged[OneSource]:
    """Return what becomes of one part; whatever goes wrong with it is told in one line."""
    try:
        return Judged(source, examine(source))
    except (InspectError, ConversionError) as error:
        reason = str(error)
    except MemoryError:
        reason = "out of memory: give a smaller file, or fewer references"
    except OSError as error:
        reason = f"{error.filename or path_of(source) or 'part'}: {error.strerror or error}"
    except Exception as error:  # noqa: BLE001 - a bug that one part brings out must not cost the others
        reason = f"internal error, please report it: {type(error).__name__}: {error}"
    return Judged(source, None, reason or "unknown error")
