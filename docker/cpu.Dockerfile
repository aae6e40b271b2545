# Roadseg on a CPU: builds engines with PyTorch in a first stage, and runs them without it.
#   docker build -f docker/cpu.Dockerfile -t roadseg .
#   docker run --rm -p 8080:8080 roadseg
# The image has not been built by this project: no registry of images was within reach.
FROM python:3.12-slim-bookworm AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY . .
# The torch without CUDA; its other packages come from PyPI.
ENV PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --constraint constraints.txt ".[build,page,video]" \
    && python -m venv /opt/roadseg \
    && /opt/roadseg/bin/pip install --constraint constraints.txt ".[page]"
# OpenCV's libraries of the system.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/*
# In FP32: the processor that builds an image is not the one that runs it. INT8 is measured there.
ARG NETWORK=deeplab_v3plus_lite
RUN /opt/build/bin/roadseg build "$NETWORK" --precision fp32 --output /opt/engines

FROM python:3.12-slim-bookworm
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libxcb1 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --home-dir /srv/roadseg --create-home --groups video roadseg
COPY --from=build /opt/roadseg /opt/roadseg
COPY --from=build /opt/engines /opt/engines
ENV PATH=/opt/roadseg/bin:$PATH
USER 1000
WORKDIR /srv/roadseg
EXPOSE 8080
# The address that it prints holds the page's token.
ENTRYPOINT ["roadseg"]
CMD ["run", "/opt/engines/deeplab_v3plus_lite-openvino-fp32.xml", "--source", "synthetic", \
     "--realtime", "--sink", "http", "--http-host", "0.0.0.0"]
