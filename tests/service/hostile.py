"""Text that steers a terminal or forges a line, for tests of what is printed and logged."""

from hypothesis import strategies as st

#: Of each kind at least one: C0, DEL, C1, bidirectional controls, separators, zero-width and tag characters.
RANGES = [
    (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200F), (0x2028, 0x202E),
    (0x2060, 0x2069), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0001, 0xE0001), (0xE0020, 0xE007F),
]  # fmt: skip
EVERY = "".join(chr(code) for first, last in RANGES for code in range(first, last + 1))
FORGED = "2026-03-01 12:00:00,000 INFO hitl.receiver delivery.refused status=202 reason=forged"

characters = st.one_of(*(st.integers(first, last).map(chr) for first, last in RANGES), st.sampled_from('a"\\é👍\n\r'))
#: Without halves of surrogate pairs, which no UTF-8 can hold.
texts = st.lists(st.one_of(characters, st.sampled_from(["\n" + FORGED, "\x1b[2J", "\x9b2J", "a"]))).map("".join)


def unprintable(text: str) -> set[str]:
    """What of it is neither printed as it is nor a line break."""
    return {character for character in text if character != "\n" and not character.isprintable()}
