"""Converts a recording to the requested format and number of channels."""

import io

import soundfile

# 32 kbit/s for 8000 Hz, the bit rate of MP3 files in Twilio's documentation.
_MP3 = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.5}


def convert_media(body: bytes, *, mono: bool, mp3: bool) -> bytes | None:
    """Return `body` mixed down to one channel (the average of its channels), encoded as MP3, or both.

    Returns None if `body` already has the requested form, or if libsndfile cannot convert it.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(body)) as file:
            mix, encode = mono and file.channels > 1, mp3 and file.format != "MP3"
            if not (mix or encode):
                return None
            samples = file.read(dtype="float32", always_2d=True)
        made = io.BytesIO()
        form = _MP3 if mp3 else {"format": file.format, "subtype": file.subtype}
        soundfile.write(made, samples.mean(axis=1) if mix else samples, file.samplerate, **form)
    except soundfile.SoundFileError:
        return None
    return made.getvalue()
