"""The table of docs/alarms.md, made of the rules: ``python -m tests.alarms_page`` writes it."""

from pathlib import Path

from workers.alarms.rules.all_rules import RULES

PAGE = Path(__file__).parents[1] / "docs" / "alarms.md"
BEGIN, END = "<!-- alarms: begin -->", "<!-- alarms: end -->"


def alarms_table() -> str:
    """A row for each rule."""
    rows = [f"| `{rule.name}` | {rule.severity} | {rule.condition} | {rule.remedy} |" for rule in RULES]
    return "\n".join(["| alarm | severity | raised when | what to do |", "|---|---|---|---|", *rows])


def main() -> None:
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:begin]}\n\n{alarms_table()}\n\n{page[end:]}")


if __name__ == "__main__":
    main()
