"""Checks of the element <audio-player>."""

from playwright.async_api import Locator, expect

# Whether any pixel of the waveform has a colour.
_IS_DRAWN = """(canvases) => canvases.some((canvas) => canvas.width > 0 && canvas.height > 0 &&
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0))"""
# Resolves once half a second has been played.
_HAS_PLAYED = """(audio) => new Promise((resolve, reject) => {
  const look = () => audio.currentTime > 0.5 && resolve();
  audio.addEventListener("timeupdate", look);
  audio.addEventListener("error", () => reject(audio.error));
  look();
})"""


async def until_loaded(player: Locator) -> None:
    """Wait until the recording is loaded. Fails if the player reports an error."""
    await expect(player.get_by_role("button", name="Play")).to_be_enabled()
    await expect(player.get_by_role("alert")).to_be_hidden()


async def assert_waveform_is_drawn(player: Locator) -> None:
    await until_loaded(player)
    await expect(player.locator("canvas").first).to_be_attached()
    assert await player.locator("canvas").evaluate_all(_IS_DRAWN)


async def until_played(player: Locator) -> None:
    """Wait until half a second of the recording has been played."""
    await player.locator("audio").evaluate(_HAS_PLAYED)
