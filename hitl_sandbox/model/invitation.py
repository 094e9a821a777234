"""Invite codes and the picture that stands in for their QR code."""

import base64
import hashlib
import struct
import zlib

from hitl_sandbox.model.records import Loop

CELLS = 21
SCALE = 6


def invitation(loop: Loop, origin: str) -> dict[str, str]:
    """The four invitation fields of a created loop; ``origin`` ends in a slash."""
    picture = base64.b64encode(code_picture(loop.invite_code)).decode()
    return {
        "invite_code": loop.invite_code,
        "qr_code_base64": f"data:image/png;base64,{picture}",
        "qr_code_url": f"{origin}qr/{loop.invite_code}.png",
        "join_url": f"{origin}join/{loop.invite_code}",
    }


def code_picture(code: str) -> bytes:
    """A PNG that differs for every code. It only looks like a QR code: nobody scans one in a sandbox."""
    digest = hashlib.shake_256(code.encode()).digest(CELLS * CELLS)
    rows = []
    for y in range(CELLS):
        cells = (b"\x00" if digest[y * CELLS + x] & 1 else b"\xff" for x in range(CELLS))
        rows.extend([b"\x00" + b"".join(cell * SCALE for cell in cells)] * SCALE)
    side = CELLS * SCALE
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(rows))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
