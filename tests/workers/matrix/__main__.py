"""Writes the table of the matrix into docs/handlers.md."""

import tempfile
from pathlib import Path

from service.local.embedded_server import EmbeddedServer
from tests.workers.matrix.comparison import BEGIN, END, PAGE, matrix_table
from tests.workers.matrix.deciding import decide_all
from workers.redis_clients import command_client


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, EmbeddedServer(Path(folder), fsync="everysec") as server:
        given, _ = decide_all(command_client(server.url), server.url)
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:begin]}\n\n{matrix_table(given)}\n\n{page[end:]}")


if __name__ == "__main__":
    main()
