"""The page of the service: inspect, look at cases, talk, judge what is in doubt, and see how far to trust it.

    routes.py      START: the addresses
    case_view.py   a case as its page draws it
    review.py      what waits for a person; trust.py, charts.py: outcomes by day, drift, agreement
    wording.py     English and German, from words/
    rendering.py   templates/ -> HTML
    static/        scripts and styles, as they are sent; static/vendor/: those of others, with their licences

Whatever changes something goes through the API of `service`. Pages are complete without their scripts, but for
sending, zooming and talking.
"""

from vlm_inspect.page.routes import error_page, router

__all__ = ["error_page", "router"]
"""Added to the service by `make_app(further=[router], error_page=error_page)`."""
