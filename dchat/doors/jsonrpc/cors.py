"""Who may read the door's answers from a web page of another origin, or send through it: nobody, unless it is said.

Source: the Fetch standard, HTTP-network-or-cache fetch, CORS; Fetch Metadata (Sec-Fetch-Site).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

METHODS: Final = ("HEAD", "GET", "POST")
HEADERS: Final = ("origin", "accept", "content-type", "x-requested-with", "x-server-time")
ORIGIN_CHARS_MAX: Final = 512
OTHER_SITES: Final = ("cross-site", "same-site")  # of Sec-Fetch-Site; `none`: a person typed the address


def _is_own(origin: str, request: web.Request) -> bool:
    return origin.lower().partition("://")[2] == request.headers.get("Host", "").lower()


class Cors:
    """origins: allowed ones, each with one `*` at most; none: nothing is said."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = [origin.lower() for origin in origins]

    def _allows(self, origin: str) -> bool:
        if not origin or len(origin) > ORIGIN_CHARS_MAX:
            return False
        said = origin.lower()
        for allowed in self._origins:
            before, star, after = allowed.partition("*")
            if said == allowed:
                return True
            if star and len(said) >= len(before) + len(after) and said.startswith(before) and said.endswith(after):
                return True
        return False

    def mark(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Say in an answer who may read it."""
        if not self._origins:
            return
        answer.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin", "")
        if self._allows(origin) and request.method in METHODS:
            answer.headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin

    def check_socket(self, request: web.Request, *, has_names: bool) -> None:
        """A WebSocket of a page of another origin: browsers open it without asking, and let the page read. Where the
        door is this machine's (has_names) only pages of origins that are allowed may. Raises HTTPForbidden."""
        origin = request.headers.get("Origin", "")
        if has_names and origin and not self._allows(origin) and not _is_own(origin, request):
            reason = f"no page of {origin[:64]!r} reads this node; [rpc] cors_allowed_origins can allow it"
            raise web.HTTPForbidden(reason=reason)

    def check_writing(self, request: web.Request, *, has_names: bool) -> None:
        """What a page of another origin sends without asking (a form, a link, an image) is carried out though it cannot
        read the answer. Where the door is this machine's (has_names) that changes nothing here. A browser names the
        origin of what it posts, and says of the rest where it comes from. Raises HTTPForbidden."""
        origin, site = request.headers.get("Origin", ""), request.headers.get("Sec-Fetch-Site", "")
        if not has_names or self._allows(origin) or "*" in self._origins:
            return
        is_own = _is_own(origin, request) if origin else site.lower() not in OTHER_SITES
        if not is_own:
            who = f"of {origin[:64]!r}" if origin else "of another origin"
            reason = f"no page {who} sends anything through this node; [rpc] cors_allowed_origins can allow it"
            raise web.HTTPForbidden(reason=reason)

    def preflight(self, request: web.Request) -> web.Response | None:
        """What a browser is told that asks first; None: it is no such request."""
        asked = request.headers.get("Access-Control-Request-Method")
        if not self._origins or request.method != "OPTIONS" or not asked:
            return None
        answer = web.Response(status=204)
        for name in ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"):
            answer.headers.add("Vary", name)
        origin = request.headers.get("Origin", "")
        wanted = [one.strip() for one in request.headers.get("Access-Control-Request-Headers", "").split(",")]
        names = [one for one in wanted if one]
        if not self._allows(origin) or asked not in METHODS or any(one.lower() not in HEADERS for one in names):
            return answer
        answer.headers["Access-Control-Allow-Origin"] = "*" if "*" in self._origins else origin
        answer.headers["Access-Control-Allow-Methods"] = asked
        if names:
            answer.headers["Access-Control-Allow-Headers"] = ", ".join(names)
        return answer
