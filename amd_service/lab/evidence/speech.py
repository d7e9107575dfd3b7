"""Speech for the scenes: utterances of the synthetic voices that render fast."""

from amd_service.lab.synthesis.render import Sound, render
from amd_service.lab.synthesis.utterances import plan_utterances
from amd_service.lab.synthesis.voices import Engine, Split


def render_speech(split: Split, seed: int, count: int) -> list[Sound]:
    """Return up to `count` utterances of espeak-ng and flite, spread over the voices of a split."""
    planned = [
        utterance
        for utterance in plan_utterances(seed, scale=0.3)
        if utterance.voice.engine is not Engine.FESTIVAL and utterance.voice.split is split
    ]
    step = max(1, len(planned) // count)
    return list(render(planned[::step][:count]))
