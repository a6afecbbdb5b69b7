"""In: who speaks when, and what. Out: a WAV file one can listen to (8 kHz, mono, 16 bit).

No words, but the melody of two voices: one syllable for each character, its vowel and tone chosen
by the character, so that the same text always sounds the same.
"""

from __future__ import annotations

import array
import functools
import math
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any

RATE = 8000
HEAD_BYTES = 44
SYLLABLE = 0.2

# First and second formant of a, e, i, o, u in Hz.
_VOWELS = ((800, 1200), (500, 1900), (300, 2300), (500, 900), (320, 800))
# Pitch at the start, the middle and the end of the four tones of Mandarin.
_TONES = ((1.2, 1.2, 1.2), (0.9, 1.0, 1.25), (0.95, 0.75, 0.95), (1.3, 1.0, 0.75))
_PITCH = {"robot": 210.0, "customer": 125.0}


def size_of(seconds: int) -> int:
    """The size in bytes of a recording of so many whole seconds."""
    return HEAD_BYTES + seconds * RATE * 2


def render(turns: Iterable[Mapping[str, Any]], *, seconds: int) -> bytes:
    """A recording of exactly `seconds`; each turn has `role`, `text`, `at` and `until`."""
    sound = bytearray(seconds * RATE * 2)
    for turn in turns:
        start = int(turn["at"] * RATE) * 2
        end = min(int(turn["until"] * RATE) * 2, len(sound))
        voice = "robot" if turn["role"] == "robot" else "customer"
        speech = b"".join(_syllable(voice, ord(sign) % 20) for sign in turn["text"])
        if end > start:
            sound[start : min(end, start + len(speech))] = speech[: end - start]
    size = len(sound)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        RATE,
        RATE * 2,
        2,
        16,
        b"data",
        size,
    )
    return head + bytes(sound)


@functools.cache
def _syllable(voice: str, kind: int) -> bytes:
    formants, (low, middle, high) = _VOWELS[kind % 5], _TONES[kind // 5]
    count = int(RATE * SYLLABLE)
    samples = array.array("h")
    phase = 0.0
    for n in range(count):
        at = n / count
        if at < 0.5:
            bend = low + (middle - low) * at * 2
        else:
            bend = middle + (high - middle) * (at * 2 - 1)
        pitch = _PITCH[voice] * bend
        phase += 2 * math.pi * pitch / RATE
        value = 0.0
        for harmonic in range(1, int(3400 / pitch)):
            tone = harmonic * pitch
            loud = sum(1 / (1 + ((tone - formant) / 120) ** 2) for formant in formants)
            value += (loud + 0.03) * math.sin(harmonic * phase)
        envelope = min(1.0, at * 12, (1 - at) * 8)
        samples.append(int(max(-1.0, min(1.0, value * 0.35)) * envelope * 14_000))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
