"""python -m tests.support.docs PAGE...: types the examples of these pages of docs/, and says which are wrong."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from structlog.testing import capture_logs

from tests.support.docs.pages import DOCS
from tests.support.docs.typing import Done, type_page


def main(pages: list[str]) -> None:
    done = Done()
    with capture_logs(), tempfile.TemporaryDirectory() as folder:
        for page in pages:
            asyncio.run(type_page(DOCS / page.removeprefix("docs/"), Path(folder) / page.replace("/", "_"), done))
    sys.exit("\n\n".join(done.wrong) or None)


if __name__ == "__main__":
    main(sys.argv[1:])
