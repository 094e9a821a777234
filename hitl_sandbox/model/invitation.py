"""Invite codes, and a picture in place of their QR code."""

import base64
import hashlib
import struct
import zlib

import msgspec

from hitl_sandbox.model.records import StoredLoop

CELLS = 21
SCALE = 6


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """How people join a loop."""

    code: str
    qr_code_url: str
    join_url: str


def invitation(loop: StoredLoop, origin: str) -> Invitation:
    """The invitation to a loop of the sandbox at `origin`, which ends in a slash."""
    code = loop.invite_code
    return Invitation(code=code, qr_code_url=f"{origin}qr/{code}.png", join_url=f"{origin}join/{code}")


def invitation_object(invited: Invitation) -> dict[str, str]:
    """The four fields beside a loop that was just created."""
    picture = base64.b64encode(code_picture(invited.code)).decode()
    return {
        "invite_code": invited.code,
        "qr_code_base64": f"data:image/png;base64,{picture}",
        "qr_code_url": invited.qr_code_url,
        "join_url": invited.join_url,
    }


def code_picture(code: str) -> bytes:
    """A PNG image that differs for every code. It resembles a QR code and cannot be scanned."""
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
