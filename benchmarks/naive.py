"""A naive service for comparison, like the service that this project replaces.

An async handler decodes the whole upload with librosa and runs the model in the event loop: eager, float32, with
gradients. `python -m benchmarks.naive MODEL PORT`.
"""

import io
import sys
from time import perf_counter

import librosa
import torch
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification


def make_app(model_id: str) -> Starlette:
    extractor = AutoFeatureExtractor.from_pretrained(model_id)
    model = AutoModelForAudioClassification.from_pretrained(model_id)

    async def predict(request: Request) -> JSONResponse:
        started = perf_counter()
        async with request.form() as form:
            upload = await form["audio"].read()  # type: ignore[union-attr]
        samples, _ = librosa.load(io.BytesIO(upload), sr=16_000, mono=True)
        inputs = extractor(samples, sampling_rate=16_000, return_tensors="pt")
        probabilities = torch.softmax(model(**inputs).logits, dim=-1)[0]
        best = int(torch.argmax(probabilities))
        return JSONResponse(
            {
                "label": model.config.id2label[best],
                "confidence": float(probabilities[best]),
                "processing_time_ms": (perf_counter() - started) * 1000,
            }
        )

    async def health(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/health", health)])


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
