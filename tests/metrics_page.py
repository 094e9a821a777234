"""The table of docs/metrics.md, made of the catalog: ``python -m tests.metrics_page`` writes it."""

from pathlib import Path

from workers.telemetry.metric_catalog import METRICS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics: begin -->", "<!-- metrics: end -->"


def metrics_table() -> str:
    """A row for each metric."""
    rows = [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.text} |"
        for metric in METRICS
    ]
    return "\n".join(["| name | type | labels | meaning |", "|---|---|---|---|", *rows])


def main() -> None:
    page = PAGE.read_text()
    begin, end = page.index(BEGIN) + len(BEGIN), page.index(END)
    PAGE.write_text(f"{page[:begin]}\n\n{metrics_table()}\n\n{page[end:]}")


if __name__ == "__main__":
    main()
