# Roadseg on a Jetson with JetPack 6: TensorRT, CUDA and OpenCV are the base image's, torch is not needed.
#   sudo docker build -f docker/jetson.Dockerfile -t roadseg-jetson .
#   sudo docker run --rm --runtime nvidia -v "$PWD/engines:/engines" roadseg-jetson \
#       build /engines/segnet_lite-tensorrt-int8.bundle.zip --output /engines
# The image has not been built by this project: neither a Jetson nor NVIDIA's registry was within reach.
ARG JETPACK=r36.4.0
FROM nvcr.io/nvidia/l4t-jetpack:${JETPACK}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive PIP_NO_CACHE_DIR=1
# OpenCV of the system, which has GStreamer and so CSI cameras.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        python3-dev python3-venv python3-libnvinfer python3-opencv g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/src
COPY . .
# As scripts/jetson/setup.sh does on the board: pycuda is compiled, with nvcc and against the NumPy that
# is there; JetPack's OpenCV was compiled against NumPy 1.
ENV PATH=/usr/local/cuda/bin:$PATH CUDA_ROOT=/usr/local/cuda
RUN grep -vE '^(numpy|opencv-python|openvino)==' constraints.txt > /tmp/pins.txt \
    && printf 'numpy<2\n' >> /tmp/pins.txt \
    && python3 -m venv --system-site-packages /opt/roadseg \
    && /opt/roadseg/bin/pip install --constraint /tmp/pins.txt \
        av msgspec numpy pyyaml shtab tqdm prometheus-client starlette uvicorn websockets \
    && /opt/roadseg/bin/pip install "setuptools>=77" wheel \
    && /opt/roadseg/bin/pip install --constraint /tmp/pins.txt --no-build-isolation pycuda \
    && /opt/roadseg/bin/pip install --no-deps --no-build-isolation .
ENV PATH=/opt/roadseg/bin:$PATH
EXPOSE 8080
ENTRYPOINT ["roadseg"]
CMD ["doctor"]
