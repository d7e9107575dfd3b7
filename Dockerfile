# syntax=docker/dockerfile:1
# Two stages: wheels are resolved where pip is, the final image has the environment and nothing to build with.
FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /opt/amd
COPY pyproject.toml constraints.txt README.md LICENSE alembic.ini ./
COPY amd_service amd_service
COPY migrations migrations
COPY fixtures fixtures
# PyTorch's CPU index: without it Linux gets gigabytes of CUDA that a CPU-only container never uses.
RUN /opt/amd/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
      --constraint constraints.txt 'torch==2.13.0+cpu' '.[openvino]'

FROM python:3.13-slim
RUN useradd --create-home --uid 10001 amd
COPY --from=build /opt/amd /opt/amd
ENV PATH=/opt/amd/bin:$PATH PYTHONUNBUFFERED=1 AMD_HOST=0.0.0.0 AMD_LOG_FORMAT=json HF_HOME=/models AMD_CACHE_DIR=/cache
RUN mkdir /models /cache && chown amd /models /cache
USER amd
# The model is fetched once into a volume (`docker compose run --rm --no-deps worker amd-service model pull`), so that a
# restart needs no network. To put the model into the image instead: RUN amd-service model pull
# /cache holds exported engines (`amd-service model export`).
VOLUME /models /cache
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('AMD_PORT', 8080)}/health\", timeout=2)"]
CMD ["amd-service", "serve"]
