"""Makes the recordings of the example in docs/retraining.md: `python -m amd_service.lab.example_recordings OUT`.

They stand for 300 calls of a customer whom the shipped model serves badly: it dials companies whose people speak
Mandarin and mostly answer with a whole sentence. The 200 training recordings and the 100 held-out recordings share no
voice and no sentence. The recordings need espeak-ng. The same seed gives the same recordings.
"""

import argparse
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amd_service.domain import Label
from amd_service.lab.command import run
from amd_service.lab.dataset.audio_folder import write_metadata
from amd_service.lab.dataset.labelled_files import LabelledFile
from amd_service.lab.dataset.whole_files import write_bytes
from amd_service.lab.fixtures.sounds import over_telephone, wav
from amd_service.lab.synthesis import tones
from amd_service.lab.synthesis.render import RATE_HZ, Sound, render
from amd_service.lab.synthesis.utterances import Kind, Utterance
from amd_service.lab.synthesis.voices import Engine, Split, Voice

LANGUAGE = "cmn"
COUNTS = {Split.TRAIN: 200, Split.TEST: 100}
_LENGTH_S = 16.0

_VOICES = {
    Split.TRAIN: ("m1", "m3", "m5", "m8", "f1", "f4", "Andy", "Annie", "Denis", "Jacky", "Lee", "Mario", "linda",
                  "paul", "belinda", "edward", "max", "rob", "grandma", "travis"),
    Split.TEST: ("m7", "f2", "Andrea", "Mike", "robert", "steph", "victor", "Henrique", "Alex", "shelby"),
}  # fmt: skip

