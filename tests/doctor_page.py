"""The table of docs/doctor.md, made of the catalog: ``python -m tests.doctor_page`` writes it."""

from pathlib import Path

from service.doctor.check_catalog import CHECKS

PAGE = Path(__file__).parents[1] / "docs" / "doctor.md"
BEGIN, END = "<!-- checks: begin -->", "<!-- checks: end -->"


def checks_table() -> str:
    """A row for each check."""
    rows = [f"| `{check.name}` | {check.meaning} |" for check in CHECKS]
    return "\n".join(["| check | what is checked |", "|---|---|", *rows])


def main() -> None:
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:begin]}\n\n{checks_table()}\n\n{page[end:]}")


if __name__ == "__main__":
    main()