# People say `ANSWER` or `BUSINESS`, then wait and say `FOLLOW`. Machines say one or more of `GREETING`.
_PHRASES: Mapping[Split, Mapping[Kind, tuple[str, ...]]] = {
    Split.TRAIN: {
        Kind.ANSWER: ("喂？", "喂，你好？", "你好，哪位？", "喂，请讲。", "我就是，您说。", "你找谁？"),
        Kind.BUSINESS: (
            "您好，这里是蓝河公司，我是小王，请问有什么可以帮您？",
            "您好，阳光旅行社，请问您找哪一位？",
            "您好，客服中心，请报一下您的客户编号。",
            "前台，您好，请问您要转接哪个部门？",
            "感谢您致电东方保险，我是李明，很高兴为您服务。",
            "你好，绿谷超市采购部，我姓张，请问您是哪家公司的？",
            "早上好，和平医院挂号处，请问您想预约哪一科？",
            "您好，三星汽车修理厂，我是陈师傅，您的车有什么问题？",
            "喂，你好，我是财务部的刘芳，请问是关于发票的事情吗？",
            "下午好，海港牙科诊所，您需要预约还是咨询？",
        ),
        Kind.FOLLOW: ("喂？", "听得到吗？", "请问哪位？"),
        Kind.GREETING: (
            "您拨打的用户暂时无法接通，请在提示音后留言。",
            "您好，我是王芳，现在不方便接电话，请留下您的姓名和电话。",
            "您拨打的号码是空号，请核对后再拨。",
            "您好，我们现在已经下班，工作时间是周一到周五上午九点到下午五点。",
            "这里是语音信箱，请在嘟声之后留言，留言结束后请挂机。",
            "您好，您所拨打的电话已关机，请稍后再拨。",
            "感谢您致电蓝河公司，目前所有坐席都在忙，请不要挂机。",
            "我是张伟，我正在开会，有事请发短信或者给我留言。",
            "您的来电已转接到语音信箱，请说出您要留下的内容。",
            "这是刘先生的答录机，听到嘟的一声后请开始讲话。",
        ),
    },
    Split.TEST: {
        Kind.ANSWER: ("喂，是谁呀？", "嗯，你说。", "是我，什么事？", "你好？"),
        Kind.BUSINESS: (
            "您好，北方物流，我是值班的赵强，请问您要查哪一个包裹？",
            "你好，市图书馆服务台，请问需要我帮您做什么？",
            "您好，华美装修公司，我姓周，您是想做预算还是约量房？",
            "喂，您好，人事部，请问您找经理还是找我？",
            "中午好，湖边餐厅，请问您几位，什么时候过来？",
        ),
        Kind.FOLLOW: ("在吗？", "我听不见。"),
        Kind.GREETING: (
            "对不起，您呼叫的用户正忙，请听到信号后录下您的口信。",
            "你好，这里是赵强，我暂时离开座位，请把事情告诉录音电话，我回来就联系您。",
            "北方物流今天休息，我们将在节后第一个工作日恢复营业。",
            "该用户没有应答，您可以留下一段不超过一分钟的录音。",
            "欢迎来到孙女士的留言信箱，请简单说明您的来意。",
        ),
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Speaker:
    """A voice with the sounds of all its sentences."""

    voice: str
    sounds: Mapping[Kind, Sequence[Sound]]


def write_recordings(out: Path, *, seed: int = 7, scale: float = 1.0) -> list[LabelledFile]:
    """Write the recordings with `metadata.csv` into `out`, half of each label. `scale`: share of the recordings."""
    files = []
    for split, count in COUNTS.items():
        wanted = round(count * scale)
        voices = _VOICES[split][: max(2, min(len(_VOICES[split]), wanted // 2))]
        speakers = list(_speakers(split, voices, seed))
        for index in range(wanted):
            rng = random.Random(f"{seed}/{split}/{index}")  # noqa: S311 - repeatable, not secret
            speaker = speakers[index // 2 % len(speakers)]
            label = (Label.HUMAN, Label.VOICEMAIL)[index % 2]
            path = out / split / f"{index:03}.wav"
            sound = _call(speaker, label, rng)
            level = 10 ** (-rng.uniform(3, 20) / 20) / float(np.abs(sound).max())
            heard = over_telephone(sound * np.float32(level), rng.getrandbits(32), noise_db=rng.uniform(-60, -40))
            write_bytes(path, wav(heard, "PCM_16"))
            files.append(LabelledFile(path, str(label), group=speaker.voice, language=LANGUAGE, split=split))
    write_metadata(out, files)
    return files


def _speakers(split: Split, voices: Sequence[str], seed: int) -> Iterator[Speaker]:
    """Render every sentence of the split with each voice, at the voice's own pace and pitch."""
    sentences = [(kind, text) for kind, texts in _PHRASES[split].items() for text in texts]
    for name in voices:
        rng = random.Random(f"{seed}/{name}")  # noqa: S311 - repeatable, not secret
        voice = Voice(Engine.ESPEAK, name, f"espeak-{name}", split)
        pace, pitch = rng.uniform(0.85, 1.2), rng.uniform(0.8, 1.25)
        utterances = [Utterance(voice, kind, LANGUAGE, LANGUAGE, text, pace, pitch) for kind, text in sentences]
        sounds: dict[Kind, list[Sound]] = {kind: [] for kind in _PHRASES[split]}
        for (kind, _), sound in zip(sentences, render(utterances), strict=True):
            sounds[kind].append(sound)
        yield Speaker(name, sounds)


def _call(speaker: Speaker, label: Label, rng: random.Random) -> Sound:
    """Return the called party's side of a call, without line effects."""
    parts = [tones.silence(rng.uniform(0.1, 1.5))]

    def say(kind: Kind) -> None:
        parts.append(rng.choice(speaker.sounds[kind]))

    if label is Label.HUMAN:
        _answer(parts, say, rng)
    else:
        _greet(parts, say, rng)
    parts.append(tones.silence(_LENGTH_S))
    return np.concatenate(parts)[: round(_LENGTH_S * RATE_HZ)]


def _answer(parts: list[Sound], say: Callable[[Kind], None], rng: random.Random) -> None:
    say(Kind.BUSINESS if rng.random() < 0.75 else Kind.ANSWER)
    while rng.random() < 0.5:
        parts.append(tones.silence(rng.uniform(1.0, 3.0)))
        say(Kind.FOLLOW)


def _greet(parts: list[Sound], say: Callable[[Kind], None], rng: random.Random) -> None:
    say(Kind.GREETING)
    while rng.random() < 0.6:
        parts.append(tones.silence(rng.uniform(0.2, 0.6)))
        say(Kind.GREETING)
    if rng.random() < 0.8:
        parts.append(tones.silence(rng.uniform(0.3, 1.0)))
        parts.append(tones.beep(rng))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Make the example recordings of docs/retraining.md with espeak-ng.")
    parser.add_argument("out", type=Path, help="folder for the recordings and metadata.csv")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 300 recordings")
    options = parser.parse_args(arguments)
    write_recordings(options.out, seed=options.seed, scale=options.scale)


if __name__ == "__main__":
    run(main)
